// fetch, Headers, Request, Response, FormData, Blob: WHATWG's Fetch over the host's `fetch` capability.
//
// Laws:
// - A host that is not granted, or that refuses, rejects with a TypeError "fetch failed" whose `cause` is the
//   CapabilityError: as Node's, whose cause says why.
// - Bodies are whole on both sides. `body` is a stream of one piece.
"use strict";
const native = require("native");
const { invalidArgType } = require("errors");
const { TIMEOUT } = require("event_target");
const { later } = require("loop");
const { ask } = require("isolet");
const CUSTOM = Symbol.for("nodejs.util.inspect.custom");

// ── headers ─────────────────────────────────────────────────────────────────────────────────────────────────────

const TOKEN = /^[-!#$%&'*+.^_`|~A-Za-z0-9]+$/;

function headerName(name) {
  name = `${name}`;
  if (!TOKEN.test(name)) throw new TypeError(`Headers.append: ${name} is an invalid header name.`);
  return name.toLowerCase();
}

function headerValue(value) {
  value = `${value}`.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (/[\0\n\r]|[^\0-\xff]/.test(value)) throw new TypeError(`Headers.append: ${JSON.stringify(value)} is an invalid header value.`);
  return value;
}

class Headers {
  #map = new Map(); // lower-case name → values
  constructor(init) {
    if (init === undefined || init === null) return;
    if (typeof init !== "object" && typeof init !== "function") throw new TypeError("Headers constructor: init is given, but neither a sequence nor a record");
    const pairs = typeof init[Symbol.iterator] === "function" ? [...init] : Reflect.ownKeys(init).filter((k) => typeof k === "string").map((k) => [k, init[k]]);
    for (const pair of pairs) {
      const both = [...pair];
      if (both.length !== 2) throw new TypeError("Headers constructor: expected name/value pair to be length 2, found " + both.length + ".");
      this.append(both[0], both[1]);
    }
  }
  append(name, value) {
    name = headerName(name);
    const values = this.#map.get(name);
    if (values) values.push(headerValue(value));
    else this.#map.set(name, [headerValue(value)]);
  }
  set(name, value) {
    this.#map.set(headerName(name), [headerValue(value)]);
  }
  get(name) {
    const values = this.#map.get(headerName(name));
    return values ? values.join(", ") : null;
  }
  has(name) {
    return this.#map.has(headerName(name));
  }
  delete(name) {
    this.#map.delete(headerName(name));
  }
  getSetCookie() {
    return [...(this.#map.get("set-cookie") ?? [])];
  }
  *entries() {
    for (const name of [...this.#map.keys()].sort())
      if (name === "set-cookie") for (const value of this.#map.get(name)) yield [name, value];
      else if (this.#map.has(name)) yield [name, this.#map.get(name).join(", ")];
  }
  *keys() {
    for (const [name] of this.entries()) yield name;
  }
  *values() {
    for (const [, value] of this.entries()) yield value;
  }
  forEach(callback, self) {
    for (const [name, value] of this.entries()) callback.call(self, value, name, this);
  }
  [CUSTOM](depth, options, inspect) {
    return `Headers ${inspect(Object.fromEntries(this.entries()), options)}`;
  }
}
Headers.prototype[Symbol.iterator] = Headers.prototype.entries;
Object.defineProperty(Headers.prototype, Symbol.iterator, { enumerable: false });

// ── blobs and forms ─────────────────────────────────────────────────────────────────────────────────────────────

function joined(parts) {
  const pieces = [...parts].map((part) => {
    if (part instanceof Blob) return bytesOfBlob(part);
    if (part instanceof ArrayBuffer) return new Uint8Array(part);
    if (ArrayBuffer.isView(part)) return new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    return native.utf8Encode(`${part}`);
  });
  return new Uint8Array(Buffer.concat(pieces));
}

let bytesOfBlob;

class Blob {
  #bytes;
  #type;
  static {
    bytesOfBlob = (blob) => blob.#bytes;
  }
  constructor(parts = [], { type = "" } = {}) {
    if (parts === null || typeof parts !== "object" || typeof parts[Symbol.iterator] !== "function") throw invalidArgType("sources", "a sequence", parts);
    this.#bytes = joined(parts);
    this.#type = /[^\x20-\x7e]/.test(type) ? "" : `${type}`.toLowerCase();
  }
  get size() {
    return this.#bytes.length;
  }
  get type() {
    return this.#type;
  }
  slice(start, end, type = "") {
    return new Blob([this.#bytes.slice(start, end)], { type });
  }
  async text() {
    return native.utf8Decode(this.#bytes);
  }
  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }
  async bytes() {
    return this.#bytes.slice();
  }
  stream() {
    return streamOf(this.#bytes);
  }
  [CUSTOM](depth, options, inspect) {
    return `Blob ${inspect({ size: this.size, type: this.type }, options)}`;
  }
}

class File extends Blob {
  #name;
  #modified;
  constructor(parts, name, { type, lastModified = Date.now() } = {}) {
    super(parts, { type });
    this.#name = `${name}`;
    this.#modified = lastModified;
  }
  get name() {
    return this.#name;
  }
  get lastModified() {
    return this.#modified;
  }
}

class FormData {
  #list = [];
  #entry(name, value, filename) {
    if (!(value instanceof Blob)) return [`${name}`, `${value}`.toWellFormed()];
    if (!(value instanceof File) || filename !== undefined) value = new File([value], filename ?? "blob", { type: value.type });
    return [`${name}`, value];
  }
  append(name, value, filename) {
    this.#list.push(this.#entry(name, value, filename));
  }
  set(name, value, filename) {
    const at = this.#list.findIndex(([n]) => n === `${name}`);
    this.#list = this.#list.filter(([n], i) => n !== `${name}` || i === at);
    if (at < 0) this.append(name, value, filename);
    else this.#list[at] = this.#entry(name, value, filename);
  }
  get(name) {
    return this.#list.find(([n]) => n === `${name}`)?.[1] ?? null;
  }
  getAll(name) {
    return this.#list.filter(([n]) => n === `${name}`).map(([, v]) => v);
  }
  has(name) {
    return this.#list.some(([n]) => n === `${name}`);
  }
  delete(name) {
    this.#list = this.#list.filter(([n]) => n !== `${name}`);
  }
  *entries() {
    for (const [name, value] of this.#list) yield [name, value];
  }
  *keys() {
    for (const [name] of this.#list) yield name;
  }
  *values() {
    for (const [, value] of this.#list) yield value;
  }
  forEach(callback, self) {
    for (const [name, value] of this.#list) callback.call(self, value, name, this);
  }
}
FormData.prototype[Symbol.iterator] = FormData.prototype.entries;

function multipart(form) {
  const boundary = `----formdata-isolet-${require("crypto").randomBytes(12).toString("hex")}`;
  const quote = (text) => text.replace(/\r?\n|\r/g, "%0D%0A").replaceAll('"', "%22");
  const parts = [];
  for (const [name, value] of form) {
    parts.push(`--${boundary}\r\nContent-Disposition: form-data; name="${quote(name)}"`);
    if (typeof value === "string") parts.push(`\r\n\r\n${value.replace(/\r?\n|\r/g, "\r\n")}\r\n`);
    else parts.push(`; filename="${quote(value.name)}"\r\nContent-Type: ${value.type || "application/octet-stream"}\r\n\r\n`, value, "\r\n");
  }
  parts.push(`--${boundary}--\r\n`);
  return [joined(parts), `multipart/form-data; boundary=${boundary}`];
}

function parseMultipart(bytes, boundary) {
  const form = new FormData();
  const text = Buffer.from(bytes).toString("latin1");
  for (const part of text.split(`--${boundary}`).slice(1, -1)) {
    const at = part.indexOf("\r\n\r\n");
    const head = Buffer.from(part.slice(0, at), "latin1").toString();
    const name = /name="([^"]*)"/i.exec(head)?.[1] ?? "";
    const filename = /filename="([^"]*)"/i.exec(head)?.[1];
    const body = Buffer.from(part.slice(at + 4, -2), "latin1");
    if (filename === undefined) form.append(name, body.toString());
    else form.append(name, new File([body], filename, { type: /content-type:\s*([^\r\n]+)/i.exec(head)?.[1] ?? "" }));
  }
  return form;
}

// ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────

function streamOf(bytes) {
  const { ReadableStream } = require("web_streams");
  return new ReadableStream({
    start(controller) {
      if (bytes.length) controller.enqueue(bytes);
      controller.close();
    },
  });
}

// [bytes or a stream to be read, content type] of what a body was given as.
function extracted(body) {
  if (body === undefined || body === null) return [null, null];
  if (typeof body === "string") return [native.utf8Encode(body), "text/plain;charset=UTF-8"];
  if (body instanceof URLSearchParams) return [native.utf8Encode(body.toString()), "application/x-www-form-urlencoded;charset=UTF-8"];
  if (body instanceof Blob) return [bytesOfBlob(body), body.type || null];
  if (body instanceof FormData) return multipart(body);
  if (body instanceof ArrayBuffer) return [new Uint8Array(body.slice(0)), null];
  if (ArrayBuffer.isView(body)) return [new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice(), null];
  if (typeof body[Symbol.asyncIterator] === "function" || typeof body.getReader === "function") return [body, null];
  return [native.utf8Encode(`${body}`), "text/plain;charset=UTF-8"];
}

async function drained(stream) {
  const pieces = [];
  if (typeof stream.getReader === "function" && typeof stream[Symbol.asyncIterator] !== "function") {
    const reader = stream.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
  } else for await (const piece of stream) pieces.push(piece);
  return joined(pieces);
}

class Body {
  #bytes; // Uint8Array, a stream, or null
  #used = false;
  #stream;
  setBody(bytes) {
    this.#bytes = bytes;
  }
  givenBody() {
    return this.#bytes;
  }
  get body() {
    if (this.#bytes === null) return null;
    this.#stream ??= this.#bytes instanceof Uint8Array ? streamOf(this.#bytes) : this.#bytes;
    return this.#stream;
  }
  get bodyUsed() {
    return this.#used;
  }
  async bytes() {
    if (this.#used || this.#stream?.locked) throw new TypeError("Body is unusable: Body has already been read");
    if (this.#bytes !== null) this.#used = true;
    if (this.#bytes === null) return new Uint8Array(0);
    return this.#bytes instanceof Uint8Array ? this.#bytes : drained(this.#bytes);
  }
  async arrayBuffer() {
    const bytes = await this.bytes();
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  }
  async text() {
    const bytes = await this.bytes();
    return native.utf8Decode(bytes, bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0);
  }
  async json() {
    return JSON.parse(await this.text());
  }
  async blob() {
    return new Blob([await this.bytes()], { type: this.headers.get("content-type") ?? "" });
  }
  async formData() {
    const type = this.headers.get("content-type") ?? "";
    const bytes = await this.bytes();
    const boundary = /^multipart\/form-data;.*boundary="?([^";]+)/i.exec(type)?.[1];
    if (boundary) return parseMultipart(bytes, boundary);
    if (!type.startsWith("application/x-www-form-urlencoded")) throw new TypeError('Content-Type was not one of "multipart/form-data" or "application/x-www-form-urlencoded".');
    const form = new FormData();
    for (const [name, value] of new URLSearchParams(native.utf8Decode(bytes))) form.append(name, value);
    return form;
  }
  // The body for a clone.
  shared() {
    if (this.#used) throw new TypeError("Response.clone: Body has already been consumed.");
    return this.#bytes;
  }
}

// ── requests and responses ──────────────────────────────────────────────────────────────────────────────────────

const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];

function methodName(method) {
  method = `${method}`;
  if (!TOKEN.test(method)) throw new TypeError(`'${method}' is not a valid HTTP method.`);
  const upper = method.toUpperCase();
  if (["CONNECT", "TRACE", "TRACK"].includes(upper)) throw new TypeError(`'${method}' HTTP method is unsupported.`);
  return METHODS.includes(upper) ? upper : method;
}

class Request extends Body {
  #url;
  constructor(input, init = {}) {
    super();
    const other = input instanceof Request ? input : undefined;
    if (other) this.#url = other.url;
    else {
      let url;
      try {
        url = new URL(`${input}`);
      } catch (error) {
        throw new TypeError(`Failed to parse URL from ${input}`, { cause: error });
      }
      if (url.username || url.password) throw new TypeError(`Request cannot be constructed from a URL that includes credentials: ${input}`);
      this.#url = url.href;
    }
    init ??= {};
    this.method = methodName(init.method ?? other?.method ?? "GET");
    this.headers = new Headers(init.headers ?? other?.headers);
    this.redirect = init.redirect ?? other?.redirect ?? "follow";
    if (!["follow", "error", "manual"].includes(this.redirect)) throw new TypeError(`Request constructor: ${this.redirect} is not an accepted type. Expected one of follow, error, manual.`);
    this.signal = init.signal ?? other?.signal ?? AbortSignal.any([]);
    this.credentials = init.credentials ?? other?.credentials ?? "same-origin";
    this.cache = init.cache ?? other?.cache ?? "default";
    this.mode = init.mode ?? other?.mode ?? "cors";
    this.referrer = "about:client";
    this.referrerPolicy = "";
    this.integrity = init.integrity ?? "";
    this.keepalive = Boolean(init.keepalive);
    this.duplex = "half";
    this.destination = "";
    if (init.body !== undefined && init.body !== null && (this.method === "GET" || this.method === "HEAD")) throw new TypeError("Request with GET/HEAD method cannot have body.");
    const [bytes, type] = init.body !== undefined && init.body !== null ? extracted(init.body) : [other ? other.shared() : null, null];
    this.setBody(bytes);
    if (type && !this.headers.has("content-type")) this.headers.set("content-type", type);
  }
  get url() {
    return this.#url;
  }
  clone() {
    return new Request(this);
  }
  [CUSTOM](depth, options, inspect) {
    return `Request ${inspect({ method: this.method, url: this.url, headers: this.headers }, options)}`;
  }
}

const NULL_BODY = [101, 103, 204, 205, 304];
const REASONS = { 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 410: "Gone", 418: "I'm a Teapot", 422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout" };

class Response extends Body {
  constructor(body = null, init = {}) {
    super();
    init ??= {};
    const status = init.status ?? 200;
    if (!Number.isInteger(+status) || status < 200 || status > 599) throw new RangeError('init["status"] must be in the range of 200 to 599, inclusive.');
    this.status = +status;
    this.statusText = `${init.statusText ?? ""}`;
    this.headers = new Headers(init.headers);
    this.type = "default";
    this.url = "";
    this.redirected = false;
    if (body !== null && body !== undefined && NULL_BODY.includes(this.status)) throw new TypeError(`Response with null body status cannot have body`);
    const [bytes, type] = extracted(body);
    this.setBody(bytes);
    if (type && !this.headers.has("content-type")) this.headers.set("content-type", type);
  }
  get ok() {
    return this.status >= 200 && this.status < 300;
  }
  clone() {
    const made = Object.assign(new Response(null, { status: 200, headers: this.headers }), { status: this.status, statusText: this.statusText, url: this.url, type: this.type, redirected: this.redirected });
    made.setBody(this.shared());
    return made;
  }
  static json(data, init) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("Value is not JSON serializable");
    const made = new Response(text, init);
    if (!new Headers(init?.headers).has("content-type")) made.headers.set("content-type", "application/json");
    return made;
  }
  static error() {
    return Object.assign(new Response(null), { status: 0, type: "error" });
  }
  static redirect(url, status = 302) {
    if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`Invalid status code ${status}`);
    return new Response(null, { status, headers: { location: new URL(`${url}`).href } });
  }
  [CUSTOM](depth, options, inspect) {
    const shown = { status: this.status, statusText: this.statusText, headers: this.headers, body: this.givenBody() === null ? null : "ReadableStream", bodyUsed: this.bodyUsed, ok: this.ok, redirected: this.redirected, type: this.type, url: this.url };
    return `Response ${inspect(shown, options)}`;
  }
}
for (const [Class, name] of [[Headers, "Headers"], [Request, "Request"], [Response, "Response"], [Blob, "Blob"], [File, "File"], [FormData, "FormData"]]) {
  Object.defineProperty(Class.prototype, Symbol.toStringTag, { value: name, configurable: true });
}

// ── fetch ───────────────────────────────────────────────────────────────────────────────────────────────────────

function dataURL(url) {
  const comma = url.indexOf(",");
  const head = url.slice(5, comma);
  const bytes = head.endsWith(";base64") ? native.base64Encode(decodeURIComponent(url.slice(comma + 1))) : native.utf8Encode(decodeURIComponent(url.slice(comma + 1)));
  return new Response(bytes, { headers: { "content-type": head.replace(/;base64$/, "") || "text/plain;charset=US-ASCII" } });
}

function answered(request, reply) {
  const status = reply.status;
  const made = new Response(null, { headers: reply.headers });
  const empty = NULL_BODY.includes(status) || request.method === "HEAD";
  made.setBody(empty ? null : (reply.body ?? new Uint8Array(0)));
  return Object.assign(made, { status, statusText: reply.status_text ?? REASONS[status] ?? "", url: reply.url, type: "basic", redirected: reply.url !== request.url });
}

function failed(error) {
  if (!(error instanceof Error) || error.type === undefined) return error;
  return new TypeError("fetch failed", { cause: error });
}

async function fetch(input, init) {
  if (arguments.length === 0) throw new TypeError("fetch: 1 argument required, but only 0 found.");
  const request = new Request(input, init);
  const { signal } = request;
  signal.throwIfAborted();
  const { protocol } = new URL(request.url);
  if (protocol === "data:") return dataURL(request.url);
  if (protocol !== "http:" && protocol !== "https:") throw new TypeError("fetch failed", { cause: new Error(protocol === "blob:" || protocol === "file:" ? "not implemented... yet..." : "unknown scheme") });
  let body = request.givenBody();
  if (body !== null && !(body instanceof Uint8Array)) body = await drained(body);
  if (!request.headers.has("accept")) request.headers.set("accept", "*/*");
  if (!request.headers.has("user-agent")) request.headers.set("user-agent", "node");
  const options = { method: request.method, url: request.url, headers: [...request.headers], body, redirect: request.redirect };
  try {
    const reply = await later(() => {
      signal.throwIfAborted();
      const ends = signal[TIMEOUT]?.at;
      if (ends !== undefined) options.timeout_ms = Math.max(1, Math.ceil(ends - performance.now()));
      try {
        return ask(["fetch", options]);
      } catch (error) {
        if (error.type === "Timeout" && ends !== undefined && performance.now() >= ends - 1) throw new DOMException("The operation was aborted due to timeout", "TimeoutError");
        throw error;
      }
    });
    return answered(request, reply);
  } catch (error) {
    throw failed(error);
  }
}

module.exports = { fetch, Headers, Request, Response, FormData, Blob, File };
