// `util`.
"use strict";
const { inspect, format, formatWithOptions } = require("inspect");
const types = require("util_types");
const { withCode, invalidArgType, invalidArgValue } = require("errors");

// ── promises and callbacks ──────────────────────────────────────────────────────────────────────────────────────

const PROMISIFY = Symbol.for("nodejs.util.promisify.custom");

function promisify(original) {
  if (typeof original !== "function") throw invalidArgType("original", "function", original);
  const custom = original[PROMISIFY];
  if (custom) {
    if (typeof custom !== "function") throw invalidArgType("util.promisify.custom", "function", custom);
    return Object.defineProperty(custom, PROMISIFY, { value: custom, enumerable: false, writable: false, configurable: true });
  }
  function promised(...values) {
    return new Promise((resolve, reject) => {
      Reflect.apply(original, this, [...values, (error, value) => (error ? reject(error) : resolve(value))]);
    });
  }
  Object.setPrototypeOf(promised, Object.getPrototypeOf(original));
  Object.defineProperty(promised, PROMISIFY, { value: promised, enumerable: false, writable: false, configurable: true });
  return Object.defineProperties(promised, Object.getOwnPropertyDescriptors(original));
}
promisify.custom = PROMISIFY;
for (const name of ["setTimeout", "setImmediate"])
  Object.defineProperty(globalThis[name], PROMISIFY, {
    get: () => require("timers_promises")[name],
    enumerable: true,
    configurable: true,
  });

function callbackify(original) {
  if (typeof original !== "function") throw invalidArgType("original", "function", original);
  function called(...values) {
    const callback = values.pop();
    if (typeof callback !== "function") throw invalidArgType("last argument", "function", callback);
    Reflect.apply(original, this, values).then(
      (value) => process.nextTick(callback, null, value),
      (reason) => {
        if (!reason) {
          const error = withCode(Error, "ERR_FALSY_VALUE_REJECTION", "Promise was rejected with falsy value");
          error.reason = reason;
          reason = error;
        }
        process.nextTick(callback, reason);
      },
    );
  }
  const descriptors = Object.getOwnPropertyDescriptors(original);
  if (typeof descriptors.length?.value === "number") descriptors.length.value++;
  if (typeof descriptors.name?.value === "string") descriptors.name.value += "Callbackified";
  return Object.defineProperties(called, descriptors);
}

const warned = new Set();

function deprecate(fn, message, code) {
  let said = false;
  function deprecated(...values) {
    if (!said && !(code && warned.has(code))) {
      said = true;
      if (code) warned.add(code);
      process.emitWarning(message, "DeprecationWarning");
    }
    return new.target ? Reflect.construct(fn, values, new.target) : Reflect.apply(fn, this, values);
  }
  Object.setPrototypeOf(deprecated, fn);
  if (fn.prototype) deprecated.prototype = fn.prototype;
  return deprecated;
}

function inherits(constructor, parent) {
  if (constructor === undefined || constructor === null) throw invalidArgType("ctor", "function", constructor);
  if (parent === undefined || parent === null) throw invalidArgType("superCtor", "function", parent);
  if (parent.prototype === undefined) throw invalidArgType("superCtor.prototype", "object", parent.prototype);
  Object.defineProperty(constructor, "super_", { value: parent, writable: true, configurable: true });
  Object.setPrototypeOf(constructor.prototype, parent.prototype);
}

function debuglog() {
  const log = () => {};
  log.enabled = false;
  return log;
}

// ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────

function styleText(styles, text) {
  if (typeof text !== "string") throw invalidArgType("text", "string", text);
  let before = "";
  let after = "";
  for (const style of [].concat(styles)) {
    const codes = inspect.colors[style];
    if (!codes) throw invalidArgValue("format", style, `must be one of: ${Object.keys(inspect.colors).map((c) => `'${c}'`).join(", ")}`);
    before += `\u001b[${codes[0]}m`;
    after = `\u001b[${codes[1]}m${after}`;
  }
  return before + text + after;
}

function stripVTControlCharacters(text) {
  if (typeof text !== "string") throw invalidArgType("str", "string", text);
  return text.replace(/[\u001b\u009b][[\]()#;?]*(?:(?:(?:[a-zA-Z\d]*(?:;[-a-zA-Z\d/#&.:=?%@~_]*)*)?\u0007)|(?:(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PR-TZcf-ntqry=><~]))/g, "");
}

// ── arguments of a command ──────────────────────────────────────────────────────────────────────────────────────

function parseArgs({ args = [], options = {}, strict = true, allowPositionals = !strict } = {}) {
  const values = Object.create(null);
  const positionals = [];
  const shorts = Object.fromEntries(Object.entries(options).filter(([, o]) => o.short).map(([name, o]) => [o.short, name]));
  const store = (name, value) => {
    const option = options[name];
    if (strict && !option) throw withCode(TypeError, "ERR_PARSE_ARGS_UNKNOWN_OPTION", `Unknown option '--${name}'`);
    if (strict && option.type === "string" && typeof value !== "string") throw withCode(TypeError, "ERR_PARSE_ARGS_INVALID_OPTION_VALUE", `Option '--${name} <value>' argument missing`);
    if (option?.multiple) (values[name] ??= []).push(value);
    else values[name] = value;
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    const long = /^--([^=]+)(?:=([^]*))?$/.exec(arg);
    const short = /^-([^-])([^]*)$/.exec(arg);
    if (arg === "--") {
      positionals.push(...args.slice(i + 1));
      break;
    } else if (long) store(long[1], long[2] ?? (options[long[1]]?.type === "string" ? args[++i] : true));
    else if (short) {
      const name = shorts[short[1]] ?? short[1];
      if (options[name]?.type === "string") store(name, short[2] || args[++i]);
      else for (const c of arg.slice(1)) store(shorts[c] ?? c, true);
    } else {
      if (!allowPositionals) throw withCode(TypeError, "ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL", `Unexpected argument '${arg}'. This command does not take positional arguments`);
      positionals.push(arg);
    }
  }
  for (const [name, option] of Object.entries(options)) if (option.default !== undefined && values[name] === undefined) values[name] = option.default;
  return { values, positionals };
}

// ── MIME types ──────────────────────────────────────────────────────────────────────────────────────────────────

class MIMEParams extends Map {
  toString() {
    return [...this].map(([name, value]) => `${name}=${/^[-!#$%&'*+.^_`|~A-Za-z0-9]+$/.test(value) ? value : `"${value.replace(/(["\\])/g, "\\$1")}"`}`).join(";");
  }
}

class MIMEType {
  constructor(input) {
    const match = /^\s*([-!#$%&'*+.^_`|~A-Za-z0-9]+)\/([-!#$%&'*+.^_`|~A-Za-z0-9]+)\s*(;[^]*)?$/.exec(`${input}`);
    if (!match) throw withCode(TypeError, "ERR_INVALID_MIME_SYNTAX", `The MIME syntax for a type in "${input}" is invalid`);
    this.type = match[1].toLowerCase();
    this.subtype = match[2].toLowerCase();
    this.params = new MIMEParams();
    for (const [, name, quoted, bare] of (match[3] ?? "").matchAll(/;\s*([^=;\s]+)=(?:"((?:[^"\\]|\\.)*)"|([^;]*))/g))
      if (!this.params.has(name.toLowerCase())) this.params.set(name.toLowerCase(), quoted !== undefined ? quoted.replace(/\\(.)/g, "$1") : bare.trim());
  }
  get essence() {
    return `${this.type}/${this.subtype}`;
  }
  toString() {
    const params = this.params.toString();
    return params ? `${this.essence};${params}` : this.essence;
  }
  toJSON() {
    return this.toString();
  }
}

const isPrimitive = (value) => value === null || (typeof value !== "object" && typeof value !== "function");

module.exports = {
  inspect,
  format,
  formatWithOptions,
  promisify,
  callbackify,
  deprecate,
  inherits,
  debuglog,
  debug: debuglog,
  types,
  isDeepStrictEqual: (a, b) => require("equality").isDeep(a, b, true),
  styleText,
  stripVTControlCharacters,
  toUSVString: (value) => `${value}`.toWellFormed(),
  parseArgs,
  MIMEType,
  MIMEParams,
  aborted: (signal) => new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true }))),
  getSystemErrorName: (number) => require("os").errorName(number),
  getCallSites(count = 10) {
    const before = Error.prepareStackTrace;
    Error.prepareStackTrace = (_, sites) => sites;
    const sites = new Error().stack;
    Error.prepareStackTrace = before;
    return sites
      .filter((site) => site.getFileName() && !site.getFileName().startsWith("node:internal/"))
      .slice(0, count)
      .map((site) => ({ functionName: site.getFunctionName() ?? "", scriptName: site.getFileName(), lineNumber: site.getLineNumber(), column: site.getColumnNumber(), columnNumber: site.getColumnNumber() }));
  },
  TextEncoder: globalThis.TextEncoder,
  TextDecoder: globalThis.TextDecoder,
  isArray: Array.isArray,
  isBoolean: (value) => typeof value === "boolean",
  isBuffer: (value) => Buffer.isBuffer(value),
  isDate: types.isDate,
  isError: (value) => types.isNativeError(value) || value instanceof Error,
  isFunction: (value) => typeof value === "function",
  isNull: (value) => value === null,
  isNullOrUndefined: (value) => value === null || value === undefined,
  isNumber: (value) => typeof value === "number",
  isObject: (value) => value !== null && typeof value === "object",
  isPrimitive,
  isRegExp: types.isRegExp,
  isString: (value) => typeof value === "string",
  isSymbol: (value) => typeof value === "symbol",
  isUndefined: (value) => value === undefined,
  _extend: (target, source) => (source !== null && typeof source === "object" ? Object.assign(target, source) : target),
};
