// What Lambda's Node runtime promises a handler: how it is found, what it is called with, what its answer is, and what is
// said when it fails.
//
// Laws:
// - The first of: a promise that settles, the callback, context.done/succeed/fail. What comes after it is not heard.
// - A handler that returns no promise is answered when the loop is empty, with what its callback was given, or null;
//   at once if context.callbackWaitsForEmptyEventLoop is false.
// - What goes wrong while the module is imported answers every event, and is logged in each.
"use strict";
const native = require("native");
const { process, environment, variables } = require("process");
const { nameHandler } = require("errors");
const loop = require("loop");
const modules = require("modules");
const path = require("path");
const console = require("console");

class RuntimeError extends Error {}

function runtimeError(kind, message) {
  const error = new RuntimeError(message);
  error.name = `Runtime.${kind}`;
  error.stack = `Runtime.${kind}: ${error.message}\n${String(error.stack).split("\n    at ").slice(1).map((l) => `    at ${l}`).join("\n")}`.trimEnd();
  Object.defineProperty(error, "name", { enumerable: false });
  return error;
}

// ── finding the handler ─────────────────────────────────────────────────────────────────────────────────────────

const TASK = "/var/task";

// `dir/file.export.nested` → [dir/, file, export.nested]
function parseHandler(name) {
  if (name.includes(".."))
    throw runtimeError(
      "MalformedHandlerName",
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  const base = path.basename(name);
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match) throw runtimeError("MalformedHandlerName", "Bad handler");
  return [name.slice(0, name.indexOf(base)), match[1], match[2]];
}

async function importApp(directory, name) {
  const file = path.resolve(TASK, directory, name);
  const exists = (extension) => modules.kindOf(file + extension) === 1;
  const isModule = modules.scopeOf(`${file}.js`)[1]?.type === "module";
  if (exists("")) return modules.loadFile(file, undefined).exports;
  if (!isModule && exists(".js")) return modules.loadFile(`${file}.js`, undefined).exports;
  if (isModule && exists(".js")) return modules.importFile(`${file}.js`);
  if (exists(".mjs")) return modules.importFile(`${file}.mjs`);
  if (exists(".cjs")) return modules.loadFile(`${file}.cjs`, undefined).exports;
  // By Node's own rules: a directory with an index.js, a package.
  let found;
  try {
    found = modules.resolve(`./${path.join(directory, name)}`, `${TASK}/noop.js`, undefined);
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    try {
      found = modules.resolve(path.join(directory, name), `${TASK}/noop.js`, undefined);
    } catch {
      error.message = error.message.replace(/'[^']*'/, `'${name}'`);
      throw error;
    }
  }
  return modules.loadFile(found, undefined).exports;
}

async function findHandler(name) {
  const [directory, file, exportPath] = parseHandler(name);
  let app;
  try {
    app = await importApp(directory, file);
  } catch (error) {
    if (error instanceof SyntaxError) throw wrapped("UserCodeSyntaxError", error);
    if (error?.code === "MODULE_NOT_FOUND") throw wrapped("ImportModuleError", error);
    throw error;
  }
  const handler = exportPath.split(".").reduce((value, key) => value && value[key], app);
  if (!handler) throw runtimeError("HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof handler !== "function") throw runtimeError("HandlerNotFound", `${name} is not a function`);
  return handler;
}

// An error of the runtime's that says what another one says, where that one came from.
function wrapped(kind, error) {
  const made = runtimeError(kind, String(error));
  const frames = String(error.stack ?? "").split("\n").filter((line) => line.startsWith("    at "));
  made.stack = [`Runtime.${kind}: ${made.message}`, ...frames].join("\n");
  return made;
}

// ── errors on their way out ─────────────────────────────────────────────────────────────────────────────────────

const looksLikeError = (e) =>
  e instanceof Error || (e && typeof e.name === "string" && e.name && typeof e.message === "string" && typeof e.stack === "string");

// As AWS's client, which fails on what is no text.
const text = (value) => (value === undefined || value === null ? "" : value.replace(/\x7F/g, "%7F"));

// [type, message, stack lines]
function described(error) {
  try {
    if (looksLikeError(error)) return [text(error.name), text(error.message), error.stack.split("\n")];
    return [error === null ? "object" : typeof error, String(error), []];
  } catch {
    return [
      "handled",
      "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack",
      [],
    ];
  }
}

function logged(what, error) {
  const shown = error instanceof Error ? error : new Error(error);
  let text;
  try {
    text = JSON.stringify(shown, (_, value) => {
      if (!(value instanceof Error)) return value;
      const all = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
      if (typeof value.stack === "string") all.stack = value.stack.split("\n");
      return all;
    });
  } catch {
    const [errorType, errorMessage, trace] = described(error);
    text = JSON.stringify({ errorType, errorMessage, trace });
  }
  if (process.env.AWS_LAMBDA_LOG_FORMAT === "JSON") console.error(shown);
  else console.error(what, `\t${text}`);
}

function fail(what, error) {
  logged(what, error);
  native.fail(...described(error));
}

// ── the function's state ────────────────────────────────────────────────────────────────────────────────────────

let handler = (event) => event;
let streams = false;
// What answers every event instead of the handler: ["error", e] or ["exit", code].
let kept = null;

// Imports the function's module; called once, by isolet_init. Never throws.
function start() {
  environment(native.environment());
  console.configure();
  loop.begin();
  running = false;
  globalThis.awslambda = require("awslambda");
  const promise = findHandler(variables._HANDLER || "index.handler");
  promise.catch(() => {});
  const [state, value] = native.settle(promise);
  if (kept) return;
  if (state === 1) {
    handler = value;
    streams = value[Symbol.for("aws.lambda.runtime.handler.streaming")] === "response";
    nameHandler(value);
    modules.preload();
  } else if (state === 2) keep(value, "Uncaught Exception");
  else keepExit(); // the import waits for what never comes: Node ends, with status 13
}

function keep(error, what) {
  kept ??= ["error", error, what];
}

// The function ended itself while it was imported.
function keepExit() {
  kept ??= ["exit", 1];
}

// ── an invocation ───────────────────────────────────────────────────────────────────────────────────────────────

let finished = false; // an answer was chosen; with `pending` it waits for the loop to be empty
let pending;
let asynchronous = false;
let running = false;

function succeed(value) {
  try {
    native.answer(value === undefined ? null : value);
  } catch {
    fail("Invoke Error", new Error("Unable to stringify response body"));
  }
}

const isMissing = (error) => error === undefined || error === null;

// The functions of every context. An isolate serves one invocation, so they need not be made for each: closures are what
// costs most of a context.
let waits = true;
let deadline = 0;

function once(settle) {
  return (error, value) => {
    if (finished) return;
    finished = true;
    pending = undefined;
    settle(error, value);
  };
}

const done = once((error, value) => (isMissing(error) ? succeed(value) : fail("Invoke Error", error)));
const succeedOnce = (value) => done(null, value);
const failOnce = (error) => done(isMissing(error) ? "handled" : error);
const callback = once((error, value) => {
  if (!isMissing(error)) fail("Invoke Error", error);
  else if (!waits) succeed(value);
  else pending = { value };
});
const getRemainingTimeInMillis = () => deadline - Date.now();
for (const [fn, name] of [[succeedOnce, "succeed"], [failOnce, "fail"]]) Object.defineProperty(fn, "name", { value: name });
const WAITS = {
  get: () => waits,
  set: (value) => (waits = value),
  enumerable: true,
  configurable: true,
};

function makeContext(requestId, name, version, arn, memory, logGroup, logStream, clientContext) {
  const context = Object.defineProperty({}, "callbackWaitsForEmptyEventLoop", WAITS);
  context.succeed = succeedOnce;
  context.fail = failOnce;
  context.done = done;
  context.functionVersion = version;
  context.functionName = name;
  context.memoryLimitInMB = String(memory);
  context.logGroupName = logGroup;
  context.logStreamName = logStream;
  context.clientContext = clientContext;
  context.identity = undefined;
  context.invokedFunctionArn = arn;
  context.awsRequestId = requestId;
  context.getRemainingTimeInMillis = getRemainingTimeInMillis;
  return context;
}

// Calls the handler; the shim's loop then runs until there is an answer.
function invoke(event, requestId, name, version, arn, memory, logGroup, logStream, until, traceId, clientContext) {
  loop.begin();
  finished = false;
  pending = undefined;
  running = true;
  waits = true;
  deadline = until;
  console.setRequestId(requestId);
  if (traceId !== undefined) variables._X_AMZN_TRACE_ID = traceId;
  else delete variables._X_AMZN_TRACE_ID;
  variables.AWS_LAMBDA_LOG_STREAM_NAME = logStream;
  if (kept) return answerKept();
  const context = makeContext(requestId, name, version, arn, memory, logGroup, logStream, clientContext);
  asynchronous = false;
  // A microtask, as in AWS's client: what the handler promises is settled before the ticks that it asks for.
  queueMicrotask(() => {
    try {
      if (streams) return void require("awslambda").run(handler, event, context);
      const result = Reflect.apply(handler, RUNTIME, [event, context, callback]);
      if (result && typeof result.then === "function") {
        asynchronous = handler.constructor?.name === "AsyncFunction";
        result.then(context.succeed, context.fail);
      }
    } catch (error) {
      callback(error);
    }
  });
  return undefined;
}

// `this` of handlers.
const RUNTIME = new (class Runtime {})();

function answerKept() {
  const [how, value, what] = kept;
  if (how === "exit") native.exit(value);
  fail(what, value);
}

// The loop is empty and nothing was answered: what the shim asks last.
function emptied() {
  if (!running) return false;
  process.emit("beforeExit", 0);
  if (!loop.idle()) return true;
  finished = true;
  if (pending) {
    const { value } = pending;
    pending = undefined;
    succeed(value);
  } else if (asynchronous) fail("Invoke Error", neverSettled());
  else succeed(null);
  return false;
}

const neverSettled = () =>
  runtimeError(
    "NodeJsExit",
    "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was " +
      "never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes",
  );

// ── what nobody caught ──────────────────────────────────────────────────────────────────────────────────────────

function unhandledRejection(reason, promise) {
  process.emit("unhandledRejection", reason, promise);
  const error = runtimeError("UnhandledPromiseRejection", reason === undefined ? "" : String(reason));
  error.reason = reason;
  if (reason instanceof Error) error.stack = [error.stack.split("\n")[0], ...String(reason.stack).split("\n").slice(1)].join("\n");
  if (!running) return keep(error, "Unhandled Promise Rejection");
  finished = true;
  fail("Unhandled Promise Rejection", error);
}

function uncaughtException(error) {
  process.emit("uncaughtException", error, "uncaughtException");
  if (!running) return keep(error, "Uncaught Exception");
  finished = true;
  fail("Uncaught Exception", error);
}

const turn = () => loop.turn() || emptied();

module.exports = { start, keepExit, invoke, unhandledRejection, uncaughtException, turn, runtimeError, fail, succeed };
