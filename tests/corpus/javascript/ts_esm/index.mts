import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { RateLimiter, LimitExceeded } from './limiter.mjs';

type Plan = { readonly [name in 'free' | 'pro']: number };

const plans = JSON.parse(await readFile(new URL('./plans.json', import.meta.url), 'utf8')) as Plan;

export const handler = async ({ calls, plan = 'free' }: { calls: [string, number][]; plan?: keyof Plan }) => {
  const limiter = new RateLimiter<string>({ limit: plans[plan], windowMs: 1_000 });
  const accepted: Record<string, number> = {};
  for (const [user, at] of calls) {
    await delay(0);
    try {
      limiter.take(user, at);
      accepted[user] = (accepted[user] ?? 0) + 1;
    } catch (error: unknown) {
      if (error instanceof LimitExceeded && error.retryAfterMs < 500) continue;
      throw error;
    }
  }
  return { accepted, users: [...limiter] } as const;
};
