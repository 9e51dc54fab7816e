// `string_decoder`: text from pieces of bytes that may end inside a character.
"use strict";
const native = require("native");
const { encodingName } = require("buffer");
const { withCode, invalidArgType } = require("errors");

// How many bytes at the end wait for what comes.
const UNFINISHED = {
  utf8: (bytes) => native.utf8Unfinished(bytes),
  utf16le(bytes) {
    const odd = bytes.length % 2;
    const end = bytes.length - odd;
    const last = end >= 2 ? bytes[end - 2] | (bytes[end - 1] << 8) : 0;
    return odd + (last >= 0xd800 && last <= 0xdbff ? 2 : 0);
  },
  base64: (bytes) => bytes.length % 3,
  base64url: (bytes) => bytes.length % 3,
};

class StringDecoder {
  constructor(encoding) {
    const name = encodingName(encoding);
    if (!name) throw withCode(TypeError, "ERR_UNKNOWN_ENCODING", `Unknown encoding: ${encoding}`);
    this.encoding = name;
    Object.defineProperty(this, "kept", { value: Buffer.alloc(0), writable: true, enumerable: false });
  }
  write(bytes) {
    if (typeof bytes === "string") return bytes;
    if (!ArrayBuffer.isView(bytes)) throw invalidArgType("buf", ["Buffer", "TypedArray", "DataView"], bytes);
    let all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.kept.length) all = Buffer.concat([this.kept, all]);
    const back = UNFINISHED[this.encoding]?.(all) ?? 0;
    this.kept = Buffer.from(all.subarray(all.length - back));
    return all.toString(this.encoding, 0, all.length - back);
  }
  end(bytes) {
    let text = bytes === undefined ? "" : this.write(bytes);
    if (this.kept.length) text += this.encoding === "utf16le" ? this.kept.toString("utf16le", 0, this.kept.length & ~1) : this.kept.toString(this.encoding);
    this.kept = Buffer.alloc(0);
    return text;
  }
}
Object.defineProperties(StringDecoder.prototype, {
  lastNeed: { get() { return this.kept.length; } },
});

module.exports = { StringDecoder };
