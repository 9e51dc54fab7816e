// Write isolet functions in AssemblyScript (guest ABI version 1, ../../abi.md). No dependencies.
//
//     import { handle, Value, Context } from "isolet";
//
//     handle((event: Value, context: Context): Value => {
//       return Value.map().set("hello", event.get("name").asString("world"));
//     });
//
// `isolet deploy` compiles it: a function.toml with language = "assemblyscript", and the source beside it.
//
// Laws:
// - The top level of a module runs once, at deployment, and is then frozen. What it builds, every invocation finds built,
//   and nothing that an invocation changes is seen by another one.
// - Reading a Value never fails: what is absent or of another type reads as the fallback.
// - There are no exceptions to catch: what throws, asserts or goes out of bounds ends the invocation with an error of type
//   "Error" and its place in the source; `fail` does it with a type of your own. What may fail in the ordinary course of
//   things, such as a capability, answers a Result.
// - Math.random is seeded anew in every invocation. A generator that you seeded yourself at the top level is frozen.

export { handle, Handler } from "./handler";
export { Kind, Value, base64, compareBytes } from "./value";
export { Context, now } from "./context";
export { Failure, Result, fail, failWith } from "./failure";
export { Level, debug, error, info, log, warn } from "./log";
export { HttpRequest, HttpResponse, formField, urlDecode } from "./http";
export {
  ANY_VERSION,
  Entry,
  FetchRequest,
  FetchResponse,
  NO_VERSION,
  Namespace,
  Page,
  Type,
  ask,
  call,
  fetch,
  invoke,
  kv,
  random,
  secret,
  sleep,
} from "./capability";
export { Writer } from "./writer";
