// `performance`: time since the invocation (or, while it is imported, the function) began.
"use strict";
const native = require("native");
const loop = require("loop");
const { invalidArgType } = require("errors");

let entries = [];

class PerformanceEntry {
  constructor(name, entryType, startTime, duration, detail) {
    Object.assign(this, { name, entryType, startTime, duration, detail });
  }
  toJSON() {
    return { ...this };
  }
}
class PerformanceMark extends PerformanceEntry {}
class PerformanceMeasure extends PerformanceEntry {}

function instant(mark, fallback) {
  if (mark === undefined) return fallback;
  if (typeof mark === "number") return mark;
  const found = entries.findLast((e) => e.entryType === "mark" && e.name === mark);
  if (!found) throw new DOMException(`The "${mark}" performance mark has not been set`, "SyntaxError");
  return found.startTime;
}

const performance = {
  now: () => native.monotonic() - loop.started(),
  get timeOrigin() {
    return Date.now() - performance.now();
  },
  mark(name, { startTime = performance.now(), detail = null } = {}) {
    const mark = new PerformanceMark(`${name}`, "mark", startTime, 0, detail);
    entries.push(mark);
    return mark;
  },
  measure(name, start, end) {
    const options = start !== null && typeof start === "object" ? start : { start, end };
    const to = instant(options.end, performance.now());
    const from = options.duration !== undefined && options.start === undefined ? to - options.duration : instant(options.start, 0);
    const measure = new PerformanceMeasure(`${name}`, "measure", from, options.duration ?? to - from, options.detail ?? null);
    entries.push(measure);
    return measure;
  },
  getEntries: () => [...entries],
  getEntriesByName: (name, type) => entries.filter((e) => e.name === name && (type === undefined || e.entryType === type)),
  getEntriesByType: (type) => entries.filter((e) => e.entryType === type),
  clearMarks: (name) => void (entries = entries.filter((e) => e.entryType !== "mark" || (name !== undefined && e.name !== name))),
  clearMeasures: (name) => void (entries = entries.filter((e) => e.entryType !== "measure" || (name !== undefined && e.name !== name))),
  eventLoopUtilization: () => ({ idle: 0, active: 0, utilization: 0 }),
  timerify(fn) {
    if (typeof fn !== "function") throw invalidArgType("fn", "function", fn);
    return fn;
  },
  toJSON: () => ({ timeOrigin: performance.timeOrigin }),
};
Object.defineProperty(performance, Symbol.toStringTag, { value: "Performance", configurable: true });

class PerformanceObserver {
  static supportedEntryTypes = ["mark", "measure"];
  observe() {}
  disconnect() {}
  takeRecords() {
    return [];
  }
}

module.exports = { performance, PerformanceEntry, PerformanceMark, PerformanceMeasure, PerformanceObserver, constants: {} };
