// hello: answers every event, HTTP request or not, with the same text.
import { HttpResponse, handle } from "isolet";

handle((event, context) =>
  new HttpResponse(200).header("content-type", "text/plain; charset=utf-8").text("hello\n").value,
);
