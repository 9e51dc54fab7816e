// Errors as Node has them: codes, stacks in V8's words, and stacks through source maps.
"use strict";
const native = require("native");

// ── errors with a code ──────────────────────────────────────────────────────────────────────────────────────────

// The class of errors of `Base` whose `code` shows in their name while the stack is made, as Node's do.
function withCode(Base, code, message) {
  const error = new Base(message);
  error.code = code;
  Object.defineProperty(error, "name", { value: `${Base.name} [${code}]`, configurable: true, writable: true });
  Error.captureStackTrace(error, withCode);
  void error.stack; // made now, with the code in the name
  delete error.name;
  return error;
}

// The same where Node's C++ makes the error: its name shows no code.
function withHiddenCode(Base, code, message) {
  const error = new Base(message);
  error.code = code;
  Error.captureStackTrace(error, withHiddenCode);
  return error;
}

function describe(value) {
  const { inspect } = require("inspect");
  if (value === null || value === undefined) return ` Received ${value}`;
  if (typeof value === "function") return ` Received function ${value.name}`;
  if (typeof value === "object") {
    if (value.constructor?.name) return ` Received an instance of ${value.constructor.name}`;
    return ` Received ${inspect(value, { depth: -1 })}`;
  }
  let shown = inspect(value, { colors: false });
  if (shown.length > 28) shown = `${shown.slice(0, 25)}...`;
  return ` Received type ${typeof value} (${shown})`;
}

const PRIMITIVES = ["string", "function", "number", "object", "boolean", "bigint", "symbol"];

function listed(words, last) {
  if (words.length <= 1) return words.join("");
  if (words.length === 2) return `${words[0]} ${last} ${words[1]}`;
  return `${words.slice(0, -1).join(", ")}, ${last} ${words[words.length - 1]}`;
}

// `The "name" argument must be of type string. Received …`
function invalidArgType(name, expected, value) {
  const wanted = [].concat(expected);
  const types = wanted.filter((w) => PRIMITIVES.includes(w)).map((w) => w.toLowerCase());
  const classes = wanted.filter((w) => !PRIMITIVES.includes(w) && /^[A-Z]/.test(w));
  const others = wanted.filter((w) => !PRIMITIVES.includes(w) && !/^[A-Z]/.test(w));
  const parts = [];
  if (types.length) parts.push(`${types.length > 1 ? "one of type" : "of type"} ${listed(types, "or")}`);
  if (classes.length) parts.push(`an instance of ${listed(classes, "or")}`);
  if (others.length) parts.push(listed(others, "or"));
  const kind = name.endsWith(" argument") ? name : `"${name}" ${name.includes(".") ? "property" : "argument"}`;
  return withCode(TypeError, "ERR_INVALID_ARG_TYPE", `The ${kind} must be ${listed(parts, "or")}.${describe(value)}`);
}

function invalidArgValue(name, value, reason = "is invalid") {
  const { inspect } = require("inspect");
  let shown = inspect(value);
  if (shown.length > 128) shown = `${shown.slice(0, 128)}...`;
  const kind = name.includes(".") ? "property" : "argument";
  return withCode(TypeError, "ERR_INVALID_ARG_VALUE", `The ${kind} '${name}' ${reason}. Received ${shown}`);
}

function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, "_");
}

function outOfRange(name, range, value) {
  const { inspect } = require("inspect");
  let shown = typeof value === "bigint" || Number.isInteger(value) ? String(value) : inspect(value);
  if (Number.isInteger(value) && Math.abs(value) > 2 ** 32) shown = grouped(value);
  if (typeof value === "bigint") shown = `${value > 2n ** 32n || value < -(2n ** 32n) ? grouped(value) : value}n`;
  return withCode(RangeError, "ERR_OUT_OF_RANGE", `The value of "${name}" is out of range. It must be ${range}. Received ${shown}`);
}

// ── stacks ──────────────────────────────────────────────────────────────────────────────────────────────────────

// The first line, as V8 makes it when the error is made.
function headline(error) {
  let name, message;
  try {
    name = error.name;
    message = error.message;
    name = name === undefined ? "Error" : String(name);
    message = message === undefined ? "" : String(message);
  } catch {
    return "Error";
  }
  return name && message ? `${name}: ${message}` : name || message;
}

const state = { handler: undefined, maps: new Map() };

function place(site) {
  const file = site.getFileName();
  if (!file) return "<anonymous>";
  let line = site.getLineNumber();
  let column = site.getColumnNumber();
  const map = state.maps.get(file);
  if (map) {
    const found = require("source_map").look(map, line, column);
    if (found) return `${found.source}:${found.line}:${found.column}`;
  }
  return line > 0 ? `${file}:${line}:${column}` : file;
}

let names; // the engine's own functions, as V8 calls them

function nativeName(fn, name) {
  if (!names) {
    names = new Map();
    for (const owner of Object.getOwnPropertyNames(globalThis)) {
      const value = /^[A-Z]/.test(owner) ? Object.getOwnPropertyDescriptor(globalThis, owner).value : undefined;
      for (const holder of [value, value?.prototype])
        for (const key of holder ? Object.getOwnPropertyNames(holder) : []) {
          const member = Object.getOwnPropertyDescriptor(holder, key).value;
          if (typeof member === "function" && key !== "constructor") names.set(member, `${owner}.${key}`);
        }
    }
  }
  return names.get(fn) ?? name;
}

function frame(site) {
  const file = site.getFileName();
  if (file?.startsWith("node:internal/")) return "";
  let name = site.getFunctionName();
  if (name === "<anonymous>" || name === "<module>" || name === "<eval>") name = "";
  if (state.handler && site.getFunction() === state.handler) name = "Runtime.handler";
  if ((!file && !name) || file === "<input>") return "";
  if (!file) name = nativeName(site.getFunction(), name);
  if (site.isConstructor() && name) name = `new ${name}`;
  return name ? `\n    at ${name} (${place(site)})` : `\n    at ${place(site)}`;
}

// Made when the stack is first read: the name that a class gives behind `super()` is in the first line then.
native.prepareStack((error, sites) => () => {
  let stack = headline(error);
  for (let i = 0; i < sites.length; i++) {
    const site = sites[i];
    const file = site.getFileName();
    if (!file) {
      const next = sites[i + 1]?.getFileName();
      if (!next || next.startsWith("node:internal/")) continue;
    }
    stack += frame(site);
  }
  return stack;
});

// V8's CallSite has more questions than the engine's; libraries that walk the stack ask them.
{
  const before = Error.prepareStackTrace;
  let prototype;
  Error.prepareStackTrace = (_, sites) => sites;
  const sites = new Error().stack;
  if (Array.isArray(sites) && sites.length) prototype = Object.getPrototypeOf(sites[0]);
  Error.prepareStackTrace = before;
  if (prototype) {
    const none = () => null;
    const no = () => false;
    Object.assign(prototype, {
      getThis: () => undefined,
      getTypeName: none,
      getMethodName: none,
      getEvalOrigin: () => undefined,
      getScriptNameOrSourceURL() {
        return this.getFileName();
      },
      isToplevel: no,
      isEval: no,
      isAsync: no,
      isPromiseAll: no,
      getPromiseIndex: none,
      toString() {
        const name = this.getFunctionName();
        return name ? `${name} (${place(this)})` : place(this);
      },
    });
  }
}

module.exports = {
  withHiddenCode,
  withCode,
  invalidArgType,
  invalidArgValue,
  outOfRange,
  headline,
  // The function that stacks call `Runtime.handler`, as Lambda's do.
  nameHandler: (handler) => (state.handler = handler),
  // A file has a source map, whose text `read()` gives when a stack first needs it.
  addSourceMap: (file, read) => state.maps.set(file, { file, read, table: undefined }),
};
