// `Buffer`: a Uint8Array with Node's methods. What costs is in C (text.c).
"use strict";
const native = require("native");
const { withCode, invalidArgType, invalidArgValue, outOfRange } = require("errors");
const CUSTOM = Symbol.for("nodejs.util.inspect.custom");

const LENGTH_MAX = 2 ** 53 - 1; // what Node says; memory ends long before

// ── encodings ───────────────────────────────────────────────────────────────────────────────────────────────────

// Each: text to bytes, a range of bytes to text, how many bytes a text has.
const CODECS = {
  utf8: [native.utf8Encode, native.utf8Decode, native.utf8Length],
  latin1: [native.latin1Encode, native.latin1Decode, (text) => text.length],
  ascii: [native.latin1Encode, (bytes, from, to) => native.latin1Decode(bytes, from, to, true), (text) => text.length],
  utf16le: [native.utf16Encode, native.utf16Decode, (text) => 2 * text.length],
  hex: [native.hexEncode, native.hexDecode, (text) => text.length >>> 1],
  base64: [native.base64Encode, native.base64Decode, base64Length],
  base64url: [native.base64Encode, (bytes, from, to) => native.base64Decode(bytes, from, to, true), base64Length],
};
const ALIASES = { "utf-8": "utf8", binary: "latin1", ucs2: "utf16le", "ucs-2": "utf16le", "utf-16le": "utf16le" };

function base64Length(text) {
  let length = text.length;
  if (text[length - 1] === "=") length--;
  if (text[length - 1] === "=") length--;
  return (length * 3) >>> 2;
}

// The encoding's own name; undefined for none of Node's.
function encodingName(encoding) {
  if (encoding === undefined || encoding === null || encoding === "") return "utf8";
  if (CODECS[encoding] && Object.hasOwn(CODECS, encoding)) return encoding;
  const lower = `${encoding}`.toLowerCase();
  if (Object.hasOwn(CODECS, lower)) return lower;
  return Object.hasOwn(ALIASES, lower) ? ALIASES[lower] : undefined;
}

function codec(encoding) {
  const name = encodingName(encoding);
  if (!name) throw withCode(TypeError, "ERR_UNKNOWN_ENCODING", `Unknown encoding: ${encoding}`);
  return CODECS[name];
}

// ── making ──────────────────────────────────────────────────────────────────────────────────────────────────────

function sized(size) {
  if (typeof size !== "number") throw invalidArgType("size", "number", size);
  if (!(size >= 0 && size <= LENGTH_MAX)) throw outOfRange("size", `>= 0 && <= ${LENGTH_MAX}`, size);
  return size;
}

const asBuffer = (bytes) => Object.setPrototypeOf(bytes, Buffer.prototype);

// `new Buffer(…)` and `Buffer(…)`, as old packages call it.
function Buffer(value, encodingOrOffset, length) {
  if (typeof value === "number") {
    if (typeof encodingOrOffset === "string") throw invalidArgType("string", "string", value);
    return Buffer.alloc(value);
  }
  return Buffer.from(value, encodingOrOffset, length);
}
Object.setPrototypeOf(Buffer, Uint8Array);
Object.setPrototypeOf(Buffer.prototype, Uint8Array.prototype);

const isShared = (value) => Object.prototype.toString.call(value) === "[object SharedArrayBuffer]";

function from(value, encodingOrOffset, length) {
  if (typeof value === "string") return asBuffer(codec(typeof encodingOrOffset === "string" ? encodingOrOffset : undefined)[0](value));
  if (typeof value === "object" && value !== null) {
    if (value instanceof ArrayBuffer || isShared(value)) return fromArrayBuffer(value, encodingOrOffset, length);
    const inner = typeof value.valueOf === "function" ? value.valueOf() : undefined;
    if (inner !== undefined && inner !== null && inner !== value && (typeof inner === "string" || typeof inner === "object")) return from(inner, encodingOrOffset, length);
    const made = fromObject(value);
    if (made) return made;
    const convert = value[Symbol.toPrimitive];
    if (typeof convert === "function") {
      const text = convert.call(value, "string");
      if (typeof text === "string") return from(text, encodingOrOffset);
    }
  }
  throw firstArgument(value);
}

function firstArgument(value) {
  const error = invalidArgType("first argument", "string", value);
  const received = error.message.slice(error.message.indexOf(" Received"));
  return withCode(
    TypeError,
    "ERR_INVALID_ARG_TYPE",
    `The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object.${received}`,
  );
}

function fromArrayBuffer(buffer, offset, length) {
  offset = offset === undefined ? 0 : +offset || 0;
  const most = buffer.byteLength - offset;
  if (most < 0) throw withCode(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", '"offset" is outside of buffer bounds');
  if (length === undefined) length = most;
  else {
    length = +length;
    if (!(length > 0)) length = 0;
    if (length > most) throw withCode(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", '"length" is outside of buffer bounds');
  }
  return asBuffer(new Uint8Array(buffer, offset, length));
}

function fromObject(value) {
  if (value.length !== undefined || value.buffer instanceof ArrayBuffer) {
    if (typeof value.length !== "number") return Buffer.alloc(0);
    if (value instanceof Uint8Array) return asBuffer(new Uint8Array(value));
    const made = new Uint8Array(value.length > 0 ? value.length : 0);
    for (let i = 0; i < made.length; i++) made[i] = value[i];
    return asBuffer(made);
  }
  if (value.type === "Buffer" && Array.isArray(value.data)) return asBuffer(new Uint8Array(value.data));
  return undefined;
}

function concat(list, total) {
  if (!Array.isArray(list)) throw invalidArgType("list", "Array", list);
  list.forEach((part, i) => {
    if (!(part instanceof Uint8Array)) throw invalidArgType(`list[${i}]`, ["Buffer", "Uint8Array"], part);
  });
  if (total === undefined) total = list.reduce((sum, part) => sum + part.length, 0);
  const made = Buffer.alloc(Math.trunc(total));
  let at = 0;
  for (const part of list) {
    if (at >= made.length) break;
    made.set(at + part.length > made.length ? part.subarray(0, made.length - at) : part, at);
    at += part.length;
  }
  return made;
}

Object.assign(Buffer, {
  from,
  concat,
  of: (...values) => asBuffer(new Uint8Array(values)),
  alloc(size, fill, encoding) {
    const made = asBuffer(new Uint8Array(sized(size)));
    return fill !== undefined && fill !== 0 && size > 0 ? made.fill(fill, encoding) : made;
  },
  allocUnsafe: (size) => asBuffer(new Uint8Array(sized(size))),
  allocUnsafeSlow: (size) => asBuffer(new Uint8Array(sized(size))),
  isBuffer: (value) => value instanceof Buffer,
  isEncoding: (encoding) => typeof encoding === "string" && encoding !== "" && encodingName(encoding) !== undefined,
  byteLength(value, encoding) {
    if (typeof value === "string") return (CODECS[encodingName(encoding) ?? "utf8"])[2](value);
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || isShared(value)) return value.byteLength;
    throw invalidArgType("string", ["string", "Buffer", "ArrayBuffer"], value);
  },
  compare(a, b) {
    return native.compare(bytesArgument(a, "buf1"), bytesArgument(b, "buf2"));
  },
  copyBytesFrom(view, offset = 0, length) {
    const part = view.subarray(offset, length === undefined ? undefined : offset + length);
    return asBuffer(new Uint8Array(part.buffer, part.byteOffset, part.byteLength).slice());
  },
  poolSize: 8192,
});
Object.defineProperty(Buffer, Symbol.species, { get: () => Buffer, configurable: true });

function bytesArgument(value, name) {
  if (!(value instanceof Uint8Array)) throw invalidArgType(name, ["Buffer", "Uint8Array"], value);
  return value;
}

// ── methods ─────────────────────────────────────────────────────────────────────────────────────────────────────

const clamp = (value, fallback, most) => {
  if (value === undefined) return fallback;
  value = Math.trunc(+value);
  if (!(value > 0)) return 0;
  return value > most ? most : value;
};

function bidirectionalIndex(buffer, value, offset, encoding, last) {
  if (typeof offset === "string") {
    encoding = offset;
    offset = undefined;
  }
  offset = +offset;
  if (Number.isNaN(offset)) offset = last ? buffer.length : 0;
  offset = Math.trunc(offset);
  if (typeof value === "number") value = new Uint8Array([value & 255]);
  else if (typeof value === "string") value = codec(encoding)[0](value);
  else if (!(value instanceof Uint8Array)) throw invalidArgType("value", ["number", "string", "Buffer", "Uint8Array"], value);
  if (offset < 0) offset += buffer.length;
  if (offset < 0) {
    if (last) return -1;
    offset = 0;
  }
  if (offset > buffer.length) offset = last ? buffer.length : buffer.length;
  if (value.length === 0) return last ? Math.min(offset, buffer.length) : Math.min(offset, buffer.length);
  return native.indexOf(buffer, value, offset, last);
}

function swapped(buffer, size) {
  if (buffer.length % size) throw withCode(RangeError, "ERR_INVALID_BUFFER_SIZE", `Buffer size must be a multiple of ${size * 8}-bits`);
  for (let at = 0; at < buffer.length; at += size) Uint8Array.prototype.subarray.call(buffer, at, at + size).reverse();
  return buffer;
}

// Where a part begins and how long it is, both ends counted from the end if they are negative.
function within(buffer, start, end) {
  const place = (value, fallback) => {
    if (value === undefined) return fallback;
    value = Math.trunc(+value) || 0;
    if (value < 0) value += buffer.length;
    return value < 0 ? 0 : value > buffer.length ? buffer.length : value;
  };
  const from = place(start, 0);
  const to = place(end, buffer.length);
  return [buffer.byteOffset + from, to > from ? to - from : 0];
}

const methods = {
  toString(encoding, start, end) {
    if (arguments.length === 0) return native.utf8Decode(this);
    const from = clamp(start, 0, this.length);
    const to = clamp(end, this.length, this.length);
    return to <= from ? (codec(encoding), "") : codec(encoding)[1](this, from, to);
  },
  toLocaleString(encoding, start, end) {
    return this.toString(encoding, start, end);
  },
  toJSON() {
    return { type: "Buffer", data: Array.from(this) };
  },
  equals(other) {
    if (!(other instanceof Uint8Array)) throw invalidArgType("otherBuffer", ["Buffer", "Uint8Array"], other);
    return this === other || (this.length === other.length && native.compare(this, other) === 0);
  },
  compare(target, targetStart, targetEnd, sourceStart, sourceEnd) {
    bytesArgument(target, "target");
    const a = this.subarray(sourceStart ?? 0, sourceEnd ?? this.length);
    const b = Uint8Array.prototype.subarray.call(target, targetStart ?? 0, targetEnd ?? target.length);
    return native.compare(a, b);
  },
  indexOf(value, offset, encoding) {
    return bidirectionalIndex(this, value, offset, encoding, false);
  },
  lastIndexOf(value, offset, encoding) {
    return bidirectionalIndex(this, value, offset, encoding, true);
  },
  includes(value, offset, encoding) {
    return this.indexOf(value, offset, encoding) !== -1;
  },
  slice(start, end) {
    return this.subarray(start, end);
  },
  subarray(start, end) {
    return asBuffer(new Uint8Array(this.buffer, ...within(this, start, end)));
  },
  copy(target, targetStart = 0, start = 0, end = this.length) {
    bytesArgument(target, "target");
    if (targetStart < 0) throw outOfRange("targetStart", ">= 0", targetStart);
    if (start < 0 || start > this.length) throw outOfRange("sourceStart", `>= 0 && <= ${this.length}`, start);
    if (targetStart >= target.length || start >= end) return 0;
    const part = Uint8Array.prototype.subarray.call(this, start, Math.min(end, start + target.length - targetStart));
    Uint8Array.prototype.set.call(target, part, targetStart);
    return part.length;
  },
  write(text, offset, length, encoding) {
    if (typeof text !== "string") throw invalidArgType("argument", "string", text);
    if (typeof offset === "string") [encoding, offset, length] = [offset, 0, undefined];
    else if (typeof length === "string") [encoding, length] = [length, undefined];
    offset = offset === undefined ? 0 : Math.trunc(+offset) || 0;
    if (offset < 0 || offset > this.length) throw outOfRange("offset", `>= 0 && <= ${this.length}`, offset);
    const room = this.length - offset;
    length = length === undefined ? room : Math.min(Math.trunc(+length) || 0, room);
    let bytes = codec(encoding)[0](text);
    if (bytes.length > length) {
      const name = encodingName(encoding);
      let end = length;
      if (name === "utf8") end -= native.utf8Unfinished(bytes, 0, length);
      if (name === "utf16le") end -= end % 2;
      bytes = bytes.subarray(0, end);
    }
    Uint8Array.prototype.set.call(this, bytes, offset);
    return bytes.length;
  },
  fill(value, offset, end, encoding) {
    if (typeof offset === "string") [encoding, offset, end] = [offset, undefined, undefined];
    else if (typeof end === "string") [encoding, end] = [end, undefined];
    if (offset !== undefined && (offset < 0 || offset > this.length)) throw outOfRange("offset", `>= 0 && <= ${this.length}`, offset);
    if (end !== undefined && (end < 0 || end > this.length)) throw outOfRange("end", `>= 0 && <= ${this.length}`, end);
    offset ??= 0;
    end ??= this.length;
    if (typeof value === "string" || value instanceof Uint8Array) {
      const bytes = typeof value === "string" ? codec(encoding)[0](value) : value;
      if (bytes.length === 0) {
        if (typeof value === "string" && value.length) throw invalidArgValue("value", value);
        return Uint8Array.prototype.fill.call(this, 0, offset, end);
      }
      for (let at = offset, i = 0; at < end; at++, i = i + 1 === bytes.length ? 0 : i + 1) this[at] = bytes[i];
      return this;
    }
    return Uint8Array.prototype.fill.call(this, typeof value === "boolean" ? +value : value & 255, offset, end);
  },
  swap16() {
    return swapped(this, 2);
  },
  swap32() {
    return swapped(this, 4);
  },
  swap64() {
    return swapped(this, 8);
  },
  [CUSTOM](depth, ctx, inspect) {
    const most = module.exports.INSPECT_MAX_BYTES;
    let hex = native.hexDecode(this, 0, most).replace(/(..)(?!$)/g, "$1 ");
    const rest = this.length - most;
    if (rest > 0) hex += ` ... ${rest} more byte${rest > 1 ? "s" : ""}`;
    const keys = Object.keys(this).filter((key) => !/^\d+$/.test(key));
    if (keys.length && inspect) {
      const extra = Object.fromEntries(keys.map((key) => [key, this[key]]));
      hex += `${this.length ? ", " : ""}${inspect(extra, { ...ctx, breakLength: Infinity, compact: true }).slice(1, -1).trim()}`;
    }
    return `<${this.constructor.name} ${hex}>`;
  },
  readBigInt64LE: reader("getBigInt64", 8, true),
  readBigInt64BE: reader("getBigInt64", 8, false),
  readBigUInt64LE: reader("getBigUint64", 8, true),
  readBigUInt64BE: reader("getBigUint64", 8, false),
};
methods.inspect = methods[CUSTOM];
methods.toLocaleString = methods.toString;

// ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────

const dataView = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);

function checkedOffset(buffer, offset, size) {
  if (typeof offset !== "number") throw invalidArgType("offset", "number", offset);
  if (offset >= 0 && offset + size <= buffer.length && Number.isInteger(offset)) return;
  if (!Number.isInteger(offset)) throw outOfRange("offset", "an integer", offset);
  if (buffer.length - size < 0) throw withCode(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", "Attempt to access memory outside buffer bounds");
  throw outOfRange("offset", `>= 0 and <= ${buffer.length - size}`, offset);
}

function reader(get, size, little) {
  return function (offset = 0) {
    checkedOffset(this, offset, size);
    return dataView(this)[get](offset, little);
  };
}

function writer(set, size, little, low, high) {
  return function (value, offset = 0) {
    if (low !== undefined) {
      if (typeof low === "bigint" && typeof value !== "bigint") throw invalidArgType("value", "bigint", value);
      if (typeof low !== "bigint") value = +value;
      if (value < low || value > high) throw rangeOf(value, low, high, size);
    }
    checkedOffset(this, offset, size);
    dataView(this)[set](offset, value, little);
    return offset + size;
  };
}

function rangeOf(value, low, high, size) {
  const n = typeof low === "bigint" ? "n" : "";
  let range;
  if (size > 4) range = low == 0 ? `>= 0${n} and < 2${n} ** ${size * 8}${n}` : `>= -(2${n} ** ${size * 8 - 1}${n}) and < 2${n} ** ${size * 8 - 1}${n}`;
  else range = `>= ${low}${n} and <= ${high}${n}`;
  return outOfRange("value", range, value);
}

function checkedLength(length) {
  if (typeof length !== "number") throw invalidArgType("byteLength", "number", length);
  if (!Number.isInteger(length)) throw outOfRange("byteLength", "an integer", length);
  if (length < 1 || length > 6) throw outOfRange("byteLength", ">= 1 and <= 6", length);
}

function readInteger(little, signed) {
  return function (offset, length) {
    if (offset === undefined) throw invalidArgType("offset", "number", offset);
    checkedLength(length);
    checkedOffset(this, offset, length);
    let value = 0;
    for (let i = 0; i < length; i++) value = value * 256 + this[little ? offset + length - 1 - i : offset + i];
    return signed && value >= 2 ** (8 * length - 1) ? value - 2 ** (8 * length) : value;
  };
}

function writeInteger(little, signed) {
  return function (value, offset, length) {
    checkedLength(length);
    value = +value;
    const low = signed ? -(2 ** (8 * length - 1)) : 0;
    const high = 2 ** (8 * length - (signed ? 1 : 0)) - 1;
    if (value < low || value > high) throw rangeOf(value, low, high, length);
    checkedOffset(this, offset, length);
    if (value < 0) value += 2 ** (8 * length);
    for (let i = 0; i < length; i++) {
      this[little ? offset + i : offset + length - 1 - i] = value % 256;
      value = Math.floor(value / 256);
    }
    return offset + length;
  };
}

for (const [order, little] of [["LE", true], ["BE", false]]) {
  for (const [bits, size] of [[16, 2], [32, 4]]) {
    methods[`readUInt${bits}${order}`] = reader(`getUint${bits}`, size, little);
    methods[`readInt${bits}${order}`] = reader(`getInt${bits}`, size, little);
    methods[`writeUInt${bits}${order}`] = writer(`setUint${bits}`, size, little, 0, 2 ** bits - 1);
    methods[`writeInt${bits}${order}`] = writer(`setInt${bits}`, size, little, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1);
  }
  methods[`readFloat${order}`] = reader("getFloat32", 4, little);
  methods[`readDouble${order}`] = reader("getFloat64", 8, little);
  methods[`writeFloat${order}`] = writer("setFloat32", 4, little);
  methods[`writeDouble${order}`] = writer("setFloat64", 8, little);
  methods[`writeBigInt64${order}`] = writer("setBigInt64", 8, little, -(2n ** 63n), 2n ** 63n - 1n);
  methods[`writeBigUInt64${order}`] = writer("setBigUint64", 8, little, 0n, 2n ** 64n - 1n);
  methods[`readUInt${order}`] = readInteger(little, false);
  methods[`readInt${order}`] = readInteger(little, true);
  methods[`writeUInt${order}`] = writeInteger(little, false);
  methods[`writeInt${order}`] = writeInteger(little, true);
}
methods.readUInt8 = reader("getUint8", 1);
methods.readInt8 = reader("getInt8", 1);
methods.writeUInt8 = writer("setUint8", 1, false, 0, 255);
methods.writeInt8 = writer("setInt8", 1, false, -128, 127);
for (const name of Object.keys(methods)) if (name.includes("UInt")) methods[name.replace("UInt", "Uint")] = methods[name];

for (const [name, encoding] of [["ascii", "ascii"], ["base64", "base64"], ["base64url", "base64url"], ["hex", "hex"], ["latin1", "latin1"], ["ucs2", "utf16le"], ["utf8", "utf8"]]) {
  methods[`${name}Slice`] = function (start, end) {
    return this.toString(encoding, start, end);
  };
  methods[`${name}Write`] = function (text, offset, length) {
    return this.write(text, offset, length, encoding);
  };
}

for (const key of Reflect.ownKeys(methods)) {
  const value = methods[key];
  if (typeof key === "string" && (value.name === "" || value.name !== key)) Object.defineProperty(value, "name", { value: key, configurable: true });
  Object.defineProperty(Buffer.prototype, key, { value, writable: true, configurable: true, enumerable: true });
}
Object.defineProperties(Buffer.prototype, {
  constructor: { value: Buffer, writable: true, configurable: true, enumerable: false },
  parent: { get() { return this instanceof Buffer ? this.buffer : undefined; }, configurable: true },
  offset: { get() { return this instanceof Buffer ? this.byteOffset : undefined; }, configurable: true },
});

module.exports = {
  Buffer,
  SlowBuffer: (size) => Buffer.alloc(size),
  constants: { MAX_LENGTH: LENGTH_MAX, MAX_STRING_LENGTH: 2 ** 29 - 24 },
  kMaxLength: LENGTH_MAX,
  kStringMaxLength: 2 ** 29 - 24,
  INSPECT_MAX_BYTES: 50,
  atob: globalThis.atob,
  btoa: globalThis.btoa,
  isUtf8: (bytes) => native.utf8Valid(require("encoding").bytesOf(bytes)),
  isAscii: (bytes) => require("encoding").bytesOf(bytes).every((byte) => byte < 128),
  transcode(source, fromEncoding, toEncoding) {
    return Buffer.from(Buffer.from(source).toString(fromEncoding), toEncoding);
  },
  get Blob() {
    return globalThis.Blob;
  },
  get File() {
    return globalThis.File;
  },
};
Object.defineProperty(module.exports, "encodingName", { value: encodingName, enumerable: false });
