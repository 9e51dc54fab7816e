// Capabilities: kv, fetch, invoke, secrets, and what everyone is granted, sleep and random (../../abi.md, section 5). Each
// answers a Result: what it failed with is in `failure`, and asking for the `value` of one that failed ends the invocation
// with it. A snapshot is made without capabilities: they fail at the top level of a module.

import * as host from "./host";
import { Failure, Result } from "./failure";
import { Kind, Value } from "./value";
import { Writer } from "./writer";

/** The words of abi.md, for `result.failed(Type.Conflict)`. */
export namespace Type {
  // function.toml does not grant it; the message says which line is missing
  export const NotGranted: string = "NotGranted";
  export const Invalid: string = "Invalid";
  export const TooLarge: string = "TooLarge";
  export const LimitExceeded: string = "LimitExceeded";
  export const Conflict: string = "Conflict";
  export const Refused: string = "Refused";
  export const Timeout: string = "Timeout";
  export const ConnectionFailed: string = "ConnectionFailed";
  export const TooManyRedirects: string = "TooManyRedirects";
  export const UnknownFunction: string = "UnknownFunction";
  export const Throttled: string = "Throttled";
  export const TooDeep: string = "TooDeep";
  export const FunctionError: string = "FunctionError";
  export const UnknownSecret: string = "UnknownSecret";
  // no result at all: the message says which status isolet.call answered
  export const Unavailable: string = "Unavailable";
}

function statusText(status: i32): string {
  switch (status) {
    case -1:
      return "malformed request";
    case -2:
      return "unknown capability";
    case -3:
      return "not granted";
    case -4:
      return "refused, by a limit or while a snapshot is made";
    case -5:
      return "no pending reply";
    case -6:
      return "failed on the host's side";
    default:
      return "status " + status.toString();
  }
}

/** Makes a request, an array of a name and arguments, and waits. The reply, whatever it is. */
export function call(request: Value): Result<Value> {
  const to = new Writer();
  request.write(to);
  const length = host.call(to.start, to.length);
  if (length < 0) return new Result(Value.nil(), new Failure(Type.Unavailable, statusText(length)));
  const reply = new Uint8Array(length);
  const status = host.take(reply.dataStart);
  if (status < 0) return new Result(Value.nil(), new Failure(Type.Unavailable, statusText(status)));
  return Value.decode(reply);
}

/** Makes a request whose reply is a result: its `ok`. For capabilities that have no function here. */
export function ask(request: Value): Result<Value> {
  const reply = call(request);
  if (!reply.ok) return reply;
  const result = reply.value;
  const ok = result.get("ok");
  if (result.length == 1 && !ok.isAbsent) return new Result(ok, null);
  const failure = failureOf(result.get("error"));
  return new Result(Value.nil(), failure === null ? misfit("a result") : failure);
}

function failureOf(error: Value): Failure | null {
  const type = error.get("type");
  if (type.kind != Kind.String) return null;
  return new Failure(type.asString(), error.get("message").asString(), failureOf(error.get("cause")));
}

function misfit(what: string): Failure {
  return new Failure(Type.Unavailable, "what came is no reply to " + what);
}

/** Waits; fuel does not pass. */
export function sleep(milliseconds: f64): Result<bool> {
  return new Result(true, call(Value.array().push("sleep").push(milliseconds)).failure);
}

/** Fresh random bytes, fit for keys; at most 65,536. */
export function random(length: i32): Result<Uint8Array> {
  const reply = call(Value.array().push("random").push(length));
  if (!reply.ok) return new Result(new Uint8Array(0), reply.failure);
  const bytes = reply.value.asBytes();
  return new Result(bytes, bytes.length == length ? null : misfit("random"));
}

// ── kv ──

/** What is in the store under a key. Its version is 0 if nothing is. */
export class Entry {
  constructor(
    public value: Uint8Array = new Uint8Array(0),
    public version: i64 = 0,
  ) {}

  get found(): bool {
    return this.version > 0;
  }

  /** The value as a text in UTF-8. */
  get text(): string {
    return String.UTF8.decodeUnsafe(this.value.dataStart, this.value.length);
  }
}

/** Some keys, in order. While there are `more`, ask again, after the last. */
export class Page {
  constructor(
    public keys: string[] = [],
    public more: bool = false,
  ) {}
}

/** For `ifVersion`: whatever there is; only if there is nothing. Else the version that Entry has. */
export const ANY_VERSION: i64 = -1;
export const NO_VERSION: i64 = 0;

/** A part of the store that outlives invocations. Functions that are granted the same one share its entries. */
export class Namespace {
  constructor(public readonly name: string) {}

  private request(name: string, argument: string): Value {
    return Value.array().push(name).push(this.name).push(argument);
  }

  get(key: string): Result<Entry> {
    const asked = ask(this.request("kv.get", key));
    if (!asked.ok) return new Result(new Entry(), asked.failure);
    const found = asked.value;
    if (found.isNil) return new Result(new Entry(), null);
    const value = found.get("value");
    const version = found.get("version").asInt();
    const fits = value.kind == Kind.Binary && version > 0;
    return new Result(new Entry(value.asBytes(), version), fits ? null : misfit("kv.get"));
  }

  /** Writes an entry and answers its new version. `ttlS` seconds later it is gone; 0: it stays. */
  put(key: string, value: Uint8Array, ifVersion: i64 = ANY_VERSION, ttlS: f64 = 0): Result<i64> {
    const request = this.request("kv.put", key).push(value);
    if (ifVersion != ANY_VERSION || ttlS != 0) {
      const options = Value.map();
      if (ifVersion != ANY_VERSION) options.set("if_version", ifVersion);
      if (ttlS != 0) options.set("ttl_s", ttlS);
      request.push(options);
    }
    const asked = ask(request);
    if (!asked.ok) return new Result<i64>(0, asked.failure);
    const version = asked.value.get("version").asInt();
    return new Result(version, version > 0 ? null : misfit("kv.put"));
  }

  /** The same with a text, in UTF-8. */
  putText(key: string, text: string, ifVersion: i64 = ANY_VERSION, ttlS: f64 = 0): Result<i64> {
    return this.put(key, Uint8Array.wrap(String.UTF8.encode(text)), ifVersion, ttlS);
  }

  /** Whether there was an entry. */
  delete(key: string, ifVersion: i64 = ANY_VERSION): Result<bool> {
    const request = this.request("kv.delete", key);
    if (ifVersion != ANY_VERSION) request.push(Value.map().set("if_version", ifVersion));
    const asked = ask(request);
    if (!asked.ok) return new Result<bool>(false, asked.failure);
    return new Result(asked.value.asBool(), asked.value.kind == Kind.Bool ? null : misfit("kv.delete"));
  }

  /** Keys that begin with `prefix` and come after `after`, at most `limit` (0: 100). */
  list(prefix: string = "", after: string = "", limit: i32 = 0): Result<Page> {
    const request = this.request("kv.list", prefix);
    if (after.length || limit) {
      const options = Value.map();
      if (after.length) options.set("after", after);
      if (limit) options.set("limit", limit);
      request.push(options);
    }
    const asked = ask(request);
    if (!asked.ok) return new Result(new Page(), asked.failure);
    const keys = asked.value.get("keys");
    const page = new Page([], asked.value.get("more").asBool());
    for (let i = 0; i < keys.length; i++) page.keys.push(keys.at(i).asString());
    return new Result(page, keys.kind == Kind.Array ? null : misfit("kv.list"));
  }
}

export function kv(namespace: string): Namespace {
  return new Namespace(namespace);
}

// ── fetch ──

/** An HTTP request to the outside: new FetchRequest("https://…").header("accept", "text/plain"). */
export class FetchRequest {
  method: string = "GET";
  headers: string[][] = [];
  body: Uint8Array | null = null;
  /** 0: what is left of the invocation. */
  timeoutMs: f64 = 0;
  /** "follow", "manual", "error" */
  redirect: string = "follow";

  constructor(public url: string) {}

  header(name: string, value: string): this {
    this.headers.push([name, value]);
    return this;
  }

  text(body: string): this {
    this.body = Uint8Array.wrap(String.UTF8.encode(body));
    return this;
  }
}

/** Any status is an answer, 404 and 500, too. `url` is where it came from. */
export class FetchResponse {
  status: i32 = 0;
  url: string = "";
  headers: string[][] = [];
  body: Uint8Array = new Uint8Array(0);

  /** The first header of this name, in any case; "" if there is none. */
  header(name: string): string {
    const wanted = name.toLowerCase();
    for (let i = 0; i < this.headers.length; i++) {
      if (this.headers[i][0].toLowerCase() == wanted) return this.headers[i][1];
    }
    return "";
  }

  get text(): string {
    return String.UTF8.decodeUnsafe(this.body.dataStart, this.body.length);
  }
}

export function fetch(request: FetchRequest): Result<FetchResponse> {
  const asked = Value.map().set("url", request.url);
  if (request.method != "GET") asked.set("method", request.method);
  if (request.headers.length) asked.set("headers", request.headers);
  const body = request.body;
  if (body !== null) asked.set("body", body);
  if (request.timeoutMs > 0) asked.set("timeout_ms", request.timeoutMs);
  if (request.redirect != "follow") asked.set("redirect", request.redirect);
  const result = ask(Value.array().push("fetch").push(asked));
  const response = new FetchResponse();
  if (!result.ok) return new Result(response, result.failure);
  const answer = result.value;
  const content = answer.get("body");
  const headers = answer.get("headers");
  response.status = <i32>answer.get("status").asInt();
  response.url = answer.get("url").asString();
  response.body = content.asBytes();
  for (let i = 0; i < headers.length; i++) {
    response.headers.push([headers.at(i).at(0).asString(), headers.at(i).at(1).asString()]);
  }
  return new Result(response, response.status && content.kind == Kind.Binary ? null : misfit("fetch"));
}

// ── invoke, secrets ──

/** What another function answers to this event. If it fails, the failure is of Type.FunctionError and has a cause. */
export function invoke(name: string, payload: Value = Value.nil()): Result<Value> {
  return ask(Value.array().push("invoke").push(name).push(payload));
}

/** A value that the operator keeps, a string or a binary. It is read anew by each call: keep it if you need it often. */
export function secret(name: string): Result<Value> {
  const result = ask(Value.array().push("secrets.get").push(name));
  if (!result.ok) return result;
  const kind = result.value.kind;
  return new Result(result.value, kind == Kind.String || kind == Kind.Binary ? null : misfit("secrets.get"));
}
