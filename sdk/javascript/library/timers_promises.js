// `timers/promises`.
"use strict";
const { withCode } = require("errors");

function aborted(signal) {
  const error = withCode(Error, "ABORT_ERR", "The operation was aborted");
  error.name = "AbortError";
  error.cause = signal.reason;
  return error;
}

function waiting(start, stop, value, { signal, ref = true } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted(signal));
    const timer = start(() => resolve(value));
    if (!ref) timer.unref();
    signal?.addEventListener("abort", () => {
      stop(timer);
      reject(aborted(signal));
    }, { once: true });
    return undefined;
  });
}

const later = (ms, value, options) => waiting((done) => setTimeout(done, ms), clearTimeout, value, options);

module.exports = {
  setTimeout: later,
  setImmediate: (value, options) => waiting((done) => setImmediate(done), clearImmediate, value, options),
  async *setInterval(ms, value, options) {
    for (;;) {
      await later(ms, undefined, options);
      yield value;
    }
  },
  scheduler: { wait: (ms, options) => later(ms, undefined, options), yield: () => module.exports.setImmediate() },
};
