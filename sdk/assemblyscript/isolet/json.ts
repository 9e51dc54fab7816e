// Reading JSON, as RFC 8259 has it.

import { DEPTH_MAX, Kind, Value } from "./value";

/** A cursor over a text. After an error it reads nothing more. */
export class JsonReader {
  error: string = "";
  private at: i32 = 0;

  constructor(private text: string) {}

  document(): Value {
    const value = this.value(0);
    this.space();
    if (!this.error.length && this.at < this.text.length) this.refuse("text behind the value");
    return value;
  }

  private refuse(error: string): Value {
    if (!this.error.length) this.error = error + ", at " + this.at.toString();
    return new Value(Kind.Absent);
  }

  /** The character here, -1 at the end. */
  private get here(): i32 {
    return this.at < this.text.length ? this.text.charCodeAt(this.at) : -1;
  }

  private space(): void {
    while (this.here == 0x20 || (this.here >= 0x09 && this.here <= 0x0d && this.here != 0x0b && this.here != 0x0c)) {
      this.at++;
    }
  }

  /** Steps over a character if it is here, behind space. */
  private next(c: i32): bool {
    this.space();
    if (this.here != c) return false;
    this.at++;
    return true;
  }

  private word(word: string, value: Value): Value {
    if (!this.text.startsWith(word, this.at)) return this.refuse("no value");
    this.at += word.length;
    return value;
  }

  private value(depth: i32): Value {
    this.space();
    switch (this.here) {
      case 0x7b: // {
        return this.map(depth);
      case 0x5b: // [
        return this.array(depth);
      case 0x22: // "
        return Value.string(this.string());
      case 0x74:
        return this.word("true", Value.bool(true));
      case 0x66:
        return this.word("false", Value.bool(false));
      case 0x6e:
        return this.word("null", Value.nil());
      default:
        return this.number();
    }
  }

  private array(depth: i32): Value {
    const made = Value.array();
    this.at++;
    if (depth >= DEPTH_MAX) return this.refuse("nested deeper than " + DEPTH_MAX.toString());
    if (this.next(0x5d)) return made;
    do {
      made.push(this.value(depth + 1));
    } while (!this.error.length && this.next(0x2c));
    if (!this.error.length && !this.next(0x5d)) return this.refuse("an array without its end");
    return made;
  }

  private map(depth: i32): Value {
    const made = Value.map();
    this.at++;
    if (depth >= DEPTH_MAX) return this.refuse("nested deeper than " + DEPTH_MAX.toString());
    if (this.next(0x7d)) return made;
    do {
      this.space();
      if (this.here != 0x22) return this.refuse("no key");
      const key = this.string();
      if (!this.error.length && !this.next(0x3a)) return this.refuse("a key without a value");
      if (!this.error.length) made.set(key, this.value(depth + 1));
    } while (!this.error.length && this.next(0x2c));
    if (!this.error.length && !this.next(0x7d)) return this.refuse("an object without its end");
    return made;
  }

  private string(): string {
    const parts: string[] = [];
    this.at++;
    let from = this.at;
    while (true) {
      const c = this.here;
      if (c < 0x20) {
        this.refuse("a string without its end");
        return "";
      }
      if (c == 0x22) break;
      if (c != 0x5c) {
        this.at++;
        continue;
      }
      parts.push(this.text.substring(from, this.at));
      parts.push(this.escape());
      if (this.error.length) return "";
      from = this.at;
    }
    const last = this.text.substring(from, this.at);
    this.at++;
    if (!parts.length) return last;
    parts.push(last);
    return parts.join("");
  }

  private escape(): string {
    const escaped = this.at + 1 < this.text.length ? this.text.charAt(this.at + 1) : "";
    this.at += 2;
    if (escaped == "u") {
      let unit = 0;
      for (let i = 0; i < 4; i++) {
        const digit = hexDigit(this.here);
        if (digit < 0) {
          this.refuse("an escape that is none");
          return "";
        }
        unit = (unit << 4) | digit;
        this.at++;
      }
      return String.fromCharCode(unit);
    }
    const which = '"\\/bfnrt'.indexOf(escaped);
    if (!escaped.length || which < 0) {
      this.refuse("an escape that is none");
      return "";
    }
    return '"\\/\b\f\n\r\t'.charAt(which);
  }

  private digits(): bool {
    const from = this.at;
    while (this.here >= 0x30 && this.here <= 0x39) this.at++;
    return this.at > from;
  }

  private number(): Value {
    const from = this.at;
    const negative = this.here == 0x2d;
    if (negative) this.at++;
    const first = this.here;
    if (!this.digits() || (first == 0x30 && this.at - from > (negative ? 2 : 1))) return this.refuse("no value");
    let whole = true;
    if (this.here == 0x2e) {
      whole = false;
      this.at++;
      if (!this.digits()) return this.refuse("a point without digits");
    }
    if (this.here == 0x65 || this.here == 0x45) {
      whole = false;
      this.at++;
      if (this.here == 0x2b || this.here == 0x2d) this.at++;
      if (!this.digits()) return this.refuse("an exponent without digits");
    }
    const text = this.text.substring(from, this.at);
    return whole ? integer(text, negative) : Value.float(parseFloat(text));
  }
}

/** As an integer if 64 bits hold it, else as a float. */
function integer(text: string, negative: bool): Value {
  let number: u64 = 0;
  const most: u64 = negative ? <u64>i64.MAX_VALUE + 1 : u64.MAX_VALUE;
  for (let i = negative ? 1 : 0; i < text.length; i++) {
    const digit = <u64>(text.charCodeAt(i) - 0x30);
    if (number > (most - digit) / 10) return Value.float(parseFloat(text));
    number = number * 10 + digit;
  }
  return negative ? Value.int(<i64>(0 - number)) : Value.uint(number);
}

function hexDigit(c: i32): i32 {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const small = c | 0x20;
  return small >= 0x61 && small <= 0x66 ? small - 0x61 + 10 : -1;
}
