// structuredClone.
"use strict";
const types = require("util_types");

const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

function refused(value) {
  const shown = typeof value === "function" ? Function.prototype.toString.call(value) : typeof value === "symbol" ? String(value) : `#<${value?.constructor?.name ?? "Object"}>`;
  return new DOMException(`${shown} could not be cloned.`, "DataCloneError");
}

function clone(value, seen) {
  if (typeof value === "symbol" || typeof value === "function") throw refused(value);
  if (value === null || typeof value !== "object") return value;
  if (seen.has(value)) return seen.get(value);
  const keep = (made) => {
    seen.set(value, made);
    return made;
  };
  if (Array.isArray(value)) return members(value, keep(new Array(value.length)), seen);
  if (types.isDate(value)) return keep(new Date(Date.prototype.getTime.call(value)));
  if (types.isRegExp(value)) return keep(new RegExp(value.source, value.flags));
  if (types.isBoxedPrimitive(value)) {
    if (types.isSymbolObject(value)) throw refused(value);
    return keep(Object(value.valueOf()));
  }
  if (types.isMap(value)) {
    const made = keep(new Map());
    for (const [key, one] of [...Map.prototype.entries.call(value)]) made.set(clone(key, seen), clone(one, seen));
    return made;
  }
  if (types.isSet(value)) {
    const made = keep(new Set());
    for (const one of [...Set.prototype.values.call(value)]) made.add(clone(one, seen));
    return made;
  }
  if (types.isArrayBuffer(value)) return keep(value.slice(0));
  if (types.isSharedArrayBuffer(value)) return keep(value);
  if (ArrayBuffer.isView(value)) return keep(cloneView(value, seen));
  if (types.isNativeError(value)) return keep(cloneError(value, seen));
  if (value instanceof DOMException) return keep(new DOMException(value.message, value.name));
  if (globalThis.Blob && value instanceof Blob) return keep(value.slice(0, value.size, value.type));
  if (types.isProxy(value) || types.isPromise(value) || types.isWeakMap(value) || types.isWeakSet(value) || types.isGeneratorObject(value) || value instanceof WeakRef) throw refused(value);
  return members(value, keep({}), seen);
}

function members(from, to, seen) {
  for (const key of Object.keys(from)) to[key] = clone(from[key], seen);
  return to;
}

function cloneView(view, seen) {
  const buffer = clone(view.buffer, seen);
  const Class = types.isDataView(view) ? DataView : globalThis[types.nameOfTypedArray(view)];
  return new Class(buffer, view.byteOffset, types.isDataView(view) ? view.byteLength : view.length);
}

function cloneError(error, seen) {
  const Class = ERRORS[error.name] ?? Error;
  const real = new Class();
  const message = Object.getOwnPropertyDescriptor(error, "message");
  if (message && "value" in message) Object.defineProperty(real, "message", { value: String(message.value), writable: true, configurable: true, enumerable: false });
  real.stack = error.stack;
  if (Object.hasOwn(error, "cause")) Object.defineProperty(real, "cause", { value: clone(error.cause, seen), writable: true, configurable: true, enumerable: false });
  return real;
}

function structuredClone(value, options) {
  if (arguments.length === 0) throw require("errors").withCode(TypeError, "ERR_MISSING_ARGS", 'The "value" argument must be specified');
  const seen = new Map();
  const transferred = options?.transfer ?? [];
  for (const one of transferred) {
    if (!types.isArrayBuffer(one)) throw new DOMException("Value could not be transferred.", "DataCloneError");
    seen.set(one, one.transfer());
  }
  return clone(value, seen);
}

module.exports = { structuredClone };
