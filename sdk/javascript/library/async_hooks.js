// `async_hooks`: AsyncLocalStorage and AsyncResource.
//
// A store follows promises, timers, ticks and host calls: the current stores are one immutable map (frames.js), which each
// of them remembers when it is made and brings back when it runs.
"use strict";
const { invalidArgType } = require("errors");
const frames = require("frames");

class AsyncLocalStorage {
  #default;
  constructor({ defaultValue } = {}) {
    this.#default = defaultValue;
  }
  getStore() {
    const frame = frames.current();
    return frame?.has(this) ? frame.get(this) : this.#default;
  }
  run(store, fn, ...values) {
    return frames.within(new Map(frames.current()).set(this, store), () => fn(...values));
  }
  exit(fn, ...values) {
    return frames.within(new Map(frames.current()).set(this, undefined), () => fn(...values));
  }
  enterWith(store) {
    frames.enter(new Map(frames.current()).set(this, store));
  }
  disable() {
    const frame = new Map(frames.current());
    frame.delete(this);
    frames.enter(frame);
  }
  static bind(fn) {
    if (typeof fn !== "function") throw invalidArgType("fn", "function", fn);
    return frames.bound(fn);
  }
  static snapshot() {
    return frames.bound((fn, ...values) => fn(...values));
  }
}

class AsyncResource {
  #frame = frames.current();
  constructor(type) {
    if (typeof type !== "string") throw invalidArgType("type", "string", type);
    this.type = type;
  }
  runInAsyncScope(fn, self, ...values) {
    return frames.within(this.#frame, () => Reflect.apply(fn, self, values));
  }
  bind(fn, self) {
    const frame = this.#frame;
    return function (...values) {
      return frames.within(frame, () => Reflect.apply(fn, self ?? this, values));
    };
  }
  static bind(fn, type, self) {
    return new AsyncResource(type ?? fn.name ?? "bound").bind(fn, self);
  }
  emitDestroy() {
    return this;
  }
  asyncId() {
    return 1;
  }
  triggerAsyncId() {
    return 0;
  }
}

module.exports = {
  AsyncLocalStorage,
  AsyncResource,
  createHook: () => ({ enable: () => module.exports.createHook(), disable: () => module.exports.createHook() }),
  executionAsyncId: () => 1,
  triggerAsyncId: () => 0,
  executionAsyncResource: () => ({}),
};
