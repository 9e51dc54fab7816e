// Values: what events, results and replies are made of. Reading one never fails: what is absent or of another type reads as
// the fallback. `Value.decode` is where bytes may be malformed.

import { Failure, Result } from "./failure";
import { JsonReader } from "./json";
import { Writer } from "./writer";

export enum Kind {
  Absent, // no such key or index
  Nil,
  Bool,
  Int, // of 64 bits, signed
  Uint, // an integer beyond that
  Float,
  String,
  Binary,
  Array,
  Map,
}

/** How deep a value may nest. */
export const DEPTH_MAX = 512;
// A map of more entries gets an index when it is first asked for a key.
const INDEXED_FROM = 8;

const NO_BYTES = new Uint8Array(0);

export class Value {
  private bits: u64 = 0;
  private text: string = "";
  private data: Uint8Array = NO_BYTES;
  private items: Value[] | null = null; // an array's, or a map's values
  private names: string[] | null = null; // a map's keys, in their order
  private index: Map<string, i32> | null = null;

  constructor(public readonly kind: Kind) {}

  // ── making ──

  static nil(): Value {
    return new Value(Kind.Nil);
  }

  static bool(value: bool): Value {
    const made = new Value(Kind.Bool);
    made.bits = <u64>value;
    return made;
  }

  static int(value: i64): Value {
    const made = new Value(Kind.Int);
    made.bits = <u64>value;
    return made;
  }

  static uint(value: u64): Value {
    const made = new Value(value > <u64>i64.MAX_VALUE ? Kind.Uint : Kind.Int);
    made.bits = value;
    return made;
  }

  static float(value: f64): Value {
    const made = new Value(Kind.Float);
    made.bits = reinterpret<u64>(value);
    return made;
  }

  static string(value: string): Value {
    const made = new Value(Kind.String);
    made.text = value;
    return made;
  }

  static binary(value: Uint8Array): Value {
    const made = new Value(Kind.Binary);
    made.data = value;
    return made;
  }

  static array(): Value {
    const made = new Value(Kind.Array);
    made.items = [];
    return made;
  }

  static map(): Value {
    const made = new Value(Kind.Map);
    made.items = [];
    made.names = [];
    return made;
  }

  /** A Value of any of AssemblyScript's own: numbers, bool, string, Uint8Array, arrays and string maps of these, Value. */
  static of<T>(value: T): Value {
    if (isBoolean<T>()) return Value.bool(<bool>value);
    if (isInteger<T>()) return isSigned<T>() ? Value.int(<i64>value) : Value.uint(<u64>value);
    if (isFloat<T>()) return Value.float(<f64>value);
    if (isNullable<T>() && changetype<usize>(value) == 0) return Value.nil();
    if (isString<T>()) return Value.string(changetype<string>(changetype<usize>(value)));
    if (value instanceof Value) return changetype<Value>(changetype<usize>(value));
    if (value instanceof Uint8Array) return Value.binary(changetype<Uint8Array>(changetype<usize>(value)));
    if (isArray<T>()) {
      const made = Value.array();
      // @ts-ignore: T is an array
      for (let i = 0; i < value.length; i++) made.push(value[i]);
      return made;
    }
    if (value instanceof Map) {
      const made = Value.map();
      // @ts-ignore: T is a map
      const keys = value.keys();
      // @ts-ignore: T is a map
      for (let i = 0; i < keys.length; i++) made.set(keys[i], value.get(keys[i]));
      return made;
    }
    ERROR("Value.of: this type has no form in msgpack; make a Value of it yourself");
    return Value.nil();
  }

  /** Appends to an array, and answers it: Value.array().push(1).push("two"). */
  push<T>(item: T): this {
    this.items!.push(Value.of(item));
    return this;
  }

  /** Sets an entry of a map, and answers the map. A key keeps the place where it was first set. */
  set<T>(key: string, item: T): this {
    const at = this.find(key);
    const items = this.items!;
    if (at >= 0) {
      items[at] = Value.of(item);
      return this;
    }
    this.names!.push(key);
    items.push(Value.of(item));
    const index = this.index;
    if (index !== null) index.set(key, items.length - 1);
    return this;
  }

  // ── reading ──

  get isNil(): bool {
    return this.kind == Kind.Nil || this.kind == Kind.Absent;
  }

  get isAbsent(): bool {
    return this.kind == Kind.Absent;
  }

  get isInteger(): bool {
    return this.kind == Kind.Int || this.kind == Kind.Uint;
  }

  get isString(): bool {
    return this.kind == Kind.String;
  }

  asBool(fallback: bool = false): bool {
    return this.kind == Kind.Bool ? this.bits != 0 : fallback;
  }

  /** An integer that 64 signed bits hold. */
  asInt(fallback: i64 = 0): i64 {
    return this.kind == Kind.Int ? <i64>this.bits : fallback;
  }

  asUint(fallback: u64 = 0): u64 {
    return this.isInteger && (this.kind == Kind.Uint || <i64>this.bits >= 0) ? this.bits : fallback;
  }

  /** A float, or an integer: JSON does not tell 1 from 1.0. */
  asFloat(fallback: f64 = 0): f64 {
    if (this.kind == Kind.Float) return reinterpret<f64>(this.bits);
    if (this.kind == Kind.Int) return <f64>(<i64>this.bits);
    return this.kind == Kind.Uint ? <f64>this.bits : fallback;
  }

  asString(fallback: string = ""): string {
    return this.kind == Kind.String ? this.text : fallback;
  }

  /** The bytes of a binary, or of a string in UTF-8: a body is either. */
  asBytes(): Uint8Array {
    return this.kind == Kind.String ? Uint8Array.wrap(String.UTF8.encode(this.text)) : this.data;
  }

  /** Elements of an array, entries of a map; 0 of anything else. */
  get length(): i32 {
    const items = this.items;
    return items === null ? 0 : items.length;
  }

  /** An element of an array, or a map's value by its place. */
  at(index: i32): Value {
    const items = this.items;
    return items === null || <u32>index >= <u32>items.length ? new Value(Kind.Absent) : items[index];
  }

  /** The value of a key in a map. */
  get(key: string): Value {
    const at = this.find(key);
    return at < 0 ? new Value(Kind.Absent) : this.items![at];
  }

  /** A map's keys, in their order. */
  keys(): string[] {
    const names = this.names;
    return names === null ? [] : names.slice(0);
  }

  private find(key: string): i32 {
    const names = this.names;
    if (names === null) return -1;
    if (names.length <= INDEXED_FROM) return names.indexOf(key);
    let index = this.index;
    if (index === null) {
      this.index = index = new Map();
      for (let i = names.length - 1; i >= 0; i--) index.set(names[i], i);
    }
    return index.has(key) ? index.get(key) : -1;
  }

  // ── bytes ──

  /** Exactly one msgpack value of anyone's: lengths are believed only as far as there are bytes, depth is bounded. */
  static decode(bytes: Uint8Array): Result<Value> {
    const from = new Reader(bytes.dataStart, bytes.length);
    const value = from.value(0);
    if (!from.error.length && from.left) from.error = from.left.toString() + " bytes behind the value";
    return new Result(value, from.error.length ? new Failure("MalformedError", "malformed msgpack: " + from.error) : null);
  }

  /** A JSON text. Numbers without point and exponent are integers if 64 bits hold them, others are floats. */
  static parse(text: string): Result<Value> {
    const from = new JsonReader(text);
    const value = from.document();
    return new Result(value, from.error.length ? new Failure("MalformedError", "malformed JSON: " + from.error) : null);
  }

  encode(): Uint8Array {
    const to = new Writer();
    this.write(to);
    return to.bytes();
  }

  write(to: Writer): void {
    switch (this.kind) {
      case Kind.Bool: {
        to.bool(this.bits != 0);
        break;
      }
      case Kind.Int: {
        to.int(<i64>this.bits);
        break;
      }
      case Kind.Uint: {
        to.uint(this.bits);
        break;
      }
      case Kind.Float: {
        to.float(reinterpret<f64>(this.bits));
        break;
      }
      case Kind.String: {
        to.string(this.text);
        break;
      }
      case Kind.Binary: {
        to.binary(this.data);
        break;
      }
      case Kind.Array: {
        const items = this.items!;
        to.array(items.length);
        for (let i = 0; i < items.length; i++) items[i].write(to);
        break;
      }
      case Kind.Map: {
        const items = this.items!;
        const names = this.names!;
        to.map(items.length);
        for (let i = 0; i < items.length; i++) {
          to.string(names[i]);
          items[i].write(to);
        }
        break;
      }
      default:
        to.nil();
    }
  }

  /** As JSON, for logs and bodies: binary is base64, what is no finite number is null. */
  toString(): string {
    switch (this.kind) {
      case Kind.Bool:
        return this.bits ? "true" : "false";
      case Kind.Int:
        return (<i64>this.bits).toString();
      case Kind.Uint:
        return this.bits.toString();
      case Kind.Float: {
        const number = reinterpret<f64>(this.bits);
        return isFinite(number) ? number.toString() : "null";
      }
      case Kind.String:
        return quoted(this.text);
      case Kind.Binary:
        return '"' + base64(this.data) + '"';
      case Kind.Array: {
        const parts: string[] = [];
        for (let i = 0; i < this.length; i++) parts.push(this.at(i).toString());
        return "[" + parts.join(",") + "]";
      }
      case Kind.Map: {
        const parts: string[] = [];
        const names = this.names!;
        for (let i = 0; i < names.length; i++) parts.push(quoted(names[i]) + ":" + this.at(i).toString());
        return "{" + parts.join(",") + "}";
      }
      default:
        return "null";
    }
  }
}

/** A cursor over bytes. After an error it stays where it is and reads nothing more. */
export class Reader {
  error: string = "";
  private end: usize;

  constructor(
    public at: usize,
    length: i32,
  ) {
    this.end = at + length;
  }

  get left(): i32 {
    return <i32>(this.end - this.at);
  }

  private refuse(error: string): Value {
    if (!this.error.length) this.error = error;
    return new Value(Kind.Absent);
  }

  /** A number of `wide` bytes, big end first. */
  private number(wide: i32): u64 {
    if (this.left < wide) {
      this.refuse("it ends too early");
      return 0;
    }
    let number: u64 = 0;
    for (let i = 0; i < wide; i++) number = (number << 8) | load<u8>(this.at++);
    return number;
  }

  value(depth: i32): Value {
    if (this.left < 1) return this.refuse("it ends too early");
    const first = <i32>load<u8>(this.at++);
    if (first < 0x80) return Value.int(first);
    if (first < 0x90) return this.map(first & 0x0f, depth);
    if (first < 0xa0) return this.array(first & 0x0f, depth);
    if (first < 0xc0) return this.string(first & 0x1f);
    if (first >= 0xe0) return Value.int(first - 0x100);
    switch (first) {
      case 0xc0:
        return Value.nil();
      case 0xc2:
      case 0xc3:
        return Value.bool(first == 0xc3);
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.binary(this.number(1 << (first - 0xc4)));
      case 0xca:
        return Value.float(<f64>reinterpret<f32>(<u32>this.number(4)));
      case 0xcb:
        return Value.float(reinterpret<f64>(this.number(8)));
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return Value.uint(this.number(1 << (first - 0xcc)));
      case 0xd0:
        return Value.int(<i64>(<i8>this.number(1)));
      case 0xd1:
        return Value.int(<i64>(<i16>this.number(2)));
      case 0xd2:
        return Value.int(<i64>(<i32>this.number(4)));
      case 0xd3:
        return Value.int(<i64>this.number(8));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.string(this.number(1 << (first - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.array(this.number(2 << (first - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return this.map(this.number(2 << (first - 0xde)), depth);
      default:
        return this.refuse("byte 0x" + first.toString(16) + ", which the ABI has not");
    }
  }

  /** Steps over a value without looking at its strings. Nesting is counted, not recursed into. */
  skip(): void {
    for (let pending: u64 = 1; pending && !this.error.length; pending--) {
      if (this.left < 1) {
        this.refuse("it ends too early");
        return;
      }
      const first = <i32>load<u8>(this.at++);
      let bytes: u64 = 0;
      if (first < 0x80 || first >= 0xe0) continue;
      if (first < 0x90) pending += 2 * (first & 0x0f);
      else if (first < 0xa0) pending += first & 0x0f;
      else if (first < 0xc0) bytes = first & 0x1f;
      else if (first >= 0xc4 && first <= 0xc6) bytes = this.number(1 << (first - 0xc4));
      else if (first == 0xca || first == 0xcb) bytes = first == 0xca ? 4 : 8;
      else if (first >= 0xcc && first <= 0xd3) bytes = 1 << ((first - 0xcc) & 3);
      else if (first >= 0xd9 && first <= 0xdb) bytes = this.number(1 << (first - 0xd9));
      else if (first == 0xdc || first == 0xdd) pending += this.number(2 << (first - 0xdc));
      else if (first == 0xde || first == 0xdf) pending += 2 * this.number(2 << (first - 0xde));
      else if (first != 0xc0 && first != 0xc2 && first != 0xc3) {
        this.refuse("byte 0x" + first.toString(16) + ", which the ABI has not");
        return;
      }
      if (bytes + pending - 1 > <u64>this.left) {
        this.refuse("it ends too early");
        return;
      }
      this.at += <usize>bytes;
    }
  }

  /** How many entries a map has that begins here; -1, and an error, if none does. */
  entries(): i32 {
    const first = this.left ? <i32>load<u8>(this.at++) : 0;
    if (first >= 0x80 && first < 0x90) return first & 0x0f;
    if (first == 0xde || first == 0xdf) return <i32>this.number(2 << (first - 0xde));
    this.refuse("no object where one belongs");
    return -1;
  }

  /** Whether the key that was stepped over last, and began at `at`, is this one: of less than 32 bytes, all ASCII. */
  passed(at: usize, name: string): bool {
    if (this.error.length || this.at - at != 1 + name.length || <i32>load<u8>(at) != (0xa0 | name.length)) return false;
    for (let i = 0; i < name.length; i++) if (<i32>load<u8>(at + 1 + i) != name.charCodeAt(i)) return false;
    return true;
  }

  private string(length: u64): Value {
    if (this.error.length || length > <u64>this.left) return this.refuse("it ends too early");
    if (!isUTF8(this.at, <usize>length)) return this.refuse("a string that is not UTF-8");
    const text = String.UTF8.decodeUnsafe(this.at, <usize>length);
    this.at += <usize>length;
    return Value.string(text);
  }

  private binary(length: u64): Value {
    if (this.error.length || length > <u64>this.left) return this.refuse("it ends too early");
    const data = new Uint8Array(<i32>length);
    memory.copy(data.dataStart, this.at, <usize>length);
    this.at += <usize>length;
    return Value.binary(data);
  }

  private array(length: u64, depth: i32): Value {
    if (this.error.length || length > <u64>this.left) return this.refuse("it ends too early");
    if (depth >= DEPTH_MAX) return this.refuse("it is nested deeper than " + DEPTH_MAX.toString());
    const made = Value.array();
    for (let i: u64 = 0; i < length && !this.error.length; i++) made.push(this.value(depth + 1));
    return made;
  }

  private map(length: u64, depth: i32): Value {
    if (this.error.length || 2 * length > <u64>this.left) return this.refuse("it ends too early");
    if (depth >= DEPTH_MAX) return this.refuse("it is nested deeper than " + DEPTH_MAX.toString());
    const made = Value.map();
    for (let i: u64 = 0; i < length && !this.error.length; i++) {
      const key = this.value(depth + 1);
      if (key.kind != Kind.String) return this.refuse("a key that is no string");
      made.set(key.asString(), this.value(depth + 1));
    }
    return made;
  }
}

function isUTF8(at: usize, length: usize): bool {
  const end = at + length;
  while (at < end) {
    const first = <i32>load<u8>(at);
    if (first < 0x80) {
      at++;
      continue;
    }
    const more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || end - at <= <usize>more) return false;
    for (let i = 1; i <= more; i++) if ((load<u8>(at + i) & 0xc0) != 0x80) return false;
    // Overlong forms, surrogates, and what is beyond U+10FFFF show in the second byte.
    const second = <i32>load<u8>(at, 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return false;
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return false;
    at += more + 1;
  }
  return true;
}

/** The order of two texts by their bytes in UTF-8: negative, 0, positive. AssemblyScript's own `<` compares UTF-16. */
export function compareBytes(a: string, b: string): i32 {
  const x = String.UTF8.encode(a);
  const y = String.UTF8.encode(b);
  const order = memory.compare(changetype<usize>(x), changetype<usize>(y), min(x.byteLength, y.byteLength));
  return order ? order : x.byteLength - y.byteLength;
}

function quoted(text: string): string {
  const parts: string[] = [];
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x20 && c != 0x22 && c != 0x5c) continue;
    parts.push(text.substring(from, i));
    from = i + 1;
    if (c == 0x22 || c == 0x5c) parts.push("\\" + String.fromCharCode(c));
    else if (c == 0x0a) parts.push("\\n");
    else parts.push("\\u" + c.toString(16).padStart(4, "0"));
  }
  parts.push(text.substring(from));
  return '"' + parts.join("") + '"';
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base64, with padding. */
export function base64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const three =
      (<i32>bytes[i] << 16) | (left > 1 ? <i32>bytes[i + 1] << 8 : 0) | (left > 2 ? <i32>bytes[i + 2] : 0);
    parts.push(
      DIGITS.charAt(three >> 18) +
        DIGITS.charAt((three >> 12) & 63) +
        (left > 1 ? DIGITS.charAt((three >> 6) & 63) : "=") +
        (left > 2 ? DIGITS.charAt(three & 63) : "="),
    );
  }
  return parts.join("");
}
