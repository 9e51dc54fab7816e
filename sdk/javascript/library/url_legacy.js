// `url.parse`, `url.format`, `url.resolve`: Node's from before WHATWG's.
"use strict";
const { URL } = require("url");
const { invalidArgType } = require("errors");
const querystring = require("querystring");

const SLASHED = new Set(["http:", "https:", "ftp:", "gopher:", "file:", "ws:", "wss:"]);
const escapeAuth = (text) => encodeURIComponent(text).replace(/%3A/gi, ":").replace(/%2[17-9A]|%7E/gi, decodeURIComponent);

class Url {
  constructor() {
    for (const key of ["protocol", "slashes", "auth", "host", "port", "hostname", "hash", "search", "query", "pathname", "path", "href"]) this[key] = null;
  }
  format() {
    return format(this);
  }
  resolve(relative) {
    return resolve(this.href, relative);
  }
  parse(text, parseQuery, slashesDenoteHost) {
    return Object.assign(this, parse(text, parseQuery, slashesDenoteHost));
  }
}

function parse(text, parseQuery = false, slashesDenoteHost = false) {
  if (text instanceof Url) return text;
  if (typeof text !== "string") throw invalidArgType("url", "string", text);
  const made = new Url();
  let rest = text.trim().replace(/^([^?#]*)/, (head) => head.replaceAll("\\", "/"));
  const hash = rest.indexOf("#");
  if (hash >= 0) {
    made.hash = escaped(rest.slice(hash));
    rest = rest.slice(0, hash);
  }
  const query = rest.indexOf("?");
  if (query >= 0) {
    made.search = escaped(rest.slice(query));
    made.query = made.search.slice(1);
    rest = rest.slice(0, query);
  } else if (parseQuery) made.search = "";
  if (parseQuery) made.query = querystring.parse(made.query ?? "");
  const protocol = /^([a-z][a-z0-9.+-]*:)/i.exec(rest);
  if (protocol) {
    made.protocol = protocol[1].toLowerCase();
    rest = rest.slice(protocol[1].length);
  }
  const isScript = made.protocol === "javascript:";
  if ((slashesDenoteHost || protocol || /^\/\/[^@/]+@[^@/]+/.test(rest)) && rest.startsWith("//") && !isScript) {
    made.slashes = true;
    rest = rest.slice(2);
    const end = rest.search(/[/\t\n\r "'<>\\^`{|}]/);
    let host = end < 0 ? rest : rest.slice(0, end);
    rest = end < 0 ? "" : rest.slice(end);
    const at = host.lastIndexOf("@");
    if (at >= 0) {
      made.auth = decodeURIComponent(host.slice(0, at));
      host = host.slice(at + 1);
    }
    const port = /:([0-9]*)$/.exec(host);
    if (port) {
      if (port[1]) made.port = port[1];
      host = host.slice(0, port.index);
    }
    made.hostname = host.startsWith("[") ? host.slice(1, -1).toLowerCase() : host.toLowerCase();
    made.host = `${host.toLowerCase()}${made.port ? `:${made.port}` : ""}`;
  }
  if (rest) made.pathname = isScript ? rest : escaped(rest);
  if (!made.pathname && made.hostname && SLASHED.has(made.protocol)) made.pathname = "/";
  if (made.pathname || made.search) made.path = `${made.pathname ?? ""}${made.search ?? ""}`;
  made.href = format(made);
  return made;
}

const escaped = (text) => text.replace(/[\t\n\r "'<>\\^`{|}]/g, (c) => (c === "'" ? "%27" : encodeURIComponent(c)));

function format(url, options) {
  if (typeof url === "string") url = parse(url);
  else if (url === null || typeof url !== "object") throw invalidArgType("urlObject", ["Object", "string"], url);
  else if (url instanceof URL) return formatURL(url, options);
  let auth = url.auth ? `${escapeAuth(url.auth)}@` : "";
  let protocol = url.protocol ?? "";
  let pathname = url.pathname ?? "";
  let hash = url.hash ?? "";
  let host = "";
  if (url.host) host = auth + url.host;
  else if (url.hostname) host = auth + (url.hostname.includes(":") && !url.hostname.startsWith("[") ? `[${url.hostname}]` : url.hostname) + (url.port ? `:${url.port}` : "");
  let search = url.search || (url.query !== null && typeof url.query === "object" && Object.keys(url.query).length ? `?${querystring.stringify(url.query)}` : "");
  if (protocol && !protocol.endsWith(":")) protocol += ":";
  if (url.slashes || SLASHED.has(protocol)) {
    if (url.slashes || host) {
      if (pathname && !pathname.startsWith("/")) pathname = `/${pathname}`;
      host = `//${host}`;
    } else if (protocol === "file:") host = "//";
  }
  if (hash && !hash.startsWith("#")) hash = `#${hash}`;
  if (search && !search.startsWith("?")) search = `?${search}`;
  pathname = pathname.replace(/[?#]/g, encodeURIComponent);
  search = search.replaceAll("#", "%23");
  return protocol + host + pathname + search + hash;
}

function formatURL(url, { fragment = true, search = true, auth = true } = {}) {
  const made = new URL(url.href);
  if (!fragment) made.hash = "";
  if (!search) made.search = "";
  if (!auth) made.username = made.password = "";
  return made.href;
}

function resolve(from, to) {
  const base = parse(from, false, true);
  const target = parse(to, false, true);
  if (target.protocol && target.protocol !== base.protocol) return target.href;
  const isAbsolute = base.protocol && base.slashes;
  try {
    const stand = isAbsolute ? new URL(from) : new URL(from, "resolve://host/");
    const made = new URL(to, stand);
    if (made.protocol !== "resolve:") return made.href;
    const text = `${made.pathname}${made.search}${made.hash}`;
    return from.startsWith("/") || to.startsWith("/") ? text : text.slice(1);
  } catch {
    return target.href;
  }
}

module.exports = { parse, format, resolve, resolveObject: (from, to) => parse(resolve(from, to)), Url };
