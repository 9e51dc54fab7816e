// ReadableStream, WritableStream and TransformStream of WHATWG's Streams: their default kinds, without byte streams.
"use strict";
const { invalidArgType } = require("errors");

const released = () => new TypeError("This stream reader has been released");

class ReadableStreamDefaultController {
  #stream;
  constructor(stream) {
    this.#stream = stream;
  }
  get desiredSize() {
    return this.#stream.desired();
  }
  enqueue(chunk) {
    this.#stream.take(chunk);
  }
  close() {
    this.#stream.finish();
  }
  error(reason) {
    this.#stream.fail(reason);
  }
}

class ReadableStream {
  #source;
  #queue = [];
  #waiting = [];
  #state = "readable";
  #reason;
  #reader = null;
  #most;
  #pulling = false;
  #started;
  #controller;
  constructor(source = {}, strategy = {}) {
    this.#source = source ?? {};
    this.#most = strategy.highWaterMark ?? 1;
    const stream = {
      desired: () => (this.#state === "readable" ? this.#most - this.#queue.length : this.#state === "closed" ? 0 : null),
      take: (chunk) => this.#take(chunk),
      finish: () => this.#finish(),
      fail: (reason) => this.#fail(reason),
    };
    this.#controller = new ReadableStreamDefaultController(stream);
    const begun = this.#source.start?.(this.#controller);
    this.#started = Promise.resolve(begun).then(
      () => this.#pull(),
      (reason) => this.#fail(reason),
    );
  }
  #take(chunk) {
    if (this.#state !== "readable") throw new TypeError("Invalid state: Controller is already closed");
    const next = this.#waiting.shift();
    if (next) next.resolve({ value: chunk, done: false });
    else this.#queue.push(chunk);
    this.#pull();
  }
  #finish() {
    if (this.#state !== "readable") throw new TypeError("Invalid state: Controller is already closed");
    this.#state = "closing";
    if (this.#queue.length === 0) this.#close();
  }
  #close() {
    this.#state = "closed";
    for (const next of this.#waiting.splice(0)) next.resolve({ value: undefined, done: true });
    this.#reader?.settle();
  }
  #fail(reason) {
    if (this.#state === "closed" || this.#state === "errored") return;
    this.#state = "errored";
    this.#reason = reason;
    this.#queue = [];
    for (const next of this.#waiting.splice(0)) next.reject(reason);
    this.#reader?.settle(reason, true);
  }
  #pull() {
    if (this.#pulling || this.#state !== "readable" || typeof this.#source.pull !== "function") return;
    if (this.#queue.length >= this.#most && !this.#waiting.length) return;
    this.#pulling = true;
    Promise.resolve()
      .then(() => this.#source.pull(this.#controller))
      .then(
        () => {
          this.#pulling = false;
          if (this.#waiting.length || this.#queue.length < this.#most) this.#pull();
        },
        (reason) => this.#fail(reason),
      );
  }
  #read() {
    if (this.#queue.length) {
      const value = this.#queue.shift();
      if (this.#queue.length === 0 && this.#state === "closing") this.#close();
      else this.#pull();
      return Promise.resolve({ value, done: false });
    }
    if (this.#state === "errored") return Promise.reject(this.#reason);
    if (this.#state === "closed") return Promise.resolve({ value: undefined, done: true });
    const made = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#pull();
    return made;
  }
  get locked() {
    return this.#reader !== null;
  }
  async cancel(reason) {
    if (this.locked) throw new TypeError("Invalid state: ReadableStream is locked");
    return this.#cancel(reason);
  }
  async #cancel(reason) {
    if (this.#state === "errored") throw this.#reason;
    if (this.#state === "closed") return;
    this.#queue = [];
    this.#close();
    await this.#source.cancel?.(reason);
  }
  getReader(options) {
    if (options?.mode !== undefined && options.mode !== "byob") throw invalidArgType("options.mode", "string", options.mode);
    if (this.locked) throw new TypeError("Invalid state: ReadableStream is locked");
    let settle;
    let closed = new Promise((resolve, reject) => {
      settle = (reason, failed) => (failed ? reject(reason) : resolve(undefined));
    });
    closed.catch(() => {});
    const stream = this;
    let active = true;
    const reader = {
      settle,
      get closed() {
        return closed;
      },
      read: () => (active ? stream.#read() : Promise.reject(released())),
      cancel: async (reason) => {
        if (!active) throw released();
        return stream.#cancel(reason);
      },
      releaseLock() {
        if (!active) return;
        active = false;
        stream.#reader = null;
        for (const next of stream.#waiting.splice(0)) next.reject(released());
        closed = Promise.reject(released());
        closed.catch(() => {});
      },
    };
    Object.defineProperty(reader, "settle", { enumerable: false });
    if (this.#state === "closed") settle();
    if (this.#state === "errored") settle(this.#reason, true);
    this.#reader = reader;
    return reader;
  }
  async pipeTo(target, { preventClose = false, preventAbort = false, preventCancel = false, signal } = {}) {
    const reader = this.getReader();
    const writer = target.getWriter();
    try {
      for (;;) {
        signal?.throwIfAborted();
        const { value, done } = await reader.read();
        if (done) break;
        await writer.ready;
        await writer.write(value);
      }
      if (!preventClose) await writer.close();
    } catch (error) {
      if (!preventAbort) await writer.abort(error).catch(() => {});
      if (!preventCancel) await reader.cancel(error).catch(() => {});
      throw error;
    } finally {
      reader.releaseLock();
      writer.releaseLock();
    }
  }
  pipeThrough({ readable, writable }, options) {
    this.pipeTo(writable, options).catch(() => {});
    return readable;
  }
  tee() {
    const reader = this.getReader();
    const controllers = [];
    let reading = false;
    const pull = async () => {
      if (reading) return;
      reading = true;
      try {
        const { value, done } = await reader.read();
        for (const controller of controllers)
          if (done) controller.close();
          else controller.enqueue(value);
      } catch (error) {
        for (const controller of controllers) controller.error(error);
      }
      reading = false;
    };
    const branch = () => new ReadableStream({ start: (controller) => void controllers.push(controller), pull });
    return [branch(), branch()];
  }
  async *values({ preventCancel = false } = {}) {
    const reader = this.getReader();
    let whole = false;
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) {
          whole = true;
          return;
        }
        yield value;
      }
    } finally {
      if (!whole && !preventCancel) await reader.cancel().catch(() => {});
      reader.releaseLock();
    }
  }
  [Symbol.asyncIterator](options) {
    return this.values(options);
  }
  static from(iterable) {
    const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]();
    return new ReadableStream({
      async pull(controller) {
        const { value, done } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => iterator.return?.(reason),
    });
  }
}

class WritableStream {
  #sink;
  #controller;
  #tail;
  #writer = null;
  #state = "writable";
  #reason;
  constructor(sink = {}) {
    this.#sink = sink ?? {};
    this.#controller = { signal: new AbortController().signal, error: (reason) => this.#fail(reason) };
    this.#tail = Promise.resolve(this.#sink.start?.(this.#controller)).catch((reason) => this.#fail(reason));
  }
  #fail(reason) {
    if (this.#state === "closed") return;
    this.#state = "errored";
    this.#reason = reason;
  }
  #next(act) {
    const made = this.#tail.then(() => {
      if (this.#state === "errored") throw this.#reason;
      return act();
    });
    this.#tail = made.catch((reason) => this.#fail(reason));
    return made;
  }
  get locked() {
    return this.#writer !== null;
  }
  async abort(reason) {
    this.#fail(reason);
    await this.#sink.abort?.(reason);
  }
  close() {
    return this.#next(async () => {
      await this.#sink.close?.();
      this.#state = "closed";
    });
  }
  getWriter() {
    if (this.locked) throw new TypeError("Invalid state: WritableStream is locked");
    const stream = this;
    let over;
    const closed = new Promise((resolve, reject) => (over = { resolve, reject }));
    closed.catch(() => {});
    this.#writer = {
      get ready() {
        return stream.#tail.then(() => undefined);
      },
      get closed() {
        return closed;
      },
      get desiredSize() {
        return stream.#state === "writable" ? 1 : null;
      },
      write: (chunk) => {
        if (stream.#state === "closed") return Promise.reject(new TypeError("Invalid state: WritableStream is closed"));
        return stream.#next(() => stream.#sink.write?.(chunk, stream.#controller));
      },
      close: () => stream.close().then(over.resolve, (reason) => {
        over.reject(reason);
        throw reason;
      }),
      abort: (reason) => stream.abort(reason),
      releaseLock: () => void (stream.#writer = null),
    };
    return this.#writer;
  }
}

class TransformStream {
  constructor(transformer = {}) {
    let controller;
    this.readable = new ReadableStream({ start: (c) => void (controller = c) });
    const side = {
      enqueue: (chunk) => controller.enqueue(chunk),
      error: (reason) => controller.error(reason),
      terminate: () => controller.close(),
      get desiredSize() {
        return controller.desiredSize;
      },
    };
    this.writable = new WritableStream({
      start: () => transformer.start?.(side),
      write: (chunk) => (transformer.transform ? transformer.transform(chunk, side) : side.enqueue(chunk)),
      async close() {
        await transformer.flush?.(side);
        controller.close();
      },
      abort: (reason) => controller.error(reason),
    });
  }
}

class TextEncoderStream extends TransformStream {
  constructor() {
    const encoder = new TextEncoder();
    super({ transform: (text, controller) => controller.enqueue(encoder.encode(text)) });
    this.encoding = "utf-8";
  }
}

class TextDecoderStream extends TransformStream {
  constructor(label, options) {
    const decoder = new TextDecoder(label, options);
    super({
      transform(bytes, controller) {
        const text = decoder.decode(bytes, { stream: true });
        if (text) controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text) controller.enqueue(text);
      },
    });
    this.encoding = decoder.encoding;
  }
}

class CountQueuingStrategy {
  constructor({ highWaterMark }) {
    this.highWaterMark = highWaterMark;
  }
  size() {
    return 1;
  }
}
class ByteLengthQueuingStrategy {
  constructor({ highWaterMark }) {
    this.highWaterMark = highWaterMark;
  }
  size(chunk) {
    return chunk.byteLength;
  }
}
for (const [Class, name] of [[ReadableStream, "ReadableStream"], [WritableStream, "WritableStream"], [TransformStream, "TransformStream"]])
  Object.defineProperty(Class.prototype, Symbol.toStringTag, { value: name, configurable: true });

module.exports = { ReadableStream, WritableStream, TransformStream, TextEncoderStream, TextDecoderStream, CountQueuingStrategy, ByteLengthQueuingStrategy, ReadableStreamDefaultController };
