// `globalThis.crypto`, of the Web Cryptography API: random values, digests, HMAC, PBKDF2 and HKDF.
"use strict";
const native = require("native");
const node = require("crypto");
const types = require("util_types");

const INTEGER_ARRAYS = new Set(["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array"]);

const algorithmName = (algorithm) => `${typeof algorithm === "string" ? algorithm : algorithm?.name}`.toUpperCase();
const hashName = (hash) => algorithmName(hash);
const unsupported = (what) => new DOMException(`${what} is not in isolet's Web Crypto: there are SHA-1, SHA-2, HMAC, PBKDF2 and HKDF`, "NotSupportedError");
const exact = (bytes) => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const inputBytes = (data) => {
  if (!(ArrayBuffer.isView(data) || data instanceof ArrayBuffer)) throw new TypeError("The data must be an ArrayBuffer, a Buffer, a TypedArray or a DataView");
  return node.bytesOf(data);
};

let bytesOfKey;

class CryptoKey {
  #bytes;
  static {
    bytesOfKey = (key) => key.#bytes;
  }
  constructor(bytes, algorithm, extractable, usages) {
    this.#bytes = bytes;
    Object.assign(this, { type: "secret", extractable, algorithm, usages });
  }
}

const DIGESTS = new Set(["SHA-1", "SHA-256", "SHA-384", "SHA-512"]);

class SubtleCrypto {
  async digest(algorithm, data) {
    const name = algorithmName(algorithm);
    if (!DIGESTS.has(name)) throw unsupported(`the digest ${name}`);
    return exact(node.createHash(name).update(inputBytes(data)).digest());
  }
  async importKey(format, data, algorithm, extractable, usages) {
    const name = algorithmName(algorithm);
    if (!["HMAC", "PBKDF2", "HKDF"].includes(name)) throw unsupported(`the algorithm ${name}`);
    let bytes;
    if (format === "raw") bytes = Uint8Array.from(inputBytes(data));
    else if (format === "jwk") bytes = Buffer.from(data.k, "base64url");
    else throw unsupported(`the key format ${format}`);
    const described = name === "HMAC" ? { name, hash: { name: hashName(algorithm.hash) }, length: bytes.length * 8 } : { name };
    return new CryptoKey(bytes, described, extractable, [...usages]);
  }
  async generateKey(algorithm, extractable, usages) {
    const name = algorithmName(algorithm);
    if (name !== "HMAC") throw unsupported(`generating keys for ${name}`);
    const length = algorithm.length ?? (/384|512/.test(hashName(algorithm.hash)) ? 1024 : 512);
    return new CryptoKey(node.randomBytes(length / 8), { name, hash: { name: hashName(algorithm.hash) }, length }, extractable, [...usages]);
  }
  async exportKey(format, key) {
    if (!key.extractable) throw new DOMException("key is not extractable", "InvalidAccessError");
    const bytes = bytesOfKey(key);
    if (format === "jwk") return { kty: "oct", k: Buffer.from(bytes).toString("base64url"), alg: `HS${key.algorithm.hash?.name.slice(4)}`, key_ops: key.usages, ext: true };
    return exact(Uint8Array.from(bytes));
  }
  async sign(algorithm, key, data) {
    if (algorithmName(algorithm) !== "HMAC") throw unsupported(`signing with ${algorithmName(algorithm)}`);
    if (!key.usages.includes("sign")) throw new DOMException("Unable to use this key to sign", "InvalidAccessError");
    return exact(node.createHmac(key.algorithm.hash.name, bytesOfKey(key)).update(inputBytes(data)).digest());
  }
  async verify(algorithm, key, signature, data) {
    if (algorithmName(algorithm) !== "HMAC") throw unsupported(`verifying with ${algorithmName(algorithm)}`);
    if (!key.usages.includes("verify")) throw new DOMException("Unable to use this key to verify", "InvalidAccessError");
    return native.equalInConstantTime(node.createHmac(key.algorithm.hash.name, bytesOfKey(key)).update(inputBytes(data)).digest(), inputBytes(signature));
  }
  async deriveBits(algorithm, key, length) {
    const digest = hashName(algorithm.hash);
    if (algorithmName(algorithm) === "PBKDF2") return exact(node.pbkdf2Sync(bytesOfKey(key), inputBytes(algorithm.salt), algorithm.iterations, length / 8, digest));
    if (algorithmName(algorithm) === "HKDF") return node.hkdfSync(digest, bytesOfKey(key), inputBytes(algorithm.salt), inputBytes(algorithm.info), length / 8);
    throw unsupported(`deriving with ${algorithmName(algorithm)}`);
  }
  async deriveKey(algorithm, key, derived, extractable, usages) {
    const length = derived.length ?? (/384|512/.test(hashName(derived.hash)) ? 1024 : 512);
    return this.importKey("raw", await this.deriveBits(algorithm, key, length), derived, extractable, usages);
  }
  async encrypt(algorithm) {
    throw unsupported(`encrypting with ${algorithmName(algorithm)}`);
  }
  async decrypt(algorithm) {
    throw unsupported(`decrypting with ${algorithmName(algorithm)}`);
  }
}

class Crypto {
  #subtle = new SubtleCrypto();
  get subtle() {
    return this.#subtle;
  }
  getRandomValues(array) {
    if (!INTEGER_ARRAYS.has(types.nameOfTypedArray(array))) throw new DOMException("The data argument must be an integer-type TypedArray", "TypeMismatchError");
    if (array.byteLength > 65536) throw new DOMException(`The requested length exceeds 65,536 bytes`, "QuotaExceededError");
    native.randomFill(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return array;
  }
  randomUUID() {
    return node.randomUUID();
  }
}
for (const [Class, name] of [[Crypto, "Crypto"], [SubtleCrypto, "SubtleCrypto"], [CryptoKey, "CryptoKey"]])
  Object.defineProperty(Class.prototype, Symbol.toStringTag, { value: name, configurable: true });

module.exports = { crypto: new Crypto(), Crypto, SubtleCrypto, CryptoKey };
