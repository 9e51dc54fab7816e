export class LimitExceeded extends Error {
  override name = 'LimitExceeded';
  declare readonly retryAfterMs: number;
  constructor(who: unknown, retryAfterMs: number) {
    super(`${who} has to wait for ${retryAfterMs} ms`);
    Object.assign(this, { retryAfterMs });
  }
}

function logged<This, A extends unknown[], R>(target: (this: This, ...args: A) => R, context: { name: string | symbol }) {
  return function (this: This, ...args: A): R {
    console.debug('%s(%s)', String(context.name), args.join(', '));
    return target.call(this, ...args);
  };
}

export class RateLimiter<K> implements Iterable<K> {
  readonly #windows = new Map<K, number[]>();
  accessor total = 0;
  constructor(private readonly options: { limit: number; windowMs: number }) {}

  @logged
  take(key: K, at: number): void {
    const { limit, windowMs } = this.options;
    const recent = (this.#windows.get(key) ?? []).filter((t) => t > at - windowMs);
    if (recent.length >= limit) throw new LimitExceeded(key, recent[0]! + windowMs - at);
    this.#windows.set(key, [...recent, at]);
    this.total += 1;
  }
  *[Symbol.iterator](): Iterator<K> {
    yield* this.#windows.keys();
  }
}
