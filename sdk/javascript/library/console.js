// `console`, as Lambda's runtime makes it: one entry of the log for each line,
// `<time>\t<request id>\t<LEVEL>\t<text>`, or a line of JSON if the function's environment asks for that.
"use strict";
const native = require("native");
const { variables } = require("process");
const { inspect, format, formatWithOptions } = require("inspect");

const LEVELS = { TRACE: 0, DEBUG: 1, INFO: 2, WARN: 3, ERROR: 4, FATAL: 5 };
let requestId;
let least = 0;
let asJson = false;
let indent = "";
const REQUEST_ID = Symbol.for("aws.lambda.runtime.requestId");

function asLine(level, values) {
  let text = format(...values);
  if (indent) text = indent + text.replaceAll("\n", `\n${indent}`);
  return `${new Date().toISOString()}\t${requestId}\t${level}\t${text}`;
}

function plainError(error) {
  return {
    errorType: error?.constructor?.name ?? "UnknownError",
    errorMessage: error.message,
    stackTrace: typeof error.stack === "string" ? error.stack.split("\n") : error.stack,
    ...error,
  };
}

function asJsonLine(level, values) {
  const line = { timestamp: new Date().toISOString(), level, requestId };
  if (values.length === 1) {
    line.message = values[0];
    try {
      return JSON.stringify(line, (_, value) => (value instanceof Error ? plainError(value) : value));
    } catch {
      line.message = format(values[0]);
      return JSON.stringify(line);
    }
  }
  line.message = format(...values);
  const error = values.find((value) => value instanceof Error);
  if (error) {
    line.errorType = error?.constructor?.name ?? "UnknownError";
    line.errorMessage = error.message;
    line.stackTrace = typeof error.stack === "string" ? error.stack.split("\n") : [];
  }
  return JSON.stringify(line);
}

function say(level, values) {
  if (LEVELS[level] < least) return;
  native.log(LEVELS[level], asJson ? asJsonLine(level, values) : asLine(level, values));
}

const counts = new Map();
const timers = new Map();

function elapsed(label) {
  const began = timers.get(label);
  if (began === undefined) {
    console.warn(`Warning: No such label '${label}' for console.time()`);
    return undefined;
  }
  const ms = native.monotonic() - began;
  return ms >= 1000 ? `${(ms / 1000).toFixed(3)}s` : `${ms.toFixed(3)}ms`;
}

// ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────

function drawn(head, rows) {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i].length)) + 2);
  const line = (left, middle, right) => left + widths.map((w) => "─".repeat(w)).join(middle) + right;
  const cells = (row) => `│${row.map((cell, i) => ` ${cell}${" ".repeat(widths[i] - cell.length - 1)}`).join("│")}│`;
  return [line("┌", "┬", "┐"), cells(head), line("├", "┼", "┤"), ...rows.map(cells), line("└", "┴", "┘")].join("\n");
}

function table(data, wanted) {
  if (data === null || typeof data !== "object") return console.log(data);
  const shown = (value) => inspect(value, { depth: value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 2 ? -1 : 0, maxArrayLength: 3, breakLength: Infinity });
  const isMap = data instanceof Map;
  const entries = isMap ? [...data.entries()].map(([k, v], i) => [i, v, k]) : data instanceof Set ? [...data].map((v, i) => [i, v]) : Object.entries(data);
  const columns = wanted ? [...wanted] : [];
  const rows = [];
  let values = false;
  for (const [index, value, key] of entries) {
    const cells = new Map();
    if (value !== null && typeof value === "object" && !isMap)
      for (const name of wanted ?? Object.keys(value)) {
        if (!columns.includes(name)) columns.push(name);
        if (Object.hasOwn(value, name)) cells.set(name, shown(value[name]));
      }
    else values = true;
    rows.push([String(index), cells, value, key]);
  }
  const head = [isMap || data instanceof Set ? "(iteration index)" : "(index)", ...(isMap ? ["Key"] : []), ...columns, ...(values ? ["Values"] : [])];
  const body = rows.map(([index, cells, value, key]) => [
    index,
    ...(isMap ? [shown(key)] : []),
    ...columns.map((name) => cells.get(name) ?? ""),
    ...(values ? [isMap || value === null || typeof value !== "object" ? shown(value) : ""] : []),
  ]);
  return console.log(drawn(head, body));
}

const console = {
  log: (...values) => say("INFO", values),
  info: (...values) => say("INFO", values),
  debug: (...values) => say("DEBUG", values),
  warn: (...values) => say("WARN", values),
  error: (...values) => say("ERROR", values),
  trace: (...values) => say("TRACE", values),
  fatal: (...values) => say("FATAL", values),
  dir: (value, options) => say("INFO", [inspect(value, { customInspect: false, ...options })]),
  dirxml: (...values) => say("INFO", values),
  assert(condition, ...values) {
    if (condition) return;
    if (typeof values[0] === "string") values[0] = `Assertion failed: ${values[0]}`;
    else values.unshift("Assertion failed");
    say("WARN", values);
  },
  count(label = "default") {
    label = `${label}`;
    counts.set(label, (counts.get(label) ?? 0) + 1);
    say("INFO", [`${label}: ${counts.get(label)}`]);
  },
  countReset: (label = "default") => void counts.delete(`${label}`),
  group(...values) {
    if (values.length) say("INFO", values);
    indent += "  ";
  },
  groupEnd: () => void (indent = indent.slice(2)),
  table,
  time: (label = "default") => void timers.set(`${label}`, native.monotonic()),
  timeLog(label = "default", ...values) {
    const text = elapsed(`${label}`);
    if (text !== undefined) say("INFO", [`${label}: ${text}`, ...values]);
  },
  timeEnd(label = "default") {
    const text = elapsed(`${label}`);
    timers.delete(`${label}`);
    if (text !== undefined) say("INFO", [`${label}: ${text}`]);
  },
  timeStamp() {},
  profile() {},
  profileEnd() {},
};
console.groupCollapsed = console.group;
Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });

Object.defineProperties(console, {
  // Reads AWS_LAMBDA_LOG_LEVEL and AWS_LAMBDA_LOG_FORMAT.
  configure: {
    value: () => {
      least = LEVELS[variables.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? 0;
      asJson = variables.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === "JSON";
    },
  },
  setRequestId: {
    value: (id) => {
      requestId = id;
      globalThis[REQUEST_ID] = id;
    },
  },
});

class Console {
  constructor(...streams) {
    const out = streams[0]?.stdout ?? streams[0];
    const err = streams[0]?.stderr ?? streams[1] ?? out;
    const to = (stream) => (...values) => void stream.write(`${formatWithOptions({}, ...values)}\n`);
    this.log = this.info = this.debug = to(out);
    this.error = this.warn = this.trace = to(err);
  }
}
Object.defineProperty(console, "Console", { value: Console, writable: true, configurable: true });

module.exports = console;
