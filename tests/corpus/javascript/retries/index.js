const { promisify } = require('util');

const wait = promisify(setTimeout);

class RetriesExhausted extends Error {
  constructor(attempts, cause) {
    super(`gave up after ${attempts} attempts`, { cause });
    this.name = this.constructor.name;
    this.attempts = attempts;
  }
}

async function withRetries(operation, { attempts = 4, base = 1, retryable = () => true, signal } = {}) {
  const delays = [];
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return { value: await operation(attempt), attempt, delays };
    } catch (error) {
      if (!retryable(error)) throw error;
      if (attempt >= attempts) throw new RetriesExhausted(attempt, error);
      const delay = base * 2 ** (attempt - 1);
      delays.push(delay);
      await wait(delay);
    }
  }
}

const timeout = (promise, ms) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error(`timed out after ${ms} ms`), { code: 'ETIMEDOUT' })), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

exports.handler = async ({ failures = 0, status = 503, slow = false, abort = false }) => {
  const controller = new AbortController();
  const flaky = async (attempt) => {
    if (abort && attempt === 2) controller.abort(new Error('cancelled by the caller'));
    if (attempt <= failures) {
      throw Object.assign(new Error(`HTTP ${status}`), { status });
    }
    return `answered at ${attempt}`;
  };
  if (slow) {
    return timeout(new Promise((resolve) => setTimeout(resolve, 60_000, 'too late').unref()), 5);
  }
  return withRetries(flaky, { retryable: (e) => e.status >= 500 || e.status === 429, signal: controller.signal });
};
