// `stream`: Readable, Writable, Duplex, Transform, PassThrough, pipeline, finished; what packages use of Node's.
"use strict";
const EventEmitter = require("events");
const { withCode, invalidArgType } = require("errors");
const { StringDecoder } = require("string_decoder");

const isText = (chunk) => typeof chunk === "string";
const isBytes = (chunk) => chunk instanceof Uint8Array;
const notImplemented = (name) => withCode(Error, "ERR_METHOD_NOT_IMPLEMENTED", `The ${name} method is not implemented`);
const premature = () => withCode(Error, "ERR_STREAM_PREMATURE_CLOSE", "Premature close");
const highWaterMark = (options, side) => options?.[`${side}HighWaterMark`] ?? options?.highWaterMark ?? (options?.objectMode || options?.[`${side}ObjectMode`] ? 16 : 65536);

function Stream(options) {
  EventEmitter.call(this, options);
}
Object.setPrototypeOf(Stream.prototype, EventEmitter.prototype);
Object.setPrototypeOf(Stream, EventEmitter);

// What all of them share: an end for good, with or without an error.
const ending = {
  destroy(error, callback) {
    if (this.destroyed) {
      callback?.(error);
      return this;
    }
    this.destroyed = true;
    const done = (failure) => {
      const final = failure ?? error ?? null;
      this.errored = final;
      process.nextTick(() => {
        this.closed = true;
        callback?.(final);
        if (final) this.emit("error", final);
        this.emit("close");
      });
    };
    this._destroy(error ?? null, done);
    return this;
  },
  _destroy(error, done) {
    done(error);
  },
  [Symbol.asyncDispose]() {
    if (!this.destroyed) this.destroy();
    return new Promise((resolve) => finished(this, () => resolve()));
  },
};

function common(stream, options) {
  Stream.call(stream, options);
  stream.destroyed = false;
  stream.closed = false;
  stream.errored = null;
  if (typeof options?.destroy === "function") stream._destroy = options.destroy;
  if (options?.signal) options.signal.addEventListener("abort", () => stream.destroy(aborted(options.signal)), { once: true });
}

function aborted(signal) {
  const error = withCode(Error, "ABORT_ERR", "The operation was aborted");
  error.name = "AbortError";
  error.cause = signal.reason;
  return error;
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

function Readable(options) {
  if (!(this instanceof Readable)) return new Readable(options);
  common(this, options);
  initReadable(this, options);
  if (typeof options?.read === "function") this._read = options.read;
  if (typeof options?.construct === "function") this._construct = options.construct;
  return this;
}
Object.setPrototypeOf(Readable.prototype, Stream.prototype);
Object.setPrototypeOf(Readable, Stream);

function initReadable(stream, options) {
  Object.defineProperty(stream, "_readableState", {
    value: {
      buffer: [], length: 0, flowing: null, ended: false, endEmitted: false, reading: false, sync: false, scheduled: false,
      objectMode: Boolean(options?.objectMode || options?.readableObjectMode), highWaterMark: highWaterMark(options, "readable"), decoder: null,
      pipes: [], needReadable: false, autoDestroy: options?.autoDestroy !== false, encoding: null,
    },
    enumerable: false,
  });
  if (options?.encoding) stream.setEncoding(options.encoding);
}

Object.assign(Readable.prototype, ending, {
  _read() {
    throw notImplemented("_read()");
  },
  setEncoding(encoding) {
    const state = this._readableState;
    state.decoder = new StringDecoder(encoding);
    state.encoding = encoding;
    const text = state.buffer.map((chunk) => (isText(chunk) ? chunk : state.decoder.write(chunk))).join("");
    state.buffer = text ? [text] : [];
    state.length = text.length;
    return this;
  },
});

function add(stream, chunk, encoding, first) {
  const state = stream._readableState;
  state.reading = false;
  if (chunk === null) {
    endReading(stream);
    return false;
  }
  if (!state.objectMode) {
    if (isText(chunk)) {
      if (!state.decoder || encoding !== state.encoding) chunk = Buffer.from(chunk, encoding);
    } else if (isBytes(chunk)) chunk = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    else if (chunk !== undefined) {
      stream.destroy(invalidArgType("chunk", ["string", "Buffer", "TypedArray", "DataView"], chunk));
      return false;
    }
    if (state.decoder && isBytes(chunk)) chunk = state.decoder.write(chunk);
    if (chunk === undefined || chunk.length === 0) {
      schedule(stream);
      return state.length < state.highWaterMark;
    }
  }
  if (state.ended && !first) {
    stream.destroy(withCode(Error, "ERR_STREAM_PUSH_AFTER_EOF", "stream.push() after EOF"));
    return false;
  }
  if (first) state.buffer.unshift(chunk);
  else state.buffer.push(chunk);
  state.length += state.objectMode ? 1 : chunk.length;
  schedule(stream);
  return state.length < state.highWaterMark;
}

function endReading(stream) {
  const state = stream._readableState;
  if (state.ended) return;
  const rest = state.decoder?.end();
  if (rest) {
    state.buffer.push(rest);
    state.length += state.objectMode ? 1 : rest.length;
  }
  state.ended = true;
  schedule(stream);
}

// Later: gives what there is to whoever listens, asks for more.
function schedule(stream) {
  const state = stream._readableState;
  if (state.scheduled) return;
  state.scheduled = true;
  process.nextTick(() => {
    state.scheduled = false;
    if (stream.destroyed) return;
    if (state.flowing) flow(stream);
    else if (stream.listenerCount("readable") > 0 && (state.length > 0 || state.ended) && !state.endEmitted) {
      stream.emit("readable");
      if (state.length === 0) finishReading(stream);
      if (!state.ended && state.length < state.highWaterMark) fetchMore(stream);
    } else if (state.length === 0 && state.ended && state.flowing !== null) finishReading(stream);
    if (!state.ended && state.flowing === null && !stream.listenerCount("readable")) return;
  });
}

function fetchMore(stream) {
  const state = stream._readableState;
  if (state.reading || state.ended || stream.destroyed) return;
  state.reading = true;
  try {
    stream._read(state.highWaterMark);
  } catch (error) {
    stream.destroy(error);
  }
}

function flow(stream) {
  const state = stream._readableState;
  while (state.flowing && !stream.destroyed) {
    if (state.buffer.length === 0) {
      if (state.ended) finishReading(stream);
      else fetchMore(stream);
      if (state.buffer.length === 0) return;
      continue;
    }
    const chunk = state.buffer.shift();
    state.length -= state.objectMode ? 1 : chunk.length;
    stream.emit("data", chunk);
  }
}

function finishReading(stream) {
  const state = stream._readableState;
  if (state.endEmitted || state.length > 0 || !state.ended) return;
  state.endEmitted = true;
  process.nextTick(() => {
    if (stream.errored) return;
    stream.readable = false;
    stream.emit("end");
    const writing = stream._writableState;
    if (writing && stream.allowHalfOpen === false && !writing.ending) stream.end();
    if (state.autoDestroy && (!writing || writing.finished)) stream.destroy();
  });
}

Object.assign(Readable.prototype, {
  push(chunk, encoding) {
    return add(this, chunk, encoding, false);
  },
  unshift(chunk, encoding) {
    return add(this, chunk, encoding, true);
  },
  read(n) {
    const state = this._readableState;
    if (n === 0) {
      fetchMore(this);
      return null;
    }
    if (state.length < state.highWaterMark && !state.ended) fetchMore(this);
    if (state.length === 0) {
      if (state.ended) finishReading(this);
      return null;
    }
    let chunk;
    if (state.objectMode) chunk = state.buffer.shift();
    else {
      const all = state.decoder ? state.buffer.join("") : Buffer.concat(state.buffer);
      if (n !== undefined && n > all.length && !state.ended) return null;
      const most = n === undefined || Number.isNaN(n) ? all.length : Math.min(n, all.length);
      chunk = state.decoder ? all.slice(0, most) : all.subarray(0, most);
      state.buffer = most < all.length ? [state.decoder ? all.slice(most) : all.subarray(most)] : [];
    }
    state.length -= state.objectMode ? 1 : chunk.length;
    if (state.length === 0 && state.ended) finishReading(this);
    else if (state.length === 0) schedule(this);
    this.emit("data", chunk);
    return chunk;
  },
  on(name, listener) {
    const made = Stream.prototype.on.call(this, name, listener);
    const state = this._readableState;
    if (name === "data" && state.flowing !== false && this.listenerCount("readable") === 0) this.resume();
    if (name === "readable" && !state.endEmitted) {
      state.flowing = false;
      if (state.length > 0 || state.ended) schedule(this);
      else process.nextTick(() => fetchMore(this));
    }
    return made;
  },
  pause() {
    this._readableState.flowing = false;
    this.emit("pause");
    return this;
  },
  resume() {
    const state = this._readableState;
    if (!state.flowing) {
      state.flowing = true;
      process.nextTick(() => {
        if (state.flowing && !this.destroyed) {
          this.emit("resume");
          flow(this);
        }
      });
    }
    return this;
  },
  isPaused() {
    return this._readableState.flowing === false;
  },
  pipe(target, options) {
    const source = this;
    this._readableState.pipes.push(target);
    const give = (chunk) => {
      if (target.write(chunk) === false) {
        source.pause();
        target.once("drain", () => source.resume());
      }
    };
    const end = () => target.end();
    source.on("data", give);
    if (options?.end !== false && target !== process.stdout && target !== process.stderr) source.once("end", end);
    target.once("unpipe", (from) => {
      if (from !== source) return;
      source.removeListener("data", give);
      source.removeListener("end", end);
    });
    target.emit("pipe", source);
    return target;
  },
  unpipe(target) {
    const state = this._readableState;
    for (const one of target ? [target] : [...state.pipes]) {
      state.pipes = state.pipes.filter((p) => p !== one);
      one.emit("unpipe", this);
    }
    if (!state.pipes.length) this.pause();
    return this;
  },
  wrap(old) {
    old.on("data", (chunk) => this.push(chunk) || old.pause?.());
    old.on("end", () => this.push(null));
    this._read = () => old.resume?.();
    return this;
  },
  async *[Symbol.asyncIterator]() {
    let wake = () => {};
    const stir = () => wake();
    let failure;
    const off = finished(this, { writable: false }, (error) => {
      failure = error ?? null;
      stir();
    });
    this.on("readable", stir);
    try {
      for (;;) {
        const chunk = this.destroyed ? null : this.read();
        if (chunk !== null) yield chunk;
        else if (failure) throw failure;
        else if (failure === null) return;
        else
          await new Promise((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      off();
      this.removeListener("readable", stir);
      if (!this._readableState.endEmitted && !this.destroyed) this.destroy();
    }
  },
  iterator() {
    return this[Symbol.asyncIterator]();
  },
  async toArray() {
    const all = [];
    for await (const chunk of this) all.push(chunk);
    return all;
  },
  async forEach(act) {
    for await (const chunk of this) await act(chunk);
  },
  async reduce(act, ...initial) {
    let [value] = initial;
    let has = initial.length > 0;
    for await (const chunk of this) {
      value = has ? await act(value, chunk) : chunk;
      has = true;
    }
    return value;
  },
});

const derived = (make) =>
  function (...values) {
    const source = this;
    return Readable.from(make.call(source, source, ...values));
  };
Object.assign(Readable.prototype, {
  map: derived(async function* (source, act) {
    for await (const chunk of source) yield await act(chunk);
  }),
  filter: derived(async function* (source, act) {
    for await (const chunk of source) if (await act(chunk)) yield chunk;
  }),
  take: derived(async function* (source, n) {
    if (n > 0) for await (const chunk of source) {
      yield chunk;
      if (--n <= 0) return;
    }
  }),
  drop: derived(async function* (source, n) {
    for await (const chunk of source) if (n-- <= 0) yield chunk;
  }),
  flatMap: derived(async function* (source, act) {
    for await (const chunk of source) yield* await act(chunk);
  }),
});

Readable.from = function (iterable, options) {
  if (isText(iterable) || isBytes(iterable)) {
    const whole = new Readable({ objectMode: true, ...options, read() {} });
    whole.push(iterable);
    whole.push(null);
    return whole;
  }
  const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]?.();
  if (!iterator) throw invalidArgType("iterable", ["Iterable"], iterable);
  let busy = false;
  return new Readable({
    objectMode: true,
    highWaterMark: 1,
    ...options,
    async read() {
      if (busy) return;
      busy = true;
      try {
        for (;;) {
          const { value, done } = await iterator.next();
          if (done) {
            this.push(null);
            return;
          }
          if (!this.push(await value)) break;
        }
        busy = false;
      } catch (error) {
        this.destroy(error);
      }
    },
    destroy(error, done) {
      Promise.resolve(iterator.return?.()).then(() => done(error), done);
    },
  });
};
Readable.fromWeb = (web, options) => Readable.from(web, { objectMode: false, ...options });
Readable.toWeb = (stream) => require("web_streams").ReadableStream.from(stream);

for (const [name, get] of Object.entries({
  readableFlowing: (s) => s.flowing,
  readableLength: (s) => s.length,
  readableHighWaterMark: (s) => s.highWaterMark,
  readableObjectMode: (s) => s.objectMode,
  readableEnded: (s) => s.endEmitted,
  readableEncoding: (s) => s.encoding,
}))
  Object.defineProperty(Readable.prototype, name, { get() { return this._readableState ? get(this._readableState) : undefined; }, configurable: true });
Object.defineProperty(Readable.prototype, "readable", {
  get() {
    return Boolean(this._readableState) && !this.destroyed && !this._readableState.endEmitted && !this.errored;
  },
  set() {},
  configurable: true,
});
Object.defineProperty(Readable.prototype, "readableAborted", { get() { return this.destroyed && !this._readableState.endEmitted; }, configurable: true });
Object.defineProperty(Readable.prototype, "readableDidRead", { get() { return this._readableState.flowing !== null; }, configurable: true });

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

function Writable(options) {
  if (!(this instanceof Writable) && !(this instanceof Duplex)) return new Writable(options);
  common(this, options);
  initWritable(this, options);
  return this;
}
Object.setPrototypeOf(Writable.prototype, Stream.prototype);
Object.setPrototypeOf(Writable, Stream);

function initWritable(stream, options) {
  Object.defineProperty(stream, "_writableState", {
    value: {
      queue: [], length: 0, writing: false, ending: false, finished: false, corked: 0, needDrain: false, prefinished: false,
      objectMode: Boolean(options?.objectMode || options?.writableObjectMode), highWaterMark: highWaterMark(options, "writable"),
      decodeStrings: options?.decodeStrings !== false, defaultEncoding: options?.defaultEncoding ?? "utf8", autoDestroy: options?.autoDestroy !== false, endCallbacks: [],
    },
    enumerable: false,
  });
  if (typeof options?.write === "function") stream._write = options.write;
  if (typeof options?.writev === "function") stream._writev = options.writev;
  if (typeof options?.final === "function") stream._final = options.final;
}

const writing = {
  _write(chunk, encoding, done) {
    if (this._writev) return this._writev([{ chunk, encoding }], done);
    throw notImplemented("_write()");
  },
  write(chunk, encoding, callback) {
    const state = this._writableState;
    if (typeof encoding === "function") [callback, encoding] = [encoding, undefined];
    encoding ??= state.defaultEncoding;
    if (chunk === null) throw withCode(TypeError, "ERR_STREAM_NULL_VALUES", "May not write null values to stream");
    if (!state.objectMode) {
      if (isText(chunk)) {
        if (state.decodeStrings) [chunk, encoding] = [Buffer.from(chunk, encoding), "buffer"];
      } else if (isBytes(chunk)) [chunk, encoding] = [Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength), "buffer"];
      else throw invalidArgType("chunk", ["string", "Buffer", "TypedArray", "DataView"], chunk);
    }
    let problem;
    if (state.ending) problem = withCode(Error, "ERR_STREAM_WRITE_AFTER_END", "write after end");
    else if (this.destroyed) problem = withCode(Error, "ERR_STREAM_DESTROYED", "Cannot call write after a stream was destroyed");
    if (problem) {
      if (callback) process.nextTick(callback, problem);
      if (!this.destroyed) this.destroy(problem);
      return false;
    }
    const size = state.objectMode ? 1 : chunk.length;
    state.length += size;
    state.queue.push({ chunk, encoding, callback, size });
    const room = state.length < state.highWaterMark;
    if (!room) state.needDrain = true;
    advance(this);
    return room && !this.errored;
  },
  end(chunk, encoding, callback) {
    const state = this._writableState;
    if (typeof chunk === "function") [callback, chunk] = [chunk, undefined];
    else if (typeof encoding === "function") [callback, encoding] = [encoding, undefined];
    if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
    state.corked = 0;
    if (callback) {
      if (state.finished) process.nextTick(callback);
      else state.endCallbacks.push(callback);
    }
    if (!state.ending && !this.destroyed) {
      state.ending = true;
      advance(this);
    }
    return this;
  },
  cork() {
    this._writableState.corked++;
  },
  uncork() {
    const state = this._writableState;
    if (state.corked > 0) state.corked--;
    advance(this);
  },
  setDefaultEncoding(encoding) {
    this._writableState.defaultEncoding = encoding;
    return this;
  },
};

function advance(stream) {
  const state = stream._writableState;
  if (state.writing || state.corked || stream.destroyed) return;
  if (state.queue.length === 0) {
    if (state.ending) finishWriting(stream);
    return;
  }
  state.writing = true;
  const batch = stream._writev && state.queue.length > 1 ? state.queue.splice(0) : [state.queue.shift()];
  let sync = true;
  const done = (error) => {
    const after = () => {
      state.writing = false;
      for (const entry of batch) state.length -= entry.size;
      if (error) {
        for (const entry of batch) entry.callback?.(error);
        stream.destroy(error);
        return;
      }
      for (const entry of batch) entry.callback?.(null);
      if (state.needDrain && state.length === 0 && !state.ending) {
        state.needDrain = false;
        stream.emit("drain");
      }
      advance(stream);
    };
    if (sync) process.nextTick(after);
    else after();
  };
  try {
    if (batch.length > 1) stream._writev(batch.map(({ chunk, encoding }) => ({ chunk, encoding })), done);
    else stream._write(batch[0].chunk, batch[0].encoding, done);
  } catch (error) {
    stream.destroy(error);
  }
  sync = false;
}

function finishWriting(stream) {
  const state = stream._writableState;
  if (state.prefinished) return;
  state.prefinished = true;
  const done = (error) => {
    if (error) {
      for (const callback of state.endCallbacks.splice(0)) callback(error);
      stream.destroy(error);
      return;
    }
    process.nextTick(() => {
      if (stream.destroyed) return;
      state.finished = true;
      for (const callback of state.endCallbacks.splice(0)) callback();
      stream.emit("finish");
      const reading = stream._readableState;
      if (state.autoDestroy && (!reading || reading.endEmitted)) stream.destroy();
    });
  };
  stream.emit("prefinish");
  if (typeof stream._final !== "function") return done();
  try {
    stream._final(done);
  } catch (error) {
    stream.destroy(error);
  }
  return undefined;
}

Object.assign(Writable.prototype, ending, writing);
Writable.prototype.pipe = function () {
  this.emit("error", withCode(Error, "ERR_STREAM_CANNOT_PIPE", "Cannot pipe, not readable"));
};
const writableGetters = {
  writableLength: (s) => s.length,
  writableHighWaterMark: (s) => s.highWaterMark,
  writableObjectMode: (s) => s.objectMode,
  writableEnded: (s) => s.ending,
  writableFinished: (s) => s.finished,
  writableCorked: (s) => s.corked,
  writableNeedDrain: (s) => s.needDrain,
};
function defineWritable(prototype) {
  for (const [name, get] of Object.entries(writableGetters)) Object.defineProperty(prototype, name, { get() { return this._writableState ? get(this._writableState) : undefined; }, configurable: true });
  Object.defineProperty(prototype, "writable", {
    get() {
      return Boolean(this._writableState) && !this.destroyed && !this._writableState.ending && !this.errored;
    },
    set() {},
    configurable: true,
  });
}
defineWritable(Writable.prototype);
Object.defineProperty(Writable, Symbol.hasInstance, {
  value(object) {
    return Function.prototype[Symbol.hasInstance].call(this, object) || (this === Writable && Boolean(object?._writableState));
  },
});

// ── both ────────────────────────────────────────────────────────────────────────────────────────────────────────

function Duplex(options) {
  if (!(this instanceof Duplex)) return new Duplex(options);
  common(this, options);
  this.allowHalfOpen = options?.allowHalfOpen !== false;
  initReadable(this, options);
  initWritable(this, options);
  if (typeof options?.read === "function") this._read = options.read;
  return this;
}
Object.setPrototypeOf(Duplex.prototype, Readable.prototype);
Object.setPrototypeOf(Duplex, Readable);
Object.assign(Duplex.prototype, writing);
defineWritable(Duplex.prototype);
Duplex.from = (source) => (source instanceof Stream ? source : Readable.from(source));

function Transform(options) {
  if (!(this instanceof Transform)) return new Transform(options);
  Duplex.call(this, options);
  if (typeof options?.transform === "function") this._transform = options.transform;
  if (typeof options?.flush === "function") this._flush = options.flush;
  return this;
}
Object.setPrototypeOf(Transform.prototype, Duplex.prototype);
Object.setPrototypeOf(Transform, Duplex);
const WAITING = Symbol("waiting");
Object.assign(Transform.prototype, {
  _transform() {
    throw notImplemented("_transform()");
  },
  _write(chunk, encoding, done) {
    this._transform(chunk, encoding, (error, made) => {
      if (error) return done(error);
      if (made !== undefined && made !== null) this.push(made);
      const { length, highWaterMark: most } = this._readableState;
      if (length < most || this._readableState.ended) return done();
      this[WAITING] = done;
      return undefined;
    });
  },
  _read() {
    const done = this[WAITING];
    if (!done) return;
    this[WAITING] = undefined;
    done();
  },
  _final(done) {
    const end = (error, made) => {
      if (error) return done(error);
      if (made !== undefined && made !== null) this.push(made);
      this.push(null);
      return done();
    };
    if (typeof this._flush === "function") this._flush(end);
    else end();
  },
});

function PassThrough(options) {
  if (!(this instanceof PassThrough)) return new PassThrough(options);
  Transform.call(this, options);
  return this;
}
Object.setPrototypeOf(PassThrough.prototype, Transform.prototype);
Object.setPrototypeOf(PassThrough, Transform);
PassThrough.prototype._transform = (chunk, encoding, done) => done(null, chunk);

// ── until the end ───────────────────────────────────────────────────────────────────────────────────────────────

function finished(stream, options, callback) {
  if (typeof options === "function") [callback, options] = [options, {}];
  const reads = options?.readable !== false && Boolean(stream._readableState);
  const writes = options?.writable !== false && Boolean(stream._writableState);
  let over = false;
  const settle = (error) => {
    if (over) return;
    over = true;
    clean();
    callback.call(stream, error);
  };
  const isDone = () => (!reads || stream._readableState.endEmitted) && (!writes || stream._writableState.finished);
  const check = () => isDone() && settle();
  const failed = (error) => settle(error);
  const closed = () => (isDone() ? settle() : settle(stream.errored ?? premature()));
  const clean = () => {
    for (const [name, listener] of [["end", check], ["finish", check], ["error", failed], ["close", closed]]) stream.removeListener(name, listener);
  };
  for (const [name, listener] of [["end", check], ["finish", check], ["error", failed], ["close", closed]]) stream.on(name, listener);
  if (stream.closed) process.nextTick(closed);
  else if (stream.errored) process.nextTick(failed, stream.errored);
  else if (isDone() && (reads || writes)) process.nextTick(check);
  options?.signal?.addEventListener("abort", () => settle(aborted(options.signal)), { once: true });
  return clean;
}

// Functions in a pipeline are generators over what comes before them.
function asStream(part, source, isLast) {
  if (typeof part !== "function") return part instanceof Stream || typeof part.pipe === "function" || typeof part.write === "function" ? part : Readable.from(part);
  const made = part(source);
  if (isLast && typeof made?.then === "function") return { promise: made };
  return Readable.from(made);
}

function pipeline(...parts) {
  const callback = typeof parts[parts.length - 1] === "function" && parts.length > 2 && !isGenerator(parts[parts.length - 1]) ? parts.pop() : () => {};
  run(parts.flat()).then((value) => callback(undefined, value), (error) => callback(error));
  return parts[parts.length - 1];
}

const isGenerator = (fn) => /GeneratorFunction$/.test(fn.constructor?.name ?? "");

async function run(parts) {
  const options = parts.length && Object.getPrototypeOf(parts[parts.length - 1]) === Object.prototype && "signal" in parts[parts.length - 1] ? parts.pop() : {};
  const streams = [];
  let source;
  let promise;
  for (let i = 0; i < parts.length; i++) {
    const next = asStream(parts[i], source, i === parts.length - 1);
    if (next.promise) {
      promise = next.promise;
      break;
    }
    if (source && typeof parts[i] !== "function") source.pipe(next);
    streams.push(next);
    source = next;
  }
  const ends = streams.map(
    (stream, i) =>
      new Promise((resolve, reject) => {
        finished(stream, { readable: i < streams.length - 1 || !stream._writableState, writable: i > 0 || !stream._readableState }, (error) => {
          if (!error) return resolve();
          for (const other of streams) if (!other.destroyed) other.destroy(other === stream ? undefined : error);
          return reject(error);
        });
      }),
  );
  options.signal?.addEventListener("abort", () => streams.forEach((stream) => stream.destroy(aborted(options.signal))), { once: true });
  for (const stream of streams) stream.on("error", () => {});
  if (promise) {
    const value = await promise;
    return value;
  }
  await Promise.all(ends);
  return undefined;
}

const promises = {
  pipeline: (...parts) => run(parts.flat()),
  finished: (stream, options) => new Promise((resolve, reject) => finished(stream, options ?? {}, (error) => (error ? reject(error) : resolve()))),
};

Object.assign(Stream, {
  Stream,
  Readable,
  Writable,
  Duplex,
  Transform,
  PassThrough,
  pipeline,
  finished,
  promises,
  addAbortSignal(signal, stream) {
    signal.addEventListener("abort", () => stream.destroy(aborted(signal)), { once: true });
    return stream;
  },
  compose: (...parts) => parts.reduce((a, b) => a.pipe(b)),
  isReadable: (stream) => Boolean(stream?.readable),
  isErrored: (stream) => Boolean(stream?.errored),
  getDefaultHighWaterMark: (objectMode) => (objectMode ? 16 : 65536),
});
pipeline[Symbol.for("nodejs.util.promisify.custom")] = promises.pipeline;
finished[Symbol.for("nodejs.util.promisify.custom")] = promises.finished;
for (const Class of [Stream, Readable, Writable, Duplex, Transform, PassThrough])
  Object.defineProperty(Class.prototype, "constructor", { value: Class, writable: true, configurable: true, enumerable: false });

module.exports = Stream;
