// HTTP: Lambda's payload format 2.0 (../../abi.md, sections 2.2 and 3).

import { Kind, Value } from "./value";

/** An HTTP request as an event. What it has not reads as null. */
export class HttpRequest {
  constructor(public readonly event: Value) {}

  /** Whether the event is an HTTP request at all. */
  get present(): bool {
    return this.event.get("requestContext").get("http").get("method").isString;
  }

  get method(): string {
    return this.event.get("requestContext").get("http").get("method").asString();
  }

  get path(): string {
    return this.event.get("rawPath").asString();
  }

  /** A header by its name in any case. Several of one name come as one, joined by commas. */
  header(name: string): string | null {
    return text(this.event.get("headers").get(name.toLowerCase()));
  }

  /** A parameter of the query string, decoded. */
  query(name: string): string | null {
    return text(this.event.get("queryStringParameters").get(name));
  }

  /** What {name} stood for in the route that matched. */
  pathParameter(name: string): string | null {
    return text(this.event.get("pathParameters").get(name));
  }

  cookie(name: string): string | null {
    const cookies = this.event.get("cookies");
    for (let i = 0; i < cookies.length; i++) {
      const cookie = cookies.at(i).asString();
      if (cookie.startsWith(name + "=")) return cookie.substring(name.length + 1);
    }
    return null;
  }

  /** The body's bytes, textual or not. */
  get body(): Uint8Array | null {
    const body = this.event.get("body");
    return body.kind == Kind.String || body.kind == Kind.Binary ? body.asBytes() : null;
  }

  /** A field of a body of type application/x-www-form-urlencoded, decoded. */
  form(name: string): string | null {
    const body = this.event.get("body").asBytes();
    return formField(String.UTF8.decodeUnsafe(body.dataStart, body.length), name);
  }
}

function text(value: Value): string | null {
  return value.isString ? value.asString() : null;
}

/** A field of such a text, decoded; null if it has none. */
export function formField(encoded: string, name: string): string | null {
  const pairs = encoded.split("&");
  for (let i = 0; i < pairs.length; i++) {
    const equals = pairs[i].indexOf("=");
    const key = equals < 0 ? pairs[i] : pairs[i].substring(0, equals);
    if (urlDecode(key) == name) return equals < 0 ? "" : urlDecode(pairs[i].substring(equals + 1));
  }
  return null;
}

/** A text without its %XX and +; what is no escape stays as it is. */
export function urlDecode(encoded: string): string {
  if (!encoded.includes("%") && !encoded.includes("+")) return encoded;
  const from = Uint8Array.wrap(String.UTF8.encode(encoded));
  const to = new Uint8Array(from.length);
  let length = 0;
  for (let i = 0; i < from.length; i++) {
    const c = from[i];
    if (c == 0x25 && i + 2 < from.length && hexDigit(from[i + 1]) >= 0 && hexDigit(from[i + 2]) >= 0) {
      to[length++] = <u8>((hexDigit(from[i + 1]) << 4) | hexDigit(from[i + 2]));
      i += 2;
    } else {
      to[length++] = c == 0x2b ? 0x20 : c;
    }
  }
  return String.UTF8.decodeUnsafe(to.dataStart, length);
}

function hexDigit(c: u8): i32 {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const small = c | 0x20;
  return small >= 0x61 && small <= 0x66 ? small - 0x61 + 10 : -1;
}

/** An answer to an HTTP request: return new HttpResponse(404).header("x-a", "1").text("no such page").value. */
export class HttpResponse {
  private headers: Value = Value.map();
  private cookies: Value = Value.array();
  private body: Value = Value.nil();

  constructor(public status: i32 = 200) {}

  header(name: string, value: string): this {
    this.headers.set(name, value);
    return this;
  }

  /** A whole one, as in Set-Cookie: "name=value; Path=/". */
  cookie(cookie: string): this {
    this.cookies.push(cookie);
    return this;
  }

  text(body: string): this {
    this.body = Value.string(body);
    return this;
  }

  /** Bytes, which are sent as they are. */
  bytes(body: Uint8Array): this {
    this.body = Value.binary(body);
    return this;
  }

  /** The result that a handler answers. */
  get value(): Value {
    const made = Value.map().set("statusCode", this.status);
    if (this.headers.length) made.set("headers", this.headers);
    if (this.cookies.length) made.set("cookies", this.cookies);
    if (!this.body.isNil) made.set("body", this.body);
    // So that the answer is right as JSON too, where the host makes base64 of binary.
    if (this.body.kind == Kind.Binary) made.set("isBase64Encoded", true);
    return made;
  }
}
