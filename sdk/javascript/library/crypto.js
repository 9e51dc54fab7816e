// `crypto`: hashes, HMACs, random bytes, key derivation. Ciphers, signatures and certificates there are none: the error
// says so.
"use strict";
const native = require("native");
const { withCode, withHiddenCode, invalidArgType, outOfRange } = require("errors");

const ALGORITHMS = { md5: "md5", sha1: "sha1", sha224: "sha224", sha256: "sha256", sha384: "sha384", sha512: "sha512", "sha-1": "sha1", "sha-224": "sha224", "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512", "rsa-md5": "md5", "rsa-sha1": "sha1", "rsa-sha256": "sha256", "rsa-sha512": "sha512" };
const NAMES = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

function bytesOf(data, name = "data", encoding) {
  if (typeof data === "string") return encoding === undefined || encoding === "utf8" || encoding === "utf-8" ? native.utf8Encode(data) : Buffer.from(data, encoding === "buffer" ? "utf8" : encoding);
  if (data instanceof Uint8Array) return data;
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (data instanceof KeyObject) return data.export();
  throw invalidArgType(name, ["string", "Buffer", "TypedArray", "DataView"], data);
}

const asBuffer = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const encoded = (bytes, encoding) => (encoding && encoding !== "buffer" ? asBuffer(bytes).toString(encoding) : asBuffer(bytes));

function state(algorithm, what) {
  if (typeof algorithm !== "string") throw invalidArgType(what, "string", algorithm);
  const name = ALGORITHMS[algorithm.toLowerCase()];
  return name === undefined ? undefined : native.hashNew(name);
}

// ── hashes ──────────────────────────────────────────────────────────────────────────────────────────────────────

// What is written to it and read from it as a stream goes through update and digest.
const asStream = (self) => {
  let stream;
  const chunk = () => {
    const { PassThrough } = require("stream");
    stream ??= new PassThrough();
    return stream;
  };
  Object.defineProperties(self, {
    end: {
      value(data, encoding) {
        if (data !== undefined) self.update(data, encoding);
        chunk().end(self.digest());
        return self;
      },
    },
    write: {
      value(data, encoding, done) {
        self.update(data, typeof encoding === "string" ? encoding : undefined);
        const callback = typeof encoding === "function" ? encoding : done;
        if (callback) process.nextTick(callback);
        return true;
      },
    },
    on: { value: (name, listener) => (chunk().on(name, listener), self) },
    once: { value: (name, listener) => (chunk().once(name, listener), self) },
    emit: { value: (...values) => chunk().emit(...values) },
    removeListener: { value: (name, listener) => (chunk().removeListener(name, listener), self) },
    pipe: { value: (target) => chunk().pipe(target) },
    read: { value: (n) => chunk().read(n) },
    setEncoding: { value: (encoding) => (chunk().setEncoding(encoding), self) },
    writable: { value: true },
  });
  return self;
};

class Hash {
  #state;
  #done = false;
  constructor(algorithm, given) {
    this.#state = given ?? state(algorithm, "algorithm");
    if (!this.#state) throw new Error("Digest method not supported");
    asStream(this);
  }
  update(data, encoding) {
    if (this.#done) throw withCode(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
    native.hashUpdate(this.#state, bytesOf(data, "data", encoding));
    return this;
  }
  digest(encoding) {
    if (this.#done) throw withCode(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
    this.#done = true;
    return encoded(native.hashDigest(this.#state), encoding);
  }
  copy() {
    if (this.#done) throw withCode(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
    return new Hash(undefined, this.#state.slice());
  }
}

class Hmac {
  #inner;
  #outer;
  #done = false;
  constructor(algorithm, key) {
    this.#inner = state(algorithm, "hmac");
    if (!this.#inner) throw withCode(Error, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${algorithm}`);
    this.#outer = this.#inner.slice();
    keyed(this.#inner, this.#outer, bytesOf(key, "key"));
    asStream(this);
  }
  update(data, encoding) {
    if (this.#done) throw withCode(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
    native.hashUpdate(this.#inner, bytesOf(data, "data", encoding));
    return this;
  }
  digest(encoding) {
    if (this.#done) return encoding && encoding !== "buffer" ? "" : Buffer.alloc(0);
    this.#done = true;
    native.hashUpdate(this.#outer, native.hashDigest(this.#inner));
    return encoded(native.hashDigest(this.#outer), encoding);
  }
}

// Feeds the key's two pads (RFC 2104) to the two states.
function keyed(inner, outer, key) {
  const size = native.hashBlockBytes(inner);
  if (key.length > size) {
    const long = inner.slice();
    native.hashUpdate(long, key);
    key = native.hashDigest(long);
  }
  const pad = new Uint8Array(size);
  pad.set(key);
  native.hashUpdate(inner, pad.map((b) => b ^ 0x36));
  native.hashUpdate(outer, pad.map((b) => b ^ 0x5c));
}

// A function of data that gives its HMAC, with the key's pads done once.
function macOf(algorithm, key) {
  const inner = state(algorithm, "digest");
  if (!inner) throw withCode(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${algorithm}`);
  const outer = inner.slice();
  keyed(inner, outer, key);
  return (...parts) => {
    const i = inner.slice();
    for (const part of parts) native.hashUpdate(i, part);
    const o = outer.slice();
    native.hashUpdate(o, native.hashDigest(i));
    return native.hashDigest(o);
  };
}

function hash(algorithm, data, encoding = "hex") {
  return new Hash(algorithm).update(data).digest(encoding);
}

// ── keys from passwords ─────────────────────────────────────────────────────────────────────────────────────────

function pbkdf2Sync(password, salt, iterations, length, digest) {
  if (typeof digest !== "string") throw invalidArgType("digest", "string", digest);
  if (typeof iterations !== "number") throw invalidArgType("iterations", "number", iterations);
  if (!(iterations >= 1)) throw outOfRange("iterations", ">= 1 && <= 2147483647", iterations);
  const mac = macOf(digest, bytesOf(password, "password"));
  const salted = bytesOf(salt, "salt");
  const made = Buffer.alloc(length);
  for (let block = 1, at = 0; at < length; block++) {
    let u = mac(salted, new Uint8Array([block >>> 24, block >>> 16, block >>> 8, block]));
    const t = u.slice();
    for (let i = 1; i < iterations; i++) {
      u = mac(u);
      for (let j = 0; j < t.length; j++) t[j] ^= u[j];
    }
    made.set(t.subarray(0, Math.min(t.length, length - at)), at);
    at += t.length;
  }
  return made;
}

function hkdfSync(digest, key, salt, info, length) {
  const prk = macOf(digest, bytesOf(salt, "salt"))(bytesOf(key, "ikm"));
  const mac = macOf(digest, prk);
  const infoBytes = bytesOf(info, "info");
  const made = new Uint8Array(length);
  let t = new Uint8Array(0);
  for (let block = 1, at = 0; at < length; block++) {
    t = mac(t, infoBytes, new Uint8Array([block]));
    made.set(t.subarray(0, Math.min(t.length, length - at)), at);
    at += t.length;
  }
  return made.buffer;
}

// A function with a callback from one that answers at once.
const called = (act) =>
  function (...values) {
    const callback = values.pop();
    if (typeof callback !== "function") throw invalidArgType("callback", "function", callback);
    require("loop").later(() => act(...values)).then((value) => process.nextTick(callback, null, value), (error) => process.nextTick(callback, error));
  };

// ── random ──────────────────────────────────────────────────────────────────────────────────────────────────────

function randomBytes(size, callback) {
  if (typeof size !== "number") throw invalidArgType("size", "number", size);
  if (!(size >= 0 && size <= 2147483647)) throw outOfRange("size", ">= 0 && <= 2147483647", size);
  const made = Buffer.alloc(size);
  native.randomFill(made);
  if (callback === undefined) return made;
  process.nextTick(callback, null, made);
  return undefined;
}

function randomFillSync(target, offset = 0, size) {
  const bytes = bytesOf(target, "buf");
  native.randomFill(bytes.subarray(offset, size === undefined ? undefined : offset + size));
  return target;
}

// The next integer below `range`, without bias.
function below(range) {
  const bytes = new Uint8Array(6);
  const limit = 2 ** 48 - (2 ** 48 % range);
  for (;;) {
    native.randomFill(bytes);
    let value = 0;
    for (const byte of bytes) value = value * 256 + byte;
    if (value < limit) return value % range;
  }
}

function randomInt(min, max, callback) {
  if (max === undefined || typeof max === "function") [min, max, callback] = [0, min, max];
  if (!Number.isSafeInteger(min)) throw invalidArgType("min", "a safe integer", min);
  if (!Number.isSafeInteger(max)) throw invalidArgType("max", "a safe integer", max);
  if (max <= min) throw outOfRange("max", `greater than the value of "min" (${min})`, max);
  const value = min + below(max - min);
  if (!callback) return value;
  process.nextTick(callback, undefined, value);
  return undefined;
}

function randomUUID() {
  const bytes = new Uint8Array(16);
  native.randomFill(bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = native.hexDecode(bytes);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function timingSafeEqual(a, b) {
  const bytes = (value, name) => {
    if (typeof value === "string" || !(ArrayBuffer.isView(value) || value instanceof ArrayBuffer)) throw invalidArgType(name, ["ArrayBuffer", "Buffer", "TypedArray", "DataView"], value);
    return bytesOf(value, name);
  };
  const [x, y] = [bytes(a, "buf1"), bytes(b, "buf2")];
  if (x.length !== y.length) throw withHiddenCode(RangeError, "ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH", "Input buffers must have the same byte length");
  return native.equalInConstantTime(x, y);
}

// ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────

class KeyObject {
  #bytes;
  constructor(bytes) {
    this.#bytes = bytes;
  }
  get type() {
    return "secret";
  }
  get symmetricKeySize() {
    return this.#bytes.length;
  }
  export(options) {
    if (options?.format === "jwk") return { kty: "oct", k: asBuffer(this.#bytes).toString("base64url") };
    return asBuffer(this.#bytes.slice());
  }
  equals(other) {
    return other instanceof KeyObject && native.compare(this.#bytes, other.export()) === 0;
  }
}

// What is missing, by the name under which it is asked for.
const ABSENT = (
  "createCipheriv createDecipheriv createSign createVerify createDiffieHellman createECDH createPrivateKey createPublicKey " +
  "generateKeyPair generateKeyPairSync privateDecrypt privateEncrypt publicDecrypt publicEncrypt sign verify scrypt scryptSync diffieHellman"
).split(" ");
const absent = (name) => () => {
  throw withCode(Error, "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM", `crypto.${name} is not in isolet's JavaScript: there are hashes, HMAC, PBKDF2, HKDF and random bytes; use a package in plain JavaScript for ciphers and signatures`);
};

module.exports = {
  createHash: (algorithm) => new Hash(algorithm),
  createHmac: (algorithm, key) => new Hmac(algorithm, key),
  hash,
  Hash,
  Hmac,
  getHashes: () => [...NAMES],
  getCiphers: () => [],
  getCurves: () => [],
  getFips: () => 0,
  pbkdf2Sync,
  pbkdf2: called(pbkdf2Sync),
  hkdfSync,
  hkdf: called(hkdfSync),
  randomBytes,
  pseudoRandomBytes: randomBytes,
  rng: randomBytes,
  randomFillSync,
  randomFill(target, ...rest) {
    const callback = rest.pop();
    randomFillSync(target, ...rest);
    process.nextTick(callback, null, target);
  },
  randomInt,
  randomUUID,
  timingSafeEqual,
  KeyObject,
  createSecretKey: (key, encoding) => new KeyObject(Uint8Array.from(bytesOf(key, "key", encoding))),
  generateKeySync: (type, { length }) => new KeyObject(randomBytes(length >>> 3)),
  constants: {},
  ...Object.fromEntries(ABSENT.map((name) => [name, absent(name)])),
  get webcrypto() {
    return globalThis.crypto;
  },
  get subtle() {
    return globalThis.crypto.subtle;
  },
  getRandomValues: (array) => globalThis.crypto.getRandomValues(array),
};
Object.defineProperties(module.exports, { macOf: { value: macOf, enumerable: false }, bytesOf: { value: bytesOf, enumerable: false } });
