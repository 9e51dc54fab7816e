// TextEncoder and TextDecoder, of WHATWG's Encoding: UTF-8, UTF-16LE, and Latin-1 (windows-1252) for old pages.
"use strict";
const native = require("native");
const { withCode, invalidArgType } = require("errors");

class TextEncoder {
  get encoding() {
    return "utf-8";
  }
  encode(text = "") {
    return native.utf8Encode(`${text}`);
  }
  encodeInto(text, target) {
    if (!(target instanceof Uint8Array)) throw invalidArgType("dest", "Uint8Array", target);
    let read = 0;
    let written = 0;
    for (const c of `${text}`) {
      const bytes = native.utf8Encode(c);
      if (written + bytes.length > target.length) break;
      target.set(bytes, written);
      written += bytes.length;
      read += c.length;
    }
    return { read, written };
  }
}

const LABELS = {
  "utf-8": ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"],
  "utf-16le": ["utf-16le", "utf-16", "ucs-2", "unicode", "iso-10646-ucs-2", "csunicode", "unicodefeff"],
  "windows-1252": ["windows-1252", "latin1", "ascii", "us-ascii", "iso-8859-1", "iso8859-1", "l1", "cp1252", "x-cp1252", "ansi_x3.4-1968"],
};
const NAMES = new Map(Object.entries(LABELS).flatMap(([name, labels]) => labels.map((label) => [label, name])));
const HIGH = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ";

function bytesOf(input) {
  if (input === undefined) return new Uint8Array(0);
  if (input instanceof Uint8Array) return input;
  if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  if (input instanceof ArrayBuffer || Object.prototype.toString.call(input) === "[object SharedArrayBuffer]") return new Uint8Array(input);
  throw invalidArgType("input", ["ArrayBuffer", "ArrayBufferView"], input);
}

class TextDecoder {
  #name;
  #fatal;
  #ignoreBOM;
  #kept = new Uint8Array(0);
  #begun = false;
  constructor(label = "utf-8", options = {}) {
    this.#name = NAMES.get(`${label}`.trim().toLowerCase());
    if (!this.#name) throw withCode(RangeError, "ERR_ENCODING_NOT_SUPPORTED", `The "${label}" encoding is not supported`);
    this.#fatal = Boolean(options?.fatal);
    this.#ignoreBOM = Boolean(options?.ignoreBOM);
  }
  get encoding() {
    return this.#name;
  }
  get fatal() {
    return this.#fatal;
  }
  get ignoreBOM() {
    return this.#ignoreBOM;
  }
  decode(input, options = {}) {
    let bytes = bytesOf(input);
    if (this.#kept.length) {
      const all = new Uint8Array(this.#kept.length + bytes.length);
      all.set(this.#kept);
      all.set(bytes, this.#kept.length);
      bytes = all;
      this.#kept = new Uint8Array(0);
    }
    const stream = Boolean(options?.stream);
    if (stream) {
      const back = this.#name === "utf-8" ? native.utf8Unfinished(bytes) : this.#name === "utf-16le" ? bytes.length % 2 : 0;
      this.#kept = bytes.slice(bytes.length - back);
      bytes = bytes.subarray(0, bytes.length - back);
    }
    let text = this.#text(bytes);
    if (!this.#begun && !this.#ignoreBOM && text[0] === "\ufeff") text = text.slice(1);
    this.#begun = stream && (this.#begun || bytes.length > 0);
    return text;
  }
  #text(bytes) {
    if (this.#name === "windows-1252") return native.latin1Decode(bytes).replace(/[\x80-\x9f]/g, (c) => HIGH[c.charCodeAt(0) - 128]);
    if (this.#name === "utf-16le") {
      const text = native.utf16Decode(bytes);
      if (this.#fatal && (bytes.length % 2 || !text.isWellFormed())) throw this.#malformed();
      return text.toWellFormed() + (bytes.length % 2 ? "\ufffd" : "");
    }
    if (this.#fatal && !native.utf8Valid(bytes)) throw this.#malformed();
    return native.utf8Decode(bytes);
  }
  #malformed() {
    return withCode(TypeError, "ERR_ENCODING_INVALID_ENCODED_DATA", `The encoded data was not valid for encoding ${this.#name}`);
  }
}
for (const [prototype, tag] of [[TextEncoder.prototype, "TextEncoder"], [TextDecoder.prototype, "TextDecoder"]])
  Object.defineProperty(prototype, Symbol.toStringTag, { value: tag, configurable: true });

module.exports = { TextEncoder, TextDecoder, bytesOf };
