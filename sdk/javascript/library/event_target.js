// Event, EventTarget, AbortController and AbortSignal, as browsers and Node have them.
"use strict";
const { withCode, invalidArgType } = require("errors");
const CUSTOM = Symbol.for("nodejs.util.inspect.custom");

let isStopped; // whether a listener asked that no other hears of it

class Event {
  #type;
  #options;
  #stopped = false;
  #cancelled = false;
  #at = performance.now();
  constructor(type, options = {}) {
    if (arguments.length === 0) throw withCode(TypeError, "ERR_MISSING_ARGS", 'The "type" argument must be specified');
    this.#type = `${type}`;
    this.#options = options ?? {};
    this.target = null;
    this.currentTarget = null;
    for (const key of ["target", "currentTarget"]) Object.defineProperty(this, key, { enumerable: false });
  }
  get type() {
    return this.#type;
  }
  get bubbles() {
    return Boolean(this.#options.bubbles);
  }
  get cancelable() {
    return Boolean(this.#options.cancelable);
  }
  get composed() {
    return Boolean(this.#options.composed);
  }
  get defaultPrevented() {
    return this.cancelable && this.#cancelled;
  }
  get returnValue() {
    return !this.defaultPrevented;
  }
  get timeStamp() {
    return this.#at;
  }
  get eventPhase() {
    return this.currentTarget ? 2 : 0;
  }
  get srcElement() {
    return this.target;
  }
  get isTrusted() {
    return false;
  }
  get cancelBubble() {
    return false;
  }
  composedPath() {
    return this.currentTarget ? [this.currentTarget] : [];
  }
  preventDefault() {
    this.#cancelled = true;
  }
  stopPropagation() {}
  stopImmediatePropagation() {
    this.#stopped = true;
  }
  static {
    isStopped = (event) => event.#stopped;
  }
}
Object.defineProperty(Event.prototype, Symbol.toStringTag, { value: "Event", configurable: true });

class CustomEvent extends Event {
  #detail;
  constructor(type, options = {}) {
    super(type, options);
    this.#detail = options?.detail ?? null;
  }
  get detail() {
    return this.#detail;
  }
}
Object.defineProperty(CustomEvent.prototype, Symbol.toStringTag, { value: "CustomEvent", configurable: true });

class EventTarget {
  #listeners = new Map();
  addEventListener(type, listener, options) {
    if (listener === null || listener === undefined) return;
    if (typeof listener !== "function" && typeof listener !== "object") throw invalidArgType("listener", "EventListener", listener);
    const { once = false, signal, capture = false } = typeof options === "boolean" ? { capture: options } : (options ?? {});
    if (signal?.aborted) return;
    const list = this.#listeners.get(`${type}`) ?? [];
    this.#listeners.set(`${type}`, list);
    if (list.some((l) => l.listener === listener && l.capture === Boolean(capture))) return;
    list.push({ listener, once, capture: Boolean(capture) });
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener, options), { once: true });
  }
  removeEventListener(type, listener, options) {
    const capture = Boolean(typeof options === "boolean" ? options : options?.capture);
    const list = this.#listeners.get(`${type}`);
    const at = list?.findIndex((l) => l.listener === listener && l.capture === capture) ?? -1;
    if (at >= 0) list.splice(at, 1);
  }
  dispatchEvent(event) {
    if (!(event instanceof Event)) throw invalidArgType("event", "Event", event);
    event.target = this;
    event.currentTarget = this;
    const own = this[`on${event.type}`];
    const all = [...(this.#listeners.get(event.type) ?? [])];
    if (typeof own === "function") all.unshift({ listener: own });
    for (const entry of all) {
      if (entry.once) this.removeEventListener(event.type, entry.listener, entry.capture);
      try {
        if (typeof entry.listener === "function") entry.listener.call(this, event);
        else entry.listener.handleEvent?.(event);
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
      if (isStopped(event)) break;
    }
    event.currentTarget = null;
    return !event.defaultPrevented;
  }
  [CUSTOM](depth, options) {
    return `${this.constructor.name} {}`;
  }
}
Object.defineProperty(EventTarget.prototype, Symbol.toStringTag, { value: "EventTarget", configurable: true });

// ── abort ───────────────────────────────────────────────────────────────────────────────────────────────────────

const MAKE = Symbol("make");
// When a signal aborts by itself: fetch tells the host, which stops waiting then.
const TIMEOUT = Symbol("timeout");
let raise; // aborts a signal
const abortError = () => new DOMException("This operation was aborted", "AbortError");

class AbortSignal extends EventTarget {
  #aborted = false;
  #reason = undefined;
  constructor(key) {
    if (key !== MAKE) throw withCode(TypeError, "ERR_ILLEGAL_CONSTRUCTOR", "Illegal constructor");
    super();
    this.onabort = null;
    Object.defineProperty(this, "onabort", { enumerable: false });
  }
  get aborted() {
    return this.#aborted;
  }
  get reason() {
    return this.#reason;
  }
  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }
  static abort(reason = abortError()) {
    const signal = new AbortSignal(MAKE);
    signal.#aborted = true;
    signal.#reason = reason;
    return signal;
  }
  static timeout(ms) {
    if (typeof ms !== "number") throw invalidArgType("delay", "number", ms);
    const signal = new AbortSignal(MAKE);
    setTimeout(() => raise(signal, new DOMException("The operation was aborted due to timeout", "TimeoutError")), ms).unref();
    Object.defineProperty(signal, TIMEOUT, { value: { at: performance.now() + ms } });
    return signal;
  }
  static any(signals) {
    const made = new AbortSignal(MAKE);
    for (const signal of signals) {
      if (signal.aborted) {
        raise(made, signal.reason);
        break;
      }
      signal.addEventListener("abort", () => raise(made, signal.reason), { once: true });
    }
    const ends = [...signals].map((s) => s[TIMEOUT]?.at).filter((at) => at !== undefined);
    if (ends.length) Object.defineProperty(made, TIMEOUT, { value: { at: Math.min(...ends) } });
    return made;
  }
  static {
    raise = (signal, reason) => {
      if (signal.#aborted) return;
      signal.#aborted = true;
      signal.#reason = reason;
      signal.dispatchEvent(new Event("abort"));
    };
  }
  [CUSTOM](depth, options) {
    return `AbortSignal { aborted: ${this.aborted} }`;
  }
}
Object.defineProperty(AbortSignal.prototype, Symbol.toStringTag, { value: "AbortSignal", configurable: true });

class AbortController {
  #signal = new AbortSignal(MAKE);
  get signal() {
    return this.#signal;
  }
  abort(reason = abortError()) {
    raise(this.#signal, reason);
  }
  [CUSTOM](depth, options, inspect) {
    return `AbortController { signal: ${inspect(this.signal)} }`;
  }
}
Object.defineProperty(AbortController.prototype, Symbol.toStringTag, { value: "AbortController", configurable: true });

module.exports = { Event, CustomEvent, EventTarget, AbortController, AbortSignal, TIMEOUT, abortError };
