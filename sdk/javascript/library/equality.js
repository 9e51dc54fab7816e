// Deep equality, as `assert` and `util.isDeepStrictEqual` mean it.
"use strict";
const types = require("util_types");

const has = Object.prototype.hasOwnProperty;
const isEnumerable = Object.prototype.propertyIsEnumerable;

function isDeep(a, b, strict) {
  return equal(a, b, strict, []);
}

function equal(a, b, strict, seen) {
  if (a === b) return a !== 0 || !strict || Object.is(a, b);
  if (strict) {
    if (typeof a !== "object") return typeof a === "number" && Number.isNaN(a) && Number.isNaN(b);
    if (typeof b !== "object" || a === null || b === null || Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  } else {
    if (a === null || typeof a !== "object") return (b === null || typeof b !== "object") && (a == b || (Number.isNaN(a) && Number.isNaN(b)));
    if (b === null || typeof b !== "object") return false;
  }
  if (Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) return false;
  if (!sameContent(a, b, strict)) return false;
  if (seen.some(([x, y]) => x === a && y === b)) return true;
  return members(a, b, strict, [...seen, [a, b]]);
}

// What the class holds besides properties.
function sameContent(a, b, strict) {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length;
  if (types.isDate(a)) return types.isDate(b) && Object.is(Date.prototype.getTime.call(a), Date.prototype.getTime.call(b));
  if (types.isRegExp(a)) return types.isRegExp(b) && a.source === b.source && a.flags === b.flags && a.lastIndex === b.lastIndex;
  if (types.isNativeError(a) || a instanceof Error) return (types.isNativeError(b) || b instanceof Error) && a.message === b.message && a.name === b.name;
  if (types.isTypedArray(a)) {
    if (!types.isTypedArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!(strict ? Object.is(a[i], b[i]) : a[i] === b[i])) return false;
    return true;
  }
  if (types.isDataView(a) || types.isAnyArrayBuffer(a)) {
    const bytes = (v) => (ArrayBuffer.isView(v) ? new Uint8Array(v.buffer, v.byteOffset, v.byteLength) : new Uint8Array(v));
    return Buffer.compare(bytes(a), bytes(b)) === 0;
  }
  if (types.isSet(a)) return types.isSet(b) && a.size === b.size;
  if (types.isMap(a)) return types.isMap(b) && a.size === b.size;
  if (types.isBoxedPrimitive(a)) return types.isBoxedPrimitive(b) && Object.is(a.valueOf(), b.valueOf());
  if (types.isWeakMap(a) || types.isWeakSet(a) || types.isPromise(a)) return false;
  return !(Array.isArray(b) || types.isSet(b) || types.isMap(b) || types.isDate(b) || types.isRegExp(b) || types.isBoxedPrimitive(b));
}

function keysOf(value, strict) {
  const keys = types.isTypedArray(value) ? Object.keys(value).filter((key) => !/^\d+$/.test(key)) : Object.keys(value);
  return strict ? [...keys, ...Object.getOwnPropertySymbols(value).filter((s) => isEnumerable.call(value, s))] : keys;
}

function members(a, b, strict, seen) {
  const keys = keysOf(a, strict);
  if (keys.length !== keysOf(b, strict).length) return false;
  if (!keys.every((key) => has.call(b, key) && isEnumerable.call(b, key))) return false;
  if (types.isSet(a) && !sameSets(a, b, strict, seen)) return false;
  if (types.isMap(a) && !sameMaps(a, b, strict, seen)) return false;
  for (const key of ["cause", "errors"]) if (a instanceof Error && has.call(a, key) && !equal(a[key], b[key], strict, seen)) return false;
  return keys.every((key) => equal(a[key], b[key], strict, seen));
}

function sameSets(a, b, strict, seen) {
  const left = new Set(b);
  for (const value of a) {
    if (left.delete(value)) continue;
    if (strict && (value === null || typeof value !== "object")) return false;
    const match = [...left].find((other) => equal(value, other, strict, seen));
    if (match === undefined && !left.has(undefined)) return false;
    left.delete(match);
  }
  return left.size === 0;
}

function sameMaps(a, b, strict, seen) {
  const left = new Map(b);
  for (const [key, value] of a) {
    if (left.has(key) && equal(value, left.get(key), strict, seen)) {
      left.delete(key);
      continue;
    }
    const match = [...left].find(([k, v]) => equal(key, k, strict, seen) && equal(value, v, strict, seen));
    if (!match) return false;
    left.delete(match[0]);
  }
  return true;
}

module.exports = { isDeep };
