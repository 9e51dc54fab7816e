// `assert`.
"use strict";
const { withCode, invalidArgType } = require("errors");
const { inspect } = require("inspect");
const { isDeep } = require("equality");
const types = require("util_types");

const HEADLINES = {
  deepStrictEqual: "Expected values to be strictly deep-equal:",
  partialDeepStrictEqual: "Expected values to be partially and strictly deep-equal:",
  strictEqual: "Expected values to be strictly equal:",
  strictEqualObject: 'Expected "actual" to be reference-equal to "expected":',
  deepEqual: "Expected values to be loosely deep-equal:",
  notDeepStrictEqual: 'Expected "actual" not to be strictly deep-equal to:',
  notStrictEqual: 'Expected "actual" to be strictly unequal to:',
  notStrictEqualObject: 'Expected "actual" not to be reference-equal to "expected":',
  notDeepEqual: 'Expected "actual" not to be loosely deep-equal to:',
  notIdentical: "Values have same structure but are not reference-equal:",
};

const shown = (value) => inspect(value, { compact: false, customInspect: false, depth: 1000, maxArrayLength: Infinity, showHidden: false, showProxy: false, sorted: true, getters: true, breakLength: Infinity });

// What is common to both, what only one has, line by line.
function differences(a, b) {
  const table = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--) table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  const lines = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length)
    if (i < a.length && j < b.length && a[i] === b[j]) lines.push(`  ${a[i++]}`), j++;
    else if (i < a.length && (j >= b.length || table[i + 1][j] >= table[i][j + 1])) lines.push(`+ ${a[i++]}`);
    else lines.push(`- ${b[j++]}`);
  return lines;
}

function explain(operator, actual, expected) {
  if (operator === "deepStrictEqual" || operator === "strictEqual" || operator === "partialDeepStrictEqual") {
    const a = shown(actual).split("\n");
    const b = shown(expected).split("\n");
    const isObject = actual !== null && expected !== null && typeof actual === "object" && typeof expected === "object";
    let headline = operator === "strictEqual" && isObject ? HEADLINES.strictEqualObject : HEADLINES[operator];
    if (a.length === 1 && b.length === 1 && a[0] !== b[0]) {
      if (!isObject && (a[0].length + b[0].length <= 12) && (actual !== 0 || expected !== 0)) return `${headline}\n\n${a[0]} !== ${b[0]}\n`;
    }
    if (isObject && operator === "strictEqual" && a.join() === b.join()) return `${HEADLINES.notIdentical}\n\n${a.join("\n")}\n`;
    return `${headline}\n+ actual - expected\n\n${differences(a, b).join("\n")}${a.length > 1 && b.length > 1 ? "" : "\n"}`;
  }
  if (operator === "notDeepStrictEqual" || operator === "notStrictEqual") {
    const isObject = actual !== null && (typeof actual === "object" || typeof actual === "function");
    const headline = operator === "notStrictEqual" && isObject ? HEADLINES.notStrictEqualObject : HEADLINES[operator];
    const text = shown(actual);
    return text.includes("\n") || text.length > 5 ? `${headline}\n\n${text}${text.includes("\n") ? "\n" : "\n"}` : `${headline} ${text}`;
  }
  let a = inspect(actual);
  let b = inspect(expected);
  if (operator === "deepEqual") return `${HEADLINES.deepEqual}\n\n${a}\n\nshould loosely deep-equal\n\n${b}`;
  if (operator === "notDeepEqual") return `${HEADLINES.notDeepEqual}\n\n${a}${b !== a ? `\n\nshould not loosely deep-equal\n\n${b}` : ""}`;
  if (a.length > 128) a = `${a.slice(0, 128)}...`;
  if (b.length > 128) b = `${b.slice(0, 128)}...`;
  return `${a} ${operator} ${b}`;
}

class AssertionError extends Error {
  constructor(options) {
    if (options === null || typeof options !== "object") throw invalidArgType("options", "Object", options);
    const { message, operator, actual, expected, stackStartFn } = options;
    super(message === undefined ? explain(operator, actual, expected) : String(message));
    this.generatedMessage = message === undefined;
    Object.defineProperty(this, "name", { value: "AssertionError [ERR_ASSERTION]", enumerable: false, writable: true, configurable: true });
    this.code = "ERR_ASSERTION";
    this.actual = actual;
    this.expected = expected;
    this.operator = operator;
    Error.captureStackTrace(this, stackStartFn ?? AssertionError);
    void this.stack; // made now, with the code in the name
    this.name = "AssertionError";
  }
  toString() {
    return `${this.name} [${this.code}]: ${this.message}`;
  }
}

function raise(options, message) {
  if (message instanceof Error) throw message;
  throw new AssertionError({ ...options, message });
}

function ok(value, message) {
  if (value) return;
  const generated = arguments.length === 0 ? "No value argument passed to `assert.ok()`" : message;
  const error = generated instanceof Error ? generated : new AssertionError({ actual: value, expected: true, message: generated ?? "The expression evaluated to a falsy value:\n\n  assert.ok(" + inspect(value) + ")\n", operator: "==", stackStartFn: ok });
  if (!(generated instanceof Error)) error.generatedMessage = message === undefined;
  throw error;
}

function assert(value, message) {
  if (value) return;
  if (message instanceof Error) throw message;
  const error = new AssertionError({ actual: value, expected: true, message: message ?? `The expression evaluated to a falsy value:\n\n  assert(${inspect(value)})\n`, operator: "==", stackStartFn: assert });
  error.generatedMessage = message === undefined;
  throw error;
}

function comparison(name, operator, test) {
  const check = {
    [name](actual, expected, message) {
      if (arguments.length < 2) throw withCode(TypeError, "ERR_MISSING_ARGS", 'The "actual" and "expected" arguments must be specified');
      if (!test(actual, expected)) raise({ actual, expected, operator, stackStartFn: check }, message);
    },
  }[name];
  return check;
}

const same = (a, b) => a == b || (Number.isNaN(a) && Number.isNaN(b));

// ── errors that are expected ────────────────────────────────────────────────────────────────────────────────────

function matches(actual, expected, message, name) {
  if (expected === undefined) return;
  if (typeof expected === "function") {
    if (expected.prototype !== undefined && actual instanceof expected) return;
    if (Error.isPrototypeOf(expected) || expected === Error) {
      if (message === undefined) {
        const got = actual instanceof Error ? (actual.constructor?.name ?? actual.name) : inspect(actual, { depth: -1 });
        const error = new AssertionError({ actual, expected, operator: name, message: `The error is expected to be an instance of "${expected.name}". Received ${actual instanceof Error ? `"${got}"` : `"${got}"`}${actual instanceof Error ? `\n\nError message:\n\n${actual.message}` : ""}` });
        error.generatedMessage = true;
        throw error;
      }
      raise({ actual, expected, operator: name }, message);
    }
    if (expected.call({}, actual) === true) return;
    const error = new AssertionError({ actual, expected, operator: name, message: message ?? `The ${expected.name ? `"${expected.name}" ` : ""}validation function is expected to return "true". Received ${inspect(false)}\n\nCaught error:\n\n${actual}` });
    error.generatedMessage = message === undefined;
    throw error;
  }
  if (types.isRegExp(expected)) {
    if (expected.test(String(actual))) return;
    const error = new AssertionError({ actual, expected, operator: name, message: message ?? `The input did not match the regular expression ${inspect(expected)}. Input:\n\n${inspect(String(actual))}\n` });
    error.generatedMessage = message === undefined;
    throw error;
  }
  if (typeof expected !== "object" || expected === null) throw invalidArgType("expected", ["function", "Object", "Error", "RegExp"], expected);
  const keys = Object.keys(expected);
  if (expected instanceof Error) keys.push("name", "message");
  for (const key of keys) {
    if (typeof actual?.[key] === "string" && types.isRegExp(expected[key]) && expected[key].test(actual[key])) continue;
    if (key in Object(actual) && isDeep(actual[key], expected[key], true)) continue;
    const a = Object.fromEntries(keys.filter((k) => k in Object(actual)).map((k) => [k, actual[k]]));
    const b = Object.fromEntries(keys.map((k) => [k, expected[k]]));
    const error = new AssertionError({ actual, expected, operator: name, message: message ?? explain("deepStrictEqual", a, b) });
    error.generatedMessage = message === undefined;
    throw error;
  }
}

function expectError(name, threw, actual, expected, message) {
  if (typeof expected === "string") [message, expected] = [expected, undefined];
  if (!threw) {
    let detail = expected?.name ? ` (${expected.name})` : "";
    detail += message ? `: ${message}` : ".";
    const error = new AssertionError({ actual: undefined, expected, operator: name, message: `Missing expected ${name === "rejects" ? "rejection" : "exception"}${detail}` });
    error.generatedMessage = !message;
    throw error;
  }
  matches(actual, expected, message, name);
}

function forbidError(name, threw, actual, expected, message) {
  if (!threw) return;
  if (typeof expected === "string") [message, expected] = [expected, undefined];
  const fits = expected === undefined || (types.isRegExp(expected) ? expected.test(String(actual)) : actual instanceof expected);
  if (!fits) throw actual;
  throw new AssertionError({ actual, expected, operator: name, message: `Got unwanted ${name === "doesNotReject" ? "rejection" : "exception"}${message ? `: ${message}` : "."}\nActual message: "${actual?.message}"` });
}

function attempt(fn) {
  if (typeof fn !== "function") throw invalidArgType("fn", "function", fn);
  try {
    fn();
  } catch (error) {
    return [true, error];
  }
  return [false];
}

async function attemptAsync(promise) {
  if (typeof promise === "function") {
    promise = promise();
    if (typeof promise?.then !== "function") throw withCode(TypeError, "ERR_INVALID_RETURN_VALUE", `Expected instance of Promise to be returned from the "promiseFn" function but got ${promise === null || promise === undefined ? promise : `type ${typeof promise}`}.`);
  } else if (typeof promise?.then !== "function") throw invalidArgType("promiseFn", ["function", "Promise"], promise);
  try {
    await promise;
  } catch (error) {
    return [true, error];
  }
  return [false];
}

function matchText(name, wanted) {
  return function (text, pattern, message) {
    if (!types.isRegExp(pattern)) throw invalidArgType("regexp", "RegExp", pattern);
    if (typeof text === "string" && pattern.test(text) === wanted) return;
    if (message instanceof Error) throw message;
    const generated =
      typeof text !== "string"
        ? `The "string" argument must be of type string. Received type ${typeof text} (${inspect(text)})`
        : `The input ${wanted ? "did not match" : "was expected to not match"} the regular expression ${inspect(pattern)}. Input:\n\n${inspect(text)}\n`;
    const error = new AssertionError({ actual: text, expected: pattern, operator: name, message: message ?? generated });
    error.generatedMessage = message === undefined;
    throw error;
  };
}

function partial(actual, expected, seen = []) {
  if (expected === null || typeof expected !== "object" || actual === null || typeof actual !== "object") return isDeep(actual, expected, true);
  if (seen.includes(expected)) return true;
  if (Array.isArray(expected)) return Array.isArray(actual) && partialList(actual, expected, seen);
  if (types.isMap(expected)) return types.isMap(actual) && [...expected].every(([k, v]) => actual.has(k) && partial(actual.get(k), v, [...seen, expected]));
  if (types.isSet(expected)) return types.isSet(actual) && [...expected].every((v) => [...actual].some((a) => partial(a, v, [...seen, expected])));
  if (Object.getPrototypeOf(expected) !== Object.prototype && Object.getPrototypeOf(expected) !== null) return isDeep(actual, expected, true);
  return Reflect.ownKeys(expected).every((key) => key in actual && partial(actual[key], expected[key], [...seen, expected]));
}

function partialList(actual, expected, seen) {
  let at = 0;
  for (const value of expected) {
    while (at < actual.length && !partial(actual[at], value, [...seen, expected])) at++;
    if (at++ >= actual.length) return false;
  }
  return true;
}

Object.assign(assert, {
  ok,
  fail(message) {
    if (message instanceof Error) throw message;
    const error = new AssertionError({ message: message ?? "Failed", operator: "fail", stackStartFn: assert.fail });
    error.generatedMessage = message === undefined;
    throw error;
  },
  equal: comparison("equal", "==", same),
  notEqual: comparison("notEqual", "!=", (a, b) => !same(a, b)),
  strictEqual: comparison("strictEqual", "strictEqual", Object.is),
  notStrictEqual: comparison("notStrictEqual", "notStrictEqual", (a, b) => !Object.is(a, b)),
  deepEqual: comparison("deepEqual", "deepEqual", (a, b) => isDeep(a, b, false)),
  notDeepEqual: comparison("notDeepEqual", "notDeepEqual", (a, b) => !isDeep(a, b, false)),
  deepStrictEqual: comparison("deepStrictEqual", "deepStrictEqual", (a, b) => isDeep(a, b, true)),
  notDeepStrictEqual: comparison("notDeepStrictEqual", "notDeepStrictEqual", (a, b) => !isDeep(a, b, true)),
  partialDeepStrictEqual: comparison("partialDeepStrictEqual", "partialDeepStrictEqual", (a, b) => partial(a, b)),
  throws: (fn, expected, message) => expectError("throws", ...pad(attempt(fn)), expected, message),
  doesNotThrow: (fn, expected, message) => forbidError("doesNotThrow", ...pad(attempt(fn)), expected, message),
  rejects: async (promise, expected, message) => expectError("rejects", ...pad(await attemptAsync(promise)), expected, message),
  doesNotReject: async (promise, expected, message) => forbidError("doesNotReject", ...pad(await attemptAsync(promise)), expected, message),
  match: matchText("match", true),
  doesNotMatch: matchText("doesNotMatch", false),
  ifError(error) {
    if (error === null || error === undefined) return;
    const text = typeof error === "object" && typeof error.message === "string" ? error.message || error.constructor?.name : inspect(error);
    const made = new AssertionError({ actual: error, expected: null, operator: "ifError", message: `ifError got unwanted exception: ${text}`, stackStartFn: assert.ifError });
    made.generatedMessage = true;
    throw made;
  },
  AssertionError,
});

const pad = ([threw, error]) => [threw, error];

function strict(value, message) {
  assert(value, message);
}
assert.strict = Object.assign(strict, assert, {
  equal: assert.strictEqual,
  notEqual: assert.notStrictEqual,
  deepEqual: assert.deepStrictEqual,
  notDeepEqual: assert.notDeepStrictEqual,
});
assert.strict.strict = assert.strict;

module.exports = assert;
