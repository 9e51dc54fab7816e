// What runs when: ticks, timers, immediates, calls to the host.
//
// The shim's loop (shim.c) runs ticks and jobs until there are none, then `turn` for one task more, until an answer is
// there or `turn` has nothing left.
//
// Laws:
// - A timer fires no earlier than its time, timers of the same time in the order in which they were set.
// - While nothing can run, the isolate sleeps in the host: no fuel, no turn of anybody's is spent on waiting.
// - A call to the host (kv, fetch, invoke …) is a task: code behind the call that made it runs first, as with real I/O.
"use strict";
const native = require("native");
const { invalidArgType } = require("errors");
const { bound } = require("frames");
const shared = new Int32Array(native.shared);

// ── ticks ───────────────────────────────────────────────────────────────────────────────────────────────────────

let ticks = [];

function nextTick(callback, values) {
  if (typeof callback !== "function") throw invalidArgType("callback", "function", callback);
  ticks.push(bound(callback), values);
  shared[0] = 1;
}

// One by one: one that throws is told to the shim and the rest still run.
function runTicks() {
  const callback = ticks.shift();
  const values = ticks.shift();
  if (!ticks.length) shared[0] = 0;
  callback(...values);
}

// ── timers ──────────────────────────────────────────────────────────────────────────────────────────────────────

const MOST_MS = 2147483647;
let timers = []; // by time, then by number; short, so an insertion is cheaper than a heap
let count = 0;
let active = 0; // those that keep the loop alive

class Timeout {
  constructor(callback, ms, values, repeats) {
    ms = +ms;
    if (!(ms >= 1 && ms <= MOST_MS)) ms = 1;
    ms = Math.trunc(ms);
    this._idleTimeout = ms;
    this._onTimeout = bound(callback);
    this._repeat = repeats ? ms : null;
    this._destroyed = false;
    Object.defineProperties(this, {
      id: { value: ++count, enumerable: false },
      values: { value: values, enumerable: false },
      at: { value: 0, writable: true, enumerable: false },
      kept: { value: true, writable: true, enumerable: false },
    });
    enlist(this);
  }
  ref() {
    if (!this.kept && !this._destroyed) active++;
    this.kept = true;
    return this;
  }
  unref() {
    if (this.kept && !this._destroyed) active--;
    this.kept = false;
    return this;
  }
  hasRef() {
    return this.kept;
  }
  refresh() {
    if (!this._destroyed) {
      delist(this);
      enlist(this);
    }
    return this;
  }
  close() {
    clear(this);
    return this;
  }
  [Symbol.toPrimitive]() {
    return this.id;
  }
  [Symbol.dispose]() {
    clear(this);
  }
}

function enlist(timer) {
  timer.at = native.monotonic() + timer._idleTimeout;
  let at = timers.length;
  while (at > 0 && timers[at - 1].at > timer.at) at--;
  timers.splice(at, 0, timer);
  if (timer.kept) active++;
}

function delist(timer) {
  const at = timers.indexOf(timer);
  if (at < 0) return false;
  timers.splice(at, 1);
  if (timer.kept) active--;
  return true;
}

function clear(timer) {
  if (typeof timer === "number" || typeof timer === "string") timer = timers.find((t) => t.id === +timer);
  if (timer instanceof Immediate) return clearImmediate(timer);
  if (!(timer instanceof Timeout)) return;
  delist(timer);
  timer._destroyed = true;
  timer._onTimeout = null;
}

function setTimeout(callback, ms, ...values) {
  if (typeof callback !== "function") throw invalidArgType("callback", "function", callback);
  return new Timeout(callback, ms, values, false);
}

function setInterval(callback, ms, ...values) {
  if (typeof callback !== "function") throw invalidArgType("callback", "function", callback);
  return new Timeout(callback, ms, values, true);
}

function fire(timer) {
  delist(timer);
  const callback = timer._onTimeout;
  if (timer._repeat === null) timer._destroyed = true;
  try {
    callback.apply(timer, timer.values);
  } finally {
    if (timer._repeat !== null && !timer._destroyed && !timers.includes(timer)) enlist(timer);
  }
}

// ── immediates ──────────────────────────────────────────────────────────────────────────────────────────────────

let immediates = [];

class Immediate {
  constructor(callback, values) {
    this._onImmediate = bound(callback);
    Object.defineProperty(this, "values", { value: values, enumerable: false });
    immediates.push(this);
  }
  ref() {
    return this;
  }
  unref() {
    return this;
  }
  hasRef() {
    return true;
  }
  [Symbol.dispose]() {
    clearImmediate(this);
  }
}

function setImmediate(callback, ...values) {
  if (typeof callback !== "function") throw invalidArgType("callback", "function", callback);
  return new Immediate(callback, values);
}

function clearImmediate(immediate) {
  for (const list of [immediates, checked]) {
    const at = list.indexOf(immediate);
    if (at >= 0) list.splice(at, 1);
  }
}

// ── calls to the host ───────────────────────────────────────────────────────────────────────────────────────────

let calls = [];

// Makes `task` a task of its own; a promise of what it returns. A cancelled one never runs.
function later(task) {
  task = bound(task);
  return new Promise((resolve, reject) => {
    calls.push(() => {
      try {
        resolve(task());
      } catch (error) {
        reject(error);
      }
    });
  });
}

// ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────────

function sleep(ms) {
  const status = native.call(["sleep", ms]);
  // While a snapshot is made there is no sleeping; the host notes it and initialises in every invocation instead.
  if (typeof status === "number" && status < 0) throw new Error("isolet: the host refused to sleep while the function is initialised");
}

// A round is libuv's: timers that were due when it began, calls that waited then, immediates that were set before.
const TIMERS = 0;
const CALLS = 1;
const CHECK = 2;
let phase = TIMERS;
let limit = 0;
let waiting = 0;
let checked = [];

// Runs one task, or waits for one; false if there is none that could bring an answer.
function turn() {
  for (let round = 0; round < 2; round++) {
    if (phase === TIMERS) {
      if (timers.length && timers[0].at <= limit) {
        fire(timers[0]);
        return true;
      }
      phase = CALLS;
      waiting = calls.length;
    }
    if (phase === CALLS) {
      if (waiting-- > 0) {
        calls.shift()();
        return true;
      }
      phase = CHECK;
      checked = immediates;
      immediates = [];
    }
    if (checked.length) {
      const immediate = checked.shift();
      immediate._onImmediate(...immediate.values);
      return true;
    }
    phase = TIMERS;
    limit = native.monotonic();
  }
  if (!timers.length || !active) return false;
  sleep(Math.max(0, timers[0].at - native.monotonic()));
  limit = native.monotonic();
  return true;
}

// Whether anything but an answer keeps the loop busy.
const idle = () => !calls.length && !immediates.length && !checked.length && !active && !ticks.length;

// ── when the invocation began, for performance.now ──────────────────────────────────────────────────────────────

let began = 0;

module.exports = {
  nextTick,
  runTicks,
  setTimeout,
  setInterval,
  setImmediate,
  clearTimeout: clear,
  clearInterval: clear,
  clearImmediate,
  Timeout,
  Immediate,
  later,
  turn,
  idle,
  begin: () => (began = native.monotonic()),
  started: () => began,
};
for (const [name, value] of Object.entries({ clearTimeout: clear, clearInterval: clear }))
  Object.defineProperty(module.exports, name, { value: (timer) => value(timer), enumerable: true, writable: true });
Object.defineProperty(module.exports.clearTimeout, "name", { value: "clearTimeout" });
Object.defineProperty(module.exports.clearInterval, "name", { value: "clearInterval" });
