// `querystring`.
"use strict";
const native = require("native");
const { withCode } = require("errors");

const PLAIN = /^[A-Za-z0-9\-_.!~*'()]*$/;

function escape(value) {
  if (typeof value !== "string") value = typeof value === "object" ? String(value) : `${value}`;
  if (PLAIN.test(value)) return value;
  try {
    return encodeURIComponent(value);
  } catch {
    throw withCode(URIError, "ERR_INVALID_URI", "URI malformed");
  }
}

// Bytes of a text with its %xx decoded; what is no %xx stays.
function unescapeBuffer(text) {
  const made = Buffer.alloc(native.utf8Length(text));
  const from = native.utf8Encode(text);
  let n = 0;
  for (let i = 0; i < from.length; i++) {
    const digits = from[i] === 0x25 ? String.fromCharCode(from[i + 1], from[i + 2]) : "";
    if (/^[0-9a-fA-F]{2}$/.test(digits)) {
      made[n++] = parseInt(digits, 16);
      i += 2;
    } else made[n++] = from[i];
  }
  return made.subarray(0, n);
}

function unescape(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return unescapeBuffer(`${text}`).toString();
  }
}

function primitive(value) {
  switch (typeof value) {
    case "string": return value;
    case "number": return Number.isFinite(value) ? `${value}` : "";
    case "bigint": return `${value}`;
    case "boolean": return value ? "true" : "false";
    default: return "";
  }
}

function stringify(object, separator, equals, options) {
  separator ||= "&";
  equals ||= "=";
  const encode = options?.encodeURIComponent ?? module.exports.escape;
  if (object === null || typeof object !== "object") return "";
  const pairs = [];
  for (const key of Object.keys(object)) {
    const name = encode(primitive(key)) + equals;
    const value = object[key];
    if (Array.isArray(value)) for (const one of value) pairs.push(name + encode(primitive(one)));
    else pairs.push(name + encode(primitive(value)));
  }
  return pairs.join(separator);
}

function parse(text, separator, equals, options) {
  const made = Object.create(null);
  if (typeof text !== "string" || text.length === 0) return made;
  separator ||= "&";
  equals ||= "=";
  const most = options?.maxKeys ?? 1000;
  const decode = options?.decodeURIComponent ?? module.exports.unescape;
  let pairs = text.split(`${separator}`);
  if (most > 0) pairs = pairs.slice(0, pairs.filter(Boolean).length > most ? most : undefined);
  for (const pair of pairs) {
    if (!pair) continue;
    const at = pair.indexOf(`${equals}`);
    const key = safe(at < 0 ? pair : pair.slice(0, at), decode);
    const value = at < 0 ? "" : safe(pair.slice(at + `${equals}`.length), decode);
    if (!(key in made)) made[key] = value;
    else if (Array.isArray(made[key])) made[key].push(value);
    else made[key] = [made[key], value];
  }
  return made;
}

function safe(text, decode) {
  text = text.replaceAll("+", " ");
  if (!text.includes("%") && decode === unescape) return text;
  try {
    return decode(text);
  } catch {
    return unescape(text);
  }
}

module.exports = { stringify, encode: stringify, parse, decode: parse, escape, unescape, unescapeBuffer };
