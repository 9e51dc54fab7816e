// `require("isolet")`, `import … from "isolet"`: what a function may ask of its host.
//
//   kv("counters").get(key) → value · getVersion(key) → { value, version } · put(key, value, { ttl, ifVersion }) → version
//                 .delete(key, { ifVersion }) → whether it was there · list(prefix, { limit, after }) → { keys, more }
//   invoke("resize", payload) → its result
//   secret("API_KEY") → string or Uint8Array
//   log(message, level)
//
// Laws:
// - All but `log` give promises. What the host refuses rejects them with a CapabilityError whose `type` says why, in a
//   class of its own: NotGranted names what to add to function.toml.
// - Values in kv are bytes; a string is stored as UTF-8, and `get` gives the bytes as a Buffer (toString makes text).
"use strict";
const native = require("native");
const { later } = require("loop");
const { invalidArgType } = require("errors");

class CapabilityError extends Error {
  constructor(type, message, cause) {
    super(message, cause === undefined ? undefined : { cause });
    this.type = type;
  }
  get name() {
    return this.constructor.name;
  }
}

const TYPES = [
  "NotGranted", "Conflict", "TooLarge", "LimitExceeded", "Invalid", "Refused", "Timeout", "ConnectionFailed",
  "TooManyRedirects", "UnknownFunction", "Throttled", "TooDeep", "FunctionError", "UnknownSecret",
];
const CLASSES = {};
for (const type of TYPES) CLASSES[type] = { [type]: class extends CapabilityError {} }[type];

// What the statuses of sdk/abi.md, section 4, mean.
const STATUSES = {
  [-1]: ["Invalid", "the request was malformed, or longer than 65,536 bytes"],
  [-2]: ["Invalid", "this host does not know the capability"],
  [-3]: ["NotGranted", "the capability is not granted; grant it under [capabilities] in function.toml"],
  [-4]: ["LimitExceeded", "refused: a limit is reached, or the function is being initialised; call it from the handler"],
  [-6]: ["HostError", "the host failed; try again"],
};

function failure({ type, message, cause }) {
  const Class = CLASSES[type] ?? CapabilityError;
  return new Class(type, message, cause);
}

// Calls the host now. Raises a CapabilityError.
function ask(request) {
  const reply = native.call(request);
  if (typeof reply === "number") {
    const [type, message] = STATUSES[reply] ?? ["HostError", `status ${reply}`];
    throw failure({ type, message: `${request[0]}: ${message}` });
  }
  if (reply !== null && typeof reply === "object" && reply.error) throw failure(reply.error);
  return reply?.ok;
}

const request = (...parts) => later(() => ask(parts));

function bytes(value, name) {
  if (typeof value === "string") return native.utf8Encode(value);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw invalidArgType(name, ["string", "Buffer", "ArrayBuffer"], value);
}

function text(value, name) {
  if (typeof value !== "string") throw invalidArgType(name, "string", value);
  return value;
}

const versioned = (ifVersion) => (ifVersion === undefined ? {} : { if_version: ifVersion });

class Namespace {
  #name;
  constructor(name) {
    this.#name = text(name, "namespace");
  }
  get name() {
    return this.#name;
  }
  // The value as a Buffer; null if there is none.
  async get(key) {
    return (await this.getVersion(key))?.value ?? null;
  }
  // { value, version }; null if there is none.
  async getVersion(key) {
    const found = await request("kv.get", this.#name, text(key, "key"));
    return found ? { value: Buffer.from(found.value.buffer, found.value.byteOffset, found.value.byteLength), version: found.version } : null;
  }
  // The version that was written. `ttl` in seconds; `ifVersion` 0: only if there is none.
  async put(key, value, { ttl, ifVersion } = {}) {
    const options = { ...(ttl === undefined ? {} : { ttl_s: ttl }), ...versioned(ifVersion) };
    return (await request("kv.put", this.#name, text(key, "key"), bytes(value, "value"), options)).version;
  }
  // Whether it was there.
  delete(key, { ifVersion } = {}) {
    return request("kv.delete", this.#name, text(key, "key"), versioned(ifVersion));
  }
  // { keys, more }, in order.
  list(prefix = "", { limit, after } = {}) {
    const options = { ...(limit === undefined ? {} : { limit }), ...(after === undefined ? {} : { after }) };
    return request("kv.list", this.#name, text(prefix, "prefix"), options);
  }
  // JSON instead of bytes.
  async getJSON(key) {
    const value = await this.get(key);
    return value === null ? null : JSON.parse(value.toString());
  }
  putJSON(key, value, options) {
    return this.put(key, JSON.stringify(value), options);
  }
}

const LEVELS = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, fatal: 5 };

module.exports = {
  kv: (namespace) => new Namespace(namespace),
  invoke: async (name, payload = null) => {
    const plain = JSON.parse(JSON.stringify(payload) ?? "null");
    return request("invoke", text(name, "name"), plain);
  },
  secret: async (name) => {
    const value = await request("secrets.get", text(name, "name"));
    return value instanceof Uint8Array ? Buffer.from(value) : value;
  },
  log: (message, level = "info") => native.log(LEVELS[level] ?? 2, `${message}`),
  get fetch() {
    return globalThis.fetch;
  },
  CapabilityError,
  ...CLASSES,
};
Object.defineProperty(module.exports, "ask", { value: ask, enumerable: false });
