// `zlib`: gzip, zlib and raw DEFLATE, whole buffers at a time. No Brotli, no Zstandard.
"use strict";
const native = require("native");
const { later } = require("loop");
const { invalidArgType, withCode } = require("errors");

const LENGTH_MAX = 2 ** 30;
const MESSAGES = {
  "unexpected end of file": ["Z_BUF_ERROR", -5],
  "invalid data": ["Z_DATA_ERROR", -3],
  "incorrect header check": ["Z_DATA_ERROR", -3],
  "incorrect data check": ["Z_DATA_ERROR", -3],
};

function failure(message) {
  if (message === "too large") return withCode(RangeError, "ERR_BUFFER_TOO_LARGE", "Cannot create a Buffer larger than the limit");
  const [code, errno] = MESSAGES[message];
  return Object.assign(new Error(message === "invalid data" ? "invalid stored block lengths" : message), { errno, code });
}

function bytesOf(data) {
  if (typeof data === "string") return native.utf8Encode(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw invalidArgType("buffer", ["string", "Buffer", "TypedArray", "DataView", "ArrayBuffer"], data);
}

const asBuffer = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function inflated(bytes, from, options) {
  const made = native.inflate(bytes, from, options?.maxOutputLength ?? LENGTH_MAX);
  if (typeof made === "string") throw failure(made);
  return made;
}

const inflateRawSync = (data, options) => asBuffer(inflated(bytesOf(data), 0, options)[0]);

function inflateSync(data, options) {
  const bytes = bytesOf(data);
  if (bytes.length < 2) throw failure("unexpected end of file");
  if ((bytes[0] & 15) !== 8 || ((bytes[0] << 8) | bytes[1]) % 31) throw failure("incorrect header check");
  const [made, end] = inflated(bytes, 2, options);
  if (end + 4 > bytes.length) throw failure("unexpected end of file");
  if (asBuffer(bytes).readUInt32BE(end) !== native.adler32(made)) throw failure("incorrect data check");
  return asBuffer(made);
}

// Where a gzip member's data begins.
function afterHeader(bytes, at) {
  if (bytes.length - at < 18) throw failure("unexpected end of file");
  if (bytes[at] !== 0x1f || bytes[at + 1] !== 0x8b || bytes[at + 2] !== 8) throw failure("incorrect header check");
  const flags = bytes[at + 3];
  at += 10;
  if (flags & 4) at += 2 + (bytes[at] | (bytes[at + 1] << 8));
  for (const flag of [8, 16]) if (flags & flag) at = bytes.indexOf(0, at) + 1;
  return flags & 2 ? at + 2 : at;
}

function gunzipSync(data, options) {
  const bytes = bytesOf(data);
  const view = asBuffer(bytes);
  const parts = [];
  for (let at = 0; at < bytes.length && (at === 0 || bytes[at] === 0x1f); ) {
    const [made, end] = inflated(bytes, afterHeader(bytes, at), options);
    if (end + 8 > bytes.length) throw failure("unexpected end of file");
    if (view.readUInt32LE(end) !== native.crc32(made)) throw failure("incorrect data check");
    parts.push(made);
    at = end + 8;
  }
  if (!parts.length) throw failure("unexpected end of file");
  return Buffer.concat(parts);
}

const unzipSync = (data, options) => (bytesOf(data)[0] === 0x1f ? gunzipSync(data, options) : inflateSync(data, options));
const deflateRawSync = (data) => asBuffer(native.deflate(bytesOf(data)));

function deflateSync(data) {
  const bytes = bytesOf(data);
  const tail = Buffer.alloc(4);
  tail.writeUInt32BE(native.adler32(bytes));
  return Buffer.concat([Buffer.from([0x78, 0x9c]), native.deflate(bytes), tail]);
}

function gzipSync(data) {
  const bytes = bytesOf(data);
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(native.crc32(bytes));
  tail.writeUInt32LE(bytes.length % 2 ** 32, 4);
  return Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]), native.deflate(bytes), tail]);
}

const sync = { inflateRawSync, inflateSync, gunzipSync, unzipSync, deflateRawSync, deflateSync, gzipSync };
const callbacks = {};
const streams = {};
for (const [name, act] of Object.entries(sync)) {
  const short = name.slice(0, -4);
  callbacks[short] = (data, options, callback) => {
    if (typeof options === "function") [callback, options] = [options, undefined];
    if (typeof callback !== "function") throw invalidArgType("callback", "function", callback);
    later(() => act(data, options)).then((made) => process.nextTick(callback, null, made), (error) => process.nextTick(callback, error));
  };
  // A stream keeps what is written until its end.
  streams[`create${short[0].toUpperCase()}${short.slice(1)}`] = (options) => {
    const chunks = [];
    return new (require("stream").Transform)({
      transform(chunk, encoding, done) {
        chunks.push(chunk);
        done();
      },
      flush(done) {
        try {
          done(null, act(Buffer.concat(chunks), options));
        } catch (error) {
          done(error);
        }
      },
    });
  };
}

module.exports = {
  ...sync,
  ...callbacks,
  ...streams,
  crc32: (data, value = 0) => native.crc32(bytesOf(data), value),
  constants: { Z_NO_FLUSH: 0, Z_SYNC_FLUSH: 2, Z_FINISH: 4, Z_OK: 0, Z_DATA_ERROR: -3, Z_BUF_ERROR: -5, Z_NO_COMPRESSION: 0, Z_BEST_SPEED: 1, Z_BEST_COMPRESSION: 9, Z_DEFAULT_COMPRESSION: -1, Z_DEFAULT_STRATEGY: 0 },
};
