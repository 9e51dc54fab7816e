import { Context, HttpRequest, Value, handle, info } from "isolet";

// The top level runs once, at deployment: what it builds, every invocation finds built.
let greetings = 1;

// Answers {"hello": name}. `name` is in the event, or in the query string of an HTTP request.
handle((event: Value, context: Context): Value => {
  const request = new HttpRequest(event);
  const asked = request.present ? request.query("name") : null;
  const name = asked === null ? event.get("name").asString("world") : asked;
  info("greeting " + name + " for " + context.requestId);
  return Value.map().set("hello", name).set("greetings", greetings++);
});
