// A work as a handler of Lambda's: the body of an HTTP event in, a text answer out.
import { prepare, work } from "./work.mjs";

prepare();
export const handler = async (event) => ({
  statusCode: 200,
  headers: { "content-type": "text/plain" },
  body: work(event.isBase64Encoded ? atob(event.body) : (event.body ?? "")),
});
