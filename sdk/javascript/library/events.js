// `events`: EventEmitter.
"use strict";
const { withCode, invalidArgType, outOfRange } = require("errors");

const CAPTURE = Symbol.for("nodejs.rejection");
const MONITOR = Symbol("events.errorMonitor");
let defaultMax = 10;

function checked(listener) {
  if (typeof listener !== "function") throw invalidArgType("listener", "function", listener);
}

function EventEmitter(options) {
  EventEmitter.init.call(this, options);
}
EventEmitter.prototype._events = undefined;
EventEmitter.prototype._eventsCount = 0;
EventEmitter.prototype._maxListeners = undefined;

EventEmitter.init = function (options) {
  if (this._events === undefined || this._events === Object.getPrototypeOf(this)._events) {
    this._events = Object.create(null);
    this._eventsCount = 0;
  }
  this._maxListeners = this._maxListeners || undefined;
  if (options?.captureRejections) this[Symbol.for("isolet.captureRejections")] = true;
};

function listOf(emitter, name) {
  const list = emitter._events?.[name];
  return list === undefined ? [] : typeof list === "function" ? [list] : list;
}

function add(emitter, name, listener, first) {
  checked(listener);
  if (emitter._events === undefined) {
    emitter._events = Object.create(null);
    emitter._eventsCount = 0;
  } else if (emitter._events.newListener !== undefined) emitter.emit("newListener", name, listener.listener ?? listener);
  const list = emitter._events[name];
  if (list === undefined) {
    emitter._events[name] = listener;
    emitter._eventsCount++;
    return emitter;
  }
  if (typeof list === "function") emitter._events[name] = first ? [listener, list] : [list, listener];
  else if (first) list.unshift(listener);
  else list.push(listener);
  const many = emitter._events[name];
  const most = emitter.getMaxListeners();
  if (most > 0 && many.length > most && !many.warned) {
    many.warned = true;
    process.emitWarning(
      `Possible EventEmitter memory leak detected. ${many.length} ${String(name)} listeners added to ${require("inspect").inspect(emitter, { depth: -1 })}. ` +
        "MaxListeners is " + most + ". Use emitter.setMaxListeners() to increase limit",
      "MaxListenersExceededWarning",
    );
  }
  return emitter;
}

function onceWrapper(emitter, name, listener) {
  const wrapped = function (...values) {
    emitter.removeListener(name, wrapped);
    return listener.apply(emitter, values);
  };
  wrapped.listener = listener;
  return wrapped;
}

function unhandled(error) {
  if (error instanceof Error) return error;
  const { inspect } = require("inspect");
  let shown;
  try {
    shown = inspect(error);
  } catch {
    shown = error;
  }
  const made = withCode(Error, "ERR_UNHANDLED_ERROR", `Unhandled error. (${shown})`);
  made.context = error;
  return made;
}

Object.assign(EventEmitter.prototype, {
  setMaxListeners(n) {
    if (typeof n !== "number" || n < 0 || Number.isNaN(n)) throw outOfRange("n", "a non-negative number", n);
    this._maxListeners = n;
    return this;
  },
  getMaxListeners() {
    return this._maxListeners ?? defaultMax;
  },
  emit(name, ...values) {
    if (name === "error") {
      if (this._events?.[MONITOR] !== undefined) this.emit(MONITOR, ...values);
      if (this._events?.error === undefined) throw unhandled(values[0]);
    }
    const list = this._events?.[name];
    if (list === undefined) return false;
    for (const listener of typeof list === "function" ? [list] : [...list]) {
      const made = listener.apply(this, values);
      if (made !== undefined && made !== null && this[Symbol.for("isolet.captureRejections")] && typeof made.then === "function")
        made.then(undefined, (error) => process.nextTick(() => (typeof this[CAPTURE] === "function" ? this[CAPTURE](error, name, ...values) : this.emit("error", error))));
    }
    return true;
  },
  addListener(name, listener) {
    return add(this, name, listener, false);
  },
  prependListener(name, listener) {
    return add(this, name, listener, true);
  },
  once(name, listener) {
    checked(listener);
    return this.on(name, onceWrapper(this, name, listener));
  },
  prependOnceListener(name, listener) {
    checked(listener);
    return this.prependListener(name, onceWrapper(this, name, listener));
  },
  removeListener(name, listener) {
    checked(listener);
    const list = [...listOf(this, name)];
    const at = list.findLastIndex((l) => l === listener || l.listener === listener);
    if (at < 0) return this;
    const [gone] = list.splice(at, 1);
    if (list.length === 0) {
      delete this._events[name];
      this._eventsCount--;
    } else this._events[name] = list.length === 1 ? list[0] : list;
    if (this._events.removeListener !== undefined) this.emit("removeListener", name, gone.listener ?? gone);
    return this;
  },
  removeAllListeners(name) {
    if (this._events === undefined) return this;
    if (name !== undefined) {
      for (const listener of [...listOf(this, name)].reverse()) this.removeListener(name, listener);
      return this;
    }
    if (this._events.removeListener !== undefined)
      for (const key of Reflect.ownKeys(this._events)) if (key !== "removeListener") this.removeAllListeners(key);
    this._events = Object.create(null);
    this._eventsCount = 0;
    return this;
  },
  listeners(name) {
    return listOf(this, name).map((l) => l.listener ?? l);
  },
  rawListeners(name) {
    return [...listOf(this, name)];
  },
  listenerCount(name, listener) {
    const list = listOf(this, name);
    return listener === undefined ? list.length : list.filter((l) => l === listener || l.listener === listener).length;
  },
  eventNames() {
    return this._eventsCount > 0 ? Reflect.ownKeys(this._events) : [];
  },
});
EventEmitter.prototype.on = EventEmitter.prototype.addListener;
EventEmitter.prototype.off = EventEmitter.prototype.removeListener;

// ── waiting for events ──────────────────────────────────────────────────────────────────────────────────────────

function once(emitter, name, { signal } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted(signal));
    const isTarget = typeof emitter.addEventListener === "function" && typeof emitter.on !== "function";
    if (isTarget) return emitter.addEventListener(name, (event) => resolve([event]), { once: true, signal });
    const failed = (error) => {
      emitter.removeListener(name, came);
      reject(error);
    };
    const came = (...values) => {
      emitter.removeListener("error", failed);
      resolve(values);
    };
    emitter.once(name, came);
    if (name !== "error") emitter.once("error", failed);
    signal?.addEventListener("abort", () => {
      emitter.removeListener(name, came);
      emitter.removeListener("error", failed);
      reject(aborted(signal));
    }, { once: true });
    return undefined;
  });
}

function aborted(signal) {
  const error = withCode(Error, "ABORT_ERR", "The operation was aborted");
  error.name = "AbortError";
  if (signal.reason !== undefined) error.cause = signal.reason;
  return error;
}

function on(emitter, name, { signal } = {}) {
  const values = [];
  const waiting = [];
  let failure;
  let ended = false;
  const came = (...args) => {
    const next = waiting.shift();
    if (next) next.resolve({ value: args, done: false });
    else values.push(args);
  };
  const failed = (error) => {
    const next = waiting.shift();
    if (next) next.reject(error);
    else failure = error;
    stop();
  };
  const stop = () => {
    ended = true;
    emitter.removeListener(name, came);
    emitter.removeListener("error", failed);
    for (const next of waiting.splice(0)) next.resolve({ value: undefined, done: true });
    return Promise.resolve({ value: undefined, done: true });
  };
  emitter.on(name, came);
  if (name !== "error") emitter.on("error", failed);
  signal?.addEventListener("abort", () => failed(aborted(signal)), { once: true });
  return {
    next() {
      if (values.length) return Promise.resolve({ value: values.shift(), done: false });
      if (failure) {
        const error = failure;
        failure = undefined;
        return Promise.reject(error);
      }
      if (ended) return Promise.resolve({ value: undefined, done: true });
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    return: stop,
    throw: (error) => Promise.resolve(failed(error)),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

Object.assign(EventEmitter, {
  once,
  on,
  EventEmitter,
  errorMonitor: MONITOR,
  captureRejectionSymbol: CAPTURE,
  captureRejections: false,
  getEventListeners: (emitter, name) => (typeof emitter.listeners === "function" ? emitter.listeners(name) : []),
  getMaxListeners: (emitter) => emitter.getMaxListeners?.() ?? defaultMax,
  setMaxListeners(n = defaultMax, ...emitters) {
    if (emitters.length === 0) defaultMax = n;
    for (const emitter of emitters) emitter.setMaxListeners?.(n);
  },
  listenerCount: (emitter, name) => emitter.listenerCount(name),
  addAbortListener(signal, listener) {
    signal.addEventListener("abort", listener, { once: true });
    return { [Symbol.dispose]: () => signal.removeEventListener("abort", listener) };
  },
  EventEmitterAsyncResource: class extends EventEmitter {},
});
Object.defineProperty(EventEmitter, "defaultMaxListeners", {
  get: () => defaultMax,
  set(n) {
    if (typeof n !== "number" || n < 0 || Number.isNaN(n)) throw outOfRange("defaultMaxListeners", "a non-negative number", n);
    defaultMax = n;
  },
  enumerable: true,
});

module.exports = EventEmitter;
