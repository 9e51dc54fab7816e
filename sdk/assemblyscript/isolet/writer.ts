// Writing msgpack: shortest forms, floats in 64 bits. A string with lone surrogates is mended, since the host takes no other
// than UTF-8.

/** Bytes that grow. For what is not a Value: `map` and `array` announce what must follow. */
export class Writer {
  private buffer: ArrayBuffer = new ArrayBuffer(256);
  private used: i32 = 0;

  /** The address of what was written; it moves when more is. */
  get start(): usize {
    return changetype<usize>(this.buffer);
  }

  get length(): i32 {
    return this.used;
  }

  bytes(): Uint8Array {
    return Uint8Array.wrap(this.buffer.slice(0, this.used));
  }

  /** Room for `count` more bytes, and where it is. */
  private room(count: i32): usize {
    const wanted = this.used + count;
    if (wanted > this.buffer.byteLength) {
      const grown = new ArrayBuffer(max(wanted, 2 * this.buffer.byteLength));
      memory.copy(changetype<usize>(grown), changetype<usize>(this.buffer), this.used);
      this.buffer = grown;
    }
    const at = changetype<usize>(this.buffer) + this.used;
    this.used = wanted;
    return at;
  }

  /** Bytes as they are: for what is encoded already. */
  raw(from: usize, count: i32): void {
    if (count) memory.copy(this.room(count), from, count);
  }

  private head(first: i32, number: u64, wide: i32): void {
    let at = this.room(1 + wide);
    store<u8>(at, <u8>first);
    for (let shift = 8 * (wide - 1); shift >= 0; shift -= 8) store<u8>(++at, <u8>(number >> shift));
  }

  nil(): void {
    this.head(0xc0, 0, 0);
  }

  bool(value: bool): void {
    this.head(value ? 0xc3 : 0xc2, 0, 0);
  }

  uint(value: u64): void {
    if (value < 0x80) this.head(<i32>value, 0, 0);
    else if (value <= 0xff) this.head(0xcc, value, 1);
    else if (value <= 0xffff) this.head(0xcd, value, 2);
    else if (value <= 0xffffffff) this.head(0xce, value, 4);
    else this.head(0xcf, value, 8);
  }

  int(value: i64): void {
    if (value >= 0) this.uint(<u64>value);
    else if (value >= -32) this.head(<i32>value, 0, 0);
    else if (value >= -0x80) this.head(0xd0, <u64>value, 1);
    else if (value >= -0x8000) this.head(0xd1, <u64>value, 2);
    else if (value >= -0x80000000) this.head(0xd2, <u64>value, 4);
    else this.head(0xd3, <u64>value, 8);
  }

  float(value: f64): void {
    this.head(0xcb, reinterpret<u64>(value), 8);
  }

  string(text: string): void {
    const encoded = String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE);
    const length = encoded.byteLength;
    if (length < 32) this.head(0xa0 | length, 0, 0);
    else if (length <= 0xff) this.head(0xd9, length, 1);
    else if (length <= 0xffff) this.head(0xda, length, 2);
    else this.head(0xdb, length, 4);
    this.raw(changetype<usize>(encoded), length);
  }

  binary(data: Uint8Array): void {
    const length = data.length;
    if (length <= 0xff) this.head(0xc4, length, 1);
    else if (length <= 0xffff) this.head(0xc5, length, 2);
    else this.head(0xc6, length, 4);
    this.raw(data.dataStart, length);
  }

  /** So many values must follow. */
  array(length: i32): void {
    if (length < 16) this.head(0x90 | length, 0, 0);
    else if (length <= 0xffff) this.head(0xdc, length, 2);
    else this.head(0xdd, length, 4);
  }

  /** So many pairs must follow: a string, then a value. */
  map(length: i32): void {
    if (length < 16) this.head(0x80 | length, 0, 0);
    else if (length <= 0xffff) this.head(0xde, length, 2);
    else this.head(0xdf, length, 4);
  }
}
