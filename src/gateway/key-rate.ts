/** Rate: a token bucket for each account or network, so that one cannot take what is there for all. */
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface RateLimit {
  /** Throws rate_limited. */
  admit: (name: string) => void;
}

interface Bucket {
  left: number;
  at: number;
}

export function createRateLimit(options: {
  /** 0 switches it off. */
  perMinute: number;
  /** How many may come at once; by default a tenth of those of a minute. */
  burst?: number;
  /** What those are told who come too often. */
  refusal?: string;
  clock: Clock;
}): RateLimit {
  const { perMinute, refusal = 'Too many requests with this key; ask again in a moment.', clock } = options;
  if (perMinute === 0) return { admit: () => undefined };
  const perMs = perMinute / 60_000;
  const burst = options.burst ?? Math.max(1, Math.ceil(perMinute / 10));
  /** Least recently used first: a bucket that is forgotten was full again, or is one of very many. */
  const buckets = new Map<string, Bucket>();

  return {
    admit: (name) => {
      const now = clock.monotonic();
      const { left, at } = buckets.get(name) ?? { left: burst, at: now };
      const filled = Math.min(burst, left + (now - at) * perMs);
      buckets.delete(name);
      buckets.set(name, { left: Math.max(0, filled - (filled >= 1 ? 1 : 0)), at: now });
      const oldest = buckets.keys().next();
      if (buckets.size > LIMITS.rateLimit.bucketsMax && !oldest.done) buckets.delete(oldest.value);
      if (filled >= 1) return;
      throw new NodeError('rate_limited', refusal, { retryAfterMs: Math.ceil((1 - filled) / perMs) });
    },
  };
}
