// URL and URLSearchParams, of WHATWG's URL standard; and Node's `url` module with its old `parse`, `format`, `resolve`.
//
// Not here: internationalised host names beyond lower case and punycode (no tables of IDNA's mappings).
"use strict";
const { withCode, withHiddenCode, invalidArgType } = require("errors");
const native = require("native");
const CUSTOM = Symbol.for("nodejs.util.inspect.custom");

const SPECIAL = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };

// ── percent-encoding ────────────────────────────────────────────────────────────────────────────────────────────

const set = (characters) => new Set([...characters].map((c) => c.charCodeAt(0)));
const FRAGMENT = set(' "<>`');
const QUERY = set(' "#<>');
const SPECIAL_QUERY = set(" \"#<>'");
const PATH = set(' "#<>?^`{}');
const USERINFO = set(' "#<>?^`{}/:;=@[\\]|');
const CONTROL = new Set();

function percentEncode(text, encoded) {
  let plain = true;
  for (let i = 0; i < text.length && plain; i++) {
    const code = text.charCodeAt(i);
    plain = code > 0x1f && code < 0x7f && !encoded.has(code);
  }
  if (plain) return text;
  let made = "";
  for (const byte of native.utf8Encode(text)) made += byte <= 0x1f || byte > 0x7e || encoded.has(byte) ? hex(byte) : String.fromCharCode(byte);
  return made;
}

const hex = (byte) => `%${byte < 16 ? "0" : ""}${byte.toString(16).toUpperCase()}`;

function percentDecode(text) {
  if (!text.includes("%")) return native.utf8Encode(text);
  const from = native.utf8Encode(text);
  const made = new Uint8Array(from.length);
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

// ── hosts ───────────────────────────────────────────────────────────────────────────────────────────────────────

// The number of one part of an IPv4 address; NaN if it is none.
function ipv4Number(part) {
  if (part === "") return NaN;
  if (/^0[xX][0-9a-fA-F]*$/.test(part)) return part.length === 2 ? 0 : parseInt(part, 16);
  if (/^0[0-7]*$/.test(part)) return part.length === 1 ? 0 : parseInt(part, 8);
  return /^[0-9]+$/.test(part) ? parseInt(part, 10) : NaN;
}

function endsInNumber(host) {
  const parts = host.split(".");
  if (parts[parts.length - 1] === "") {
    if (parts.length === 1) return false;
    parts.pop();
  }
  const last = parts[parts.length - 1];
  return /^[0-9]+$/.test(last) || /^0[xX][0-9a-fA-F]*$/.test(last);
}

// The host of a domain that ends in a number; null if it is no address.
function ipv4(host) {
  const parts = host.split(".");
  if (parts[parts.length - 1] === "" && parts.length > 1) parts.pop();
  if (parts.length > 4) return null;
  const numbers = parts.map(ipv4Number);
  if (numbers.some(Number.isNaN) || numbers.slice(0, -1).some((n) => n > 255)) return null;
  const last = numbers.pop();
  if (last >= 256 ** (4 - numbers.length)) return null;
  let address = last;
  numbers.forEach((n, i) => (address += n * 256 ** (3 - i)));
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

function ipv6(text) {
  const double = text.indexOf("::");
  if (double !== -1 && text.indexOf("::", double + 1) !== -1) return null;
  const pieces = (part, isLast) => {
    if (part === "") return [];
    const made = [];
    const fields = part.split(":");
    for (let i = 0; i < fields.length; i++) {
      if (fields[i].includes(".")) {
        if (!isLast || i !== fields.length - 1) return null;
        const bytes = fields[i].split(".");
        if (bytes.length !== 4 || bytes.some((b) => !/^(0|[1-9][0-9]{0,2})$/.test(b) || +b > 255)) return null;
        made.push(bytes[0] * 256 + +bytes[1], bytes[2] * 256 + +bytes[3]);
      } else if (/^[0-9a-fA-F]{1,4}$/.test(fields[i])) made.push(parseInt(fields[i], 16));
      else return null;
    }
    return made;
  };
  let all;
  if (double === -1) {
    all = pieces(text, true);
    if (!all || all.length !== 8) return null;
  } else {
    const head = pieces(text.slice(0, double), false);
    const tail = pieces(text.slice(double + 2), true);
    if (!head || !tail || head.length + tail.length > 7) return null;
    all = [...head, ...new Array(8 - head.length - tail.length).fill(0), ...tail];
  }
  // The longest run of zeros, of two at least, is `::`.
  let best = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && all[i + n] === 0) n++;
    if (n > best[1]) best = [i, n];
    i += n;
  }
  const shown = (list) => list.map((n) => n.toString(16)).join(":");
  if (best[0] < 0) return shown(all);
  return `${shown(all.slice(0, best[0]))}::${shown(all.slice(best[0] + best[1]))}`;
}

const FORBIDDEN_HOST = /[\0\t\n\r #/:<>?@[\\\]^|]/;
const FORBIDDEN_DOMAIN = /[\0-\x20"#%/:<>?@[\\\]^`{|}\x7f]/;

// The host as it is shown; null if it is none.
function parseHost(text, special) {
  if (text[0] === "[") {
    if (!text.endsWith("]")) return null;
    const address = ipv6(text.slice(1, -1));
    return address === null ? null : `[${address}]`;
  }
  if (!special) return FORBIDDEN_HOST.test(text) ? null : percentEncode(text, CONTROL);
  let domain = native.utf8Decode(percentDecode(text)).normalize("NFC").toLowerCase().replace(/[\u3002\uff0e\uff61]/g, ".").replace(/\u00ad/g, "");
  if (/[^\x00-\x7f]/.test(domain)) domain = domain.normalize("NFKC").toLowerCase().split(".").map((label) => (/[^\x00-\x7f]/.test(label) ? `xn--${require("punycode").encode(label)}` : label)).join(".");
  if (domain === "" || FORBIDDEN_DOMAIN.test(domain)) return null;
  return endsInNumber(domain) ? ipv4(domain) : domain;
}

// ── parsing ─────────────────────────────────────────────────────────────────────────────────────────────────────

const isDriveLetter = (text) => /^[a-zA-Z][:|]$/.test(text);
const isNormalDriveLetter = (text) => /^[a-zA-Z]:$/.test(text);
const startsWithDriveLetter = (text) => /^[a-zA-Z][:|]([/\\?#]|$)/.test(text);
const isSingleDot = (part) => part === "." || part.toLowerCase() === "%2e";
const isDoubleDot = (part) => /^(\.|%2e)(\.|%2e)$/i.test(part);

function shorten(record) {
  if (record.scheme === "file:" && record.path.length === 1 && isNormalDriveLetter(record.path[0])) return;
  record.path.pop();
}

// A URL's record, or null. `base` is a record.
function parse(text, base) {
  text = text.replace(/^[\0-\x20]+|[\0-\x20]+$/g, "").replace(/[\t\n\r]/g, "");
  let fragment = null;
  const hash = text.indexOf("#");
  if (hash >= 0) {
    fragment = percentEncode(text.slice(hash + 1), FRAGMENT);
    text = text.slice(0, hash);
  }
  const match = /^([a-zA-Z][a-zA-Z0-9+\-.]*):/.exec(text);
  let record;
  if (match) {
    const scheme = `${match[1].toLowerCase()}:`;
    record = withScheme(scheme, text.slice(match[0].length), base);
  } else if (!base) return null;
  else if (base.opaque !== null) {
    if (text !== "" || fragment === null) return null;
    record = { ...base, path: base.path };
  } else record = relative(base.scheme, text, base);
  if (record) record.fragment = fragment;
  return record;
}

function empty(scheme) {
  return { scheme, username: "", password: "", host: null, port: "", path: [], opaque: null, query: null, fragment: null };
}

function withScheme(scheme, rest, base) {
  if (scheme === "file:") return parseFile(rest, base);
  if (Object.hasOwn(SPECIAL, scheme)) {
    if (base?.scheme === scheme && !/^[/\\]{2}/.test(rest)) return relative(scheme, rest, base);
    return authority(empty(scheme), rest.replace(/^[/\\]*/, ""));
  }
  if (rest.startsWith("//")) return authority(empty(scheme), rest.slice(2));
  if (rest.startsWith("/")) return pathAndQuery(empty(scheme), rest);
  const record = empty(scheme);
  const [path, query] = splitQuery(rest);
  record.opaque = percentEncode(path, CONTROL);
  if (query !== null) record.query = percentEncode(query, QUERY);
  else if (record.opaque.endsWith(" ")) record.opaque = record.opaque.replace(/ $/, "%20");
  return record;
}

function splitQuery(text) {
  const at = text.indexOf("?");
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

function relative(scheme, text, base) {
  if (scheme === "file:") return parseFile(text, base);
  const special = Object.hasOwn(SPECIAL, scheme);
  const slash = special ? /^[/\\]/ : /^\//;
  if (slash.test(text)) {
    if (slash.test(text.slice(1))) return authority(empty(scheme), special ? text.replace(/^[/\\]+/, "") : text.slice(2));
    return pathAndQuery({ ...base, path: [], query: null, fragment: null }, text);
  }
  const record = { ...base, path: [...base.path], fragment: null };
  if (text === "") return record;
  if (text[0] === "?") {
    record.query = percentEncode(text.slice(1), special ? SPECIAL_QUERY : QUERY);
    return record;
  }
  record.query = null;
  shorten(record);
  return pathAndQuery(record, text);
}

function parseFile(text, base) {
  const record = empty("file:");
  record.host = "";
  if (/^[/\\]/.test(text)) {
    if (/^[/\\]{2}/.test(text)) return fileHost(record, text.slice(2));
    if (base?.scheme === "file:") {
      record.host = base.host;
      if (!startsWithDriveLetter(text.slice(1)) && base.path.length && isNormalDriveLetter(base.path[0])) record.path.push(base.path[0]);
    }
    return pathAndQuery(record, text);
  }
  if (base?.scheme !== "file:") return pathAndQuery(record, text);
  record.host = base.host;
  record.path = [...base.path];
  record.query = base.query;
  if (text === "") return record;
  if (text[0] === "?") {
    record.query = percentEncode(text.slice(1), SPECIAL_QUERY);
    return record;
  }
  record.query = null;
  if (startsWithDriveLetter(text)) record.path = [];
  else shorten(record);
  return pathAndQuery(record, text);
}

function fileHost(record, text) {
  const end = text.search(/[/\\?]/);
  const host = end < 0 ? text : text.slice(0, end);
  if (isDriveLetter(host)) return pathAndQuery(record, text);
  if (host !== "") {
    const parsed = parseHost(host, true);
    if (parsed === null) return null;
    record.host = parsed === "localhost" ? "" : parsed;
  }
  return pathAndQuery(record, end < 0 ? "" : text.slice(end));
}

function authority(record, text) {
  const special = Object.hasOwn(SPECIAL, record.scheme);
  const end = text.search(special ? /[/\\?]/ : /[/?]/);
  let host = end < 0 ? text : text.slice(0, end);
  const at = host.lastIndexOf("@");
  if (at >= 0) {
    const credentials = host.slice(0, at);
    const colon = credentials.indexOf(":");
    record.username = percentEncode(colon < 0 ? credentials : credentials.slice(0, colon), USERINFO);
    if (colon >= 0) record.password = percentEncode(credentials.slice(colon + 1), USERINFO);
    host = host.slice(at + 1);
    if (host === "") return null;
  }
  const port = /:([^:\]]*)$/.exec(host);
  if (port) {
    if (!setPort(record, port[1])) return null;
    host = host.slice(0, port.index);
    if (host === "") return null;
  }
  if (host === "" && special) return null;
  if (host === "" ) record.host = "";
  else {
    record.host = parseHost(host, special);
    if (record.host === null) return null;
  }
  return pathAndQuery(record, end < 0 ? "" : text.slice(end));
}

function setPort(record, text) {
  if (text === "") {
    record.port = "";
    return true;
  }
  if (!/^[0-9]+$/.test(text) || +text > 65535) return false;
  record.port = SPECIAL[record.scheme] === String(+text) ? "" : String(+text);
  return true;
}

function pathAndQuery(record, text) {
  const special = Object.hasOwn(SPECIAL, record.scheme);
  const [path, query] = splitQuery(text);
  addPath(record, path, special);
  if (query !== null) record.query = percentEncode(query, special ? SPECIAL_QUERY : QUERY);
  return record;
}

// Appends the parts of a path to the record's.
function addPath(record, path, special) {
  if (path === "" && !special) return;
  if (special) path = path.replaceAll("\\", "/");
  if (path[0] === "/") path = path.slice(1);
  const parts = path.split("/");
  for (let i = 0; i < parts.length; i++) {
    const last = i === parts.length - 1;
    let part = parts[i];
    if (isDoubleDot(part)) {
      shorten(record);
      if (last) record.path.push("");
    } else if (isSingleDot(part)) {
      if (last) record.path.push("");
    } else {
      if (record.scheme === "file:" && record.path.length === 0 && isDriveLetter(part)) part = `${part[0]}:`;
      record.path.push(percentEncode(part, PATH));
    }
  }
}

const pathOf = (record) => (record.opaque !== null ? record.opaque : record.path.map((part) => `/${part}`).join(""));

function serialize(record, withoutFragment) {
  let text = record.scheme;
  if (record.host !== null) {
    text += "//";
    if (record.username || record.password) text += `${record.username}${record.password ? `:${record.password}` : ""}@`;
    text += record.host + (record.port ? `:${record.port}` : "");
  } else if (record.opaque === null && record.path.length > 1 && record.path[0] === "") text += "/.";
  text += pathOf(record);
  if (record.query !== null) text += `?${record.query}`;
  if (record.fragment !== null && !withoutFragment) text += `#${record.fragment}`;
  return text;
}

// ── URLSearchParams ─────────────────────────────────────────────────────────────────────────────────────────────

const FORM = new Set();
for (let code = 0x20; code < 0x7f; code++) if (!/[a-zA-Z0-9*\-._]/.test(String.fromCharCode(code))) FORM.add(code);
FORM.delete(0x20);

const formEncode = (text) => percentEncode(text, FORM).replaceAll(" ", "+");
const formDecode = (text) => native.utf8Decode(percentDecode(text.replaceAll("+", " ")));

function parseForm(text) {
  const list = [];
  for (const pair of text.split("&")) {
    if (!pair) continue;
    const at = pair.indexOf("=");
    list.push([formDecode(at < 0 ? pair : pair.slice(0, at)), at < 0 ? "" : formDecode(pair.slice(at + 1))]);
  }
  return list;
}

const scalar = (value) => `${value}`.toWellFormed();

function missing(...names) {
  const list = names.map((name) => `"${name}"`);
  return withCode(TypeError, "ERR_MISSING_ARGS", `The ${list.join(" and ")} argument${list.length > 1 ? "s" : ""} must be specified`);
}

let attach; // sets whose query a URLSearchParams is

class URLSearchParams {
  #list = [];
  #changed = null;
  static {
    attach = (params, text, changed) => {
      params.#list = parseForm(text);
      if (changed) params.#changed = changed;
    };
  }
  constructor(init) {
    if (init === undefined || init === null) return;
    if (typeof init === "object" || typeof init === "function") {
      const iterate = init[Symbol.iterator];
      if (iterate === undefined || iterate === null) {
        for (const key of Reflect.ownKeys(init)) {
          const descriptor = Object.getOwnPropertyDescriptor(init, key);
          if (descriptor?.enumerable) this.#list.push([scalar(key), scalar(init[key])]);
        }
      } else if (typeof iterate !== "function") throw withCode(TypeError, "ERR_ARG_NOT_ITERABLE", "Query pairs must be iterable");
      else
        for (const pair of init) {
          if (pair === null || (typeof pair !== "object" && typeof pair !== "function") || typeof pair[Symbol.iterator] !== "function")
            throw withCode(TypeError, "ERR_INVALID_TUPLE", "Each query pair must be an iterable [name, value] tuple");
          const both = [...pair];
          if (both.length !== 2) throw withCode(TypeError, "ERR_INVALID_TUPLE", "Each query pair must be an iterable [name, value] tuple");
          this.#list.push(both.map(scalar));
        }
    } else {
      init = scalar(init);
      this.#list = parseForm(init[0] === "?" ? init.slice(1) : init);
    }
  }
  get size() {
    return this.#list.length;
  }
  append(name, value) {
    if (arguments.length < 2) throw missing("name", "value");
    this.#list.push([scalar(name), scalar(value)]);
    this.#changed?.();
  }
  delete(name, value) {
    if (arguments.length < 1) throw missing("name");
    name = scalar(name);
    if (value !== undefined) value = scalar(value);
    this.#list = this.#list.filter(([n, v]) => n !== name || (value !== undefined && v !== value));
    this.#changed?.();
  }
  get(name) {
    if (arguments.length < 1) throw missing("name");
    name = scalar(name);
    return this.#list.find(([n]) => n === name)?.[1] ?? null;
  }
  getAll(name) {
    if (arguments.length < 1) throw missing("name");
    name = scalar(name);
    return this.#list.filter(([n]) => n === name).map(([, v]) => v);
  }
  has(name, value) {
    if (arguments.length < 1) throw missing("name");
    name = scalar(name);
    if (value !== undefined) value = scalar(value);
    return this.#list.some(([n, v]) => n === name && (value === undefined || v === value));
  }
  set(name, value) {
    if (arguments.length < 2) throw missing("name", "value");
    name = scalar(name);
    value = scalar(value);
    const at = this.#list.findIndex(([n]) => n === name);
    if (at < 0) this.#list.push([name, value]);
    else {
      this.#list = this.#list.filter(([n], i) => i <= at || n !== name);
      this.#list[at] = [name, value];
    }
    this.#changed?.();
  }
  sort() {
    this.#list.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#changed?.();
  }
  forEach(callback, self) {
    if (typeof callback !== "function") throw invalidArgType("callback", "function", callback);
    for (let i = 0; i < this.#list.length; i++) callback.call(self, this.#list[i][1], this.#list[i][0], this);
  }
  *entries() {
    for (let i = 0; i < this.#list.length; i++) yield [...this.#list[i]];
  }
  *keys() {
    for (let i = 0; i < this.#list.length; i++) yield this.#list[i][0];
  }
  *values() {
    for (let i = 0; i < this.#list.length; i++) yield this.#list[i][1];
  }
  toString() {
    return this.#list.map(([n, v]) => `${formEncode(n)}=${formEncode(v)}`).join("&");
  }
  [CUSTOM](depth, options, inspect) {
    if (typeof depth === "number" && depth < 0) return "[Object]";
    const shown = this.#list.map(([n, v]) => `${inspect(n, options)} => ${inspect(v, options)}`);
    const length = shown.reduce((sum, text) => sum + text.length + 2, -2);
    if (shown.length === 0) return "URLSearchParams {}";
    if (length > options.breakLength) return `URLSearchParams {\n  ${shown.join(",\n  ")} }`;
    return `URLSearchParams { ${shown.join(", ")} }`;
  }
}
URLSearchParams.prototype[Symbol.iterator] = URLSearchParams.prototype.entries;
for (const name of Object.getOwnPropertyNames(URLSearchParams.prototype))
  if (name !== "constructor") Object.defineProperty(URLSearchParams.prototype, name, { enumerable: true });
Object.defineProperties(URLSearchParams.prototype, {
  [Symbol.iterator]: { enumerable: false },
  [Symbol.toStringTag]: { value: "URLSearchParams", configurable: true },
});

// ── URL ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function invalidURL(input, base) {
  const error = withHiddenCode(TypeError, "ERR_INVALID_URL", "Invalid URL");
  error.input = input;
  if (base !== undefined) error.base = base;
  return error;
}

function parsed(input, base) {
  let over;
  if (base !== undefined) {
    over = parse(scalar(base));
    if (!over) return null;
  }
  return parse(scalar(input), over);
}

class URL {
  #record;
  #params = null;
  constructor(input, base) {
    if (arguments.length === 0) throw missing("url");
    const record = parsed(input, base);
    if (!record) throw invalidURL(scalar(input), base === undefined ? undefined : scalar(base));
    this.#record = record;
  }
  static canParse(input, base) {
    if (arguments.length === 0) throw missing("url");
    return parsed(input, base) !== null;
  }
  static parse(input, base) {
    return parsed(input, base) ? new URL(input, base) : null;
  }
  static createObjectURL() {
    throw new Error("isolet has no object URLs");
  }
  #cannotHaveCredentials() {
    return this.#record.host === null || this.#record.host === "" || this.#record.scheme === "file:";
  }
  get href() {
    return serialize(this.#record);
  }
  set href(value) {
    const record = parse(scalar(value));
    if (!record) throw invalidURL(scalar(value));
    this.#record = record;
    this.#updateParams();
  }
  get origin() {
    const { scheme, host, port } = this.#record;
    if (scheme === "blob:") {
      const inner = parse(pathOf(this.#record));
      return inner && /^https?:$/.test(inner.scheme) ? `${inner.scheme}//${inner.host}${inner.port ? `:${inner.port}` : ""}` : "null";
    }
    return Object.hasOwn(SPECIAL, scheme) && scheme !== "file:" ? `${scheme}//${host}${port ? `:${port}` : ""}` : "null";
  }
  get protocol() {
    return this.#record.scheme;
  }
  set protocol(value) {
    const match = /^([a-zA-Z][a-zA-Z0-9+\-.]*)(:|$)/.exec(scalar(value));
    if (!match) return;
    const scheme = `${match[1].toLowerCase()}:`;
    const record = this.#record;
    if (Object.hasOwn(SPECIAL, scheme) !== Object.hasOwn(SPECIAL, record.scheme)) return;
    if (scheme === "file:" && (record.username || record.password || record.port)) return;
    if (record.scheme === "file:" && !record.host) return;
    record.scheme = scheme;
    if (record.port === SPECIAL[scheme]) record.port = "";
  }
  get username() {
    return this.#record.username;
  }
  set username(value) {
    if (!this.#cannotHaveCredentials()) this.#record.username = percentEncode(scalar(value), USERINFO);
  }
  get password() {
    return this.#record.password;
  }
  set password(value) {
    if (!this.#cannotHaveCredentials()) this.#record.password = percentEncode(scalar(value), USERINFO);
  }
  get host() {
    const { host, port } = this.#record;
    return host === null ? "" : host + (port ? `:${port}` : "");
  }
  set host(value) {
    this.#setHost(scalar(value), true);
  }
  get hostname() {
    return this.#record.host ?? "";
  }
  set hostname(value) {
    this.#setHost(scalar(value), false);
  }
  #setHost(value, withPort) {
    const record = this.#record;
    if (record.opaque !== null) return;
    const special = Object.hasOwn(SPECIAL, record.scheme);
    value = value.replace(/[\t\n\r]/g, "").replace(special ? /[/\\?#][^]*$/ : /[/?#][^]*$/, "");
    const port = /:([^:\]]*)$/.exec(value);
    if (port) {
      if (!withPort && port[1] !== undefined) return;
      value = value.slice(0, port.index);
    }
    if (value === "" && (special || record.username || record.password || record.port)) return;
    const host = value === "" ? "" : parseHost(value, special);
    if (host === null) return;
    record.host = record.scheme === "file:" && host === "localhost" ? "" : host;
    const digits = port && withPort ? /^[0-9]+/.exec(port[1])?.[0] : undefined;
    if (digits) setPort(record, digits);
  }
  get port() {
    return this.#record.port;
  }
  set port(value) {
    if (this.#cannotHaveCredentials()) return;
    value = scalar(value).replace(/[\t\n\r]/g, "");
    if (value === "") this.#record.port = "";
    else {
      const digits = /^[0-9]+/.exec(value)?.[0];
      if (digits) setPort(this.#record, digits);
    }
  }
  get pathname() {
    return pathOf(this.#record);
  }
  set pathname(value) {
    const record = this.#record;
    if (record.opaque !== null) return;
    const special = Object.hasOwn(SPECIAL, record.scheme);
    record.path = [];
    value = scalar(value).replace(/[\t\n\r]/g, "").replaceAll("?", "%3F").replaceAll("#", "%23");
    addPath(record, value, special);
  }
  get search() {
    return this.#record.query ? `?${this.#record.query}` : "";
  }
  set search(value) {
    value = scalar(value).replace(/[\t\n\r]/g, "");
    if (value === "") this.#record.query = null;
    else {
      const special = Object.hasOwn(SPECIAL, this.#record.scheme);
      this.#record.query = percentEncode(value[0] === "?" ? value.slice(1) : value, special ? SPECIAL_QUERY : QUERY);
    }
    this.#updateParams();
  }
  get searchParams() {
    if (!this.#params) {
      this.#params = new URLSearchParams();
      attach(this.#params, this.#record.query ?? "", () => {
        const text = this.#params.toString();
        this.#record.query = text === "" ? null : text;
      });
    }
    return this.#params;
  }
  get hash() {
    return this.#record.fragment ? `#${this.#record.fragment}` : "";
  }
  set hash(value) {
    value = scalar(value).replace(/[\t\n\r]/g, "");
    this.#record.fragment = value === "" ? null : percentEncode(value[0] === "#" ? value.slice(1) : value, FRAGMENT);
  }
  #updateParams() {
    if (this.#params) attach(this.#params, this.#record.query ?? "");
  }
  toString() {
    return this.href;
  }
  toJSON() {
    return this.href;
  }
  [CUSTOM](depth, options, inspect) {
    if (typeof depth === "number" && depth < 0) return this.href;
    const shown = {};
    for (const key of ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "searchParams", "hash"]) shown[key] = this[key];
    return `${this.constructor.name} ${inspect(shown, options)}`;
  }
}
for (const name of Object.getOwnPropertyNames(URL.prototype)) if (name !== "constructor") Object.defineProperty(URL.prototype, name, { enumerable: true });
Object.defineProperty(URL.prototype, Symbol.toStringTag, { value: "URL", configurable: true });

// ── Node's own ──────────────────────────────────────────────────────────────────────────────────────────────────

function fileURLToPath(url) {
  if (typeof url === "string") url = new URL(url);
  if (!(url instanceof URL)) throw invalidArgType("path", ["string", "URL"], url);
  if (url.protocol !== "file:") throw withCode(TypeError, "ERR_INVALID_URL_SCHEME", "The URL must be of scheme file");
  if (url.hostname !== "") throw withCode(TypeError, "ERR_INVALID_FILE_URL_HOST", 'File URL host must be "localhost" or empty on linux');
  if (/%2f/i.test(url.pathname)) throw withCode(TypeError, "ERR_INVALID_FILE_URL_PATH", "File URL path must not include encoded / characters");
  return decodeURIComponent(url.pathname);
}

function pathToFileURL(path) {
  const absolute = require("path").resolve(path);
  const url = new URL("file://");
  url.pathname = (path.endsWith("/") && !absolute.endsWith("/") ? `${absolute}/` : absolute).replace(/[%\\\n\r\t?#]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
  return url;
}

function urlToHttpOptions(url) {
  const options = {
    ...url,
    protocol: url.protocol,
    hostname: url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname,
    hash: url.hash,
    search: url.search,
    pathname: url.pathname,
    path: `${url.pathname}${url.search}`,
    href: url.href,
  };
  if (url.port !== "") options.port = Number(url.port);
  if (url.username || url.password) options.auth = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return options;
}

module.exports = {
  URL,
  URLSearchParams,
  fileURLToPath,
  pathToFileURL,
  urlToHttpOptions,
  domainToASCII: (domain) => parseHost(`${domain}`, true) ?? "",
  domainToUnicode: (domain) => require("punycode").toUnicode(parseHost(`${domain}`, true) ?? ""),
  parse: (...values) => require("url_legacy").parse(...values),
  format: (...values) => require("url_legacy").format(...values),
  resolve: (...values) => require("url_legacy").resolve(...values),
  resolveObject: (...values) => require("url_legacy").resolveObject(...values),
  get Url() {
    return require("url_legacy").Url;
  },
};
