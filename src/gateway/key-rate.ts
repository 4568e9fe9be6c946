/** Rate: a token bucket for each account, so that one key cannot take what all pay for. */
import { NodeError } from '../base/error.ts';
import type { AccountId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface RateLimit {
  /** Throws rate_limited. */
  admit: (account: AccountId) => void;
}

interface Bucket {
  left: number;
  at: number;
}

/** @param perMinute 0 switches it off. A tenth of it may come at once. */
export function createRateLimit({ perMinute, clock }: { perMinute: number; clock: Clock }): RateLimit {
  if (perMinute === 0) return { admit: () => undefined };
  const perMs = perMinute / 60_000;
  const burst = Math.max(1, Math.ceil(perMinute / 10));
  /** Least recently used first: a bucket that is forgotten was full again, or is one of very many. */
  const buckets = new Map<AccountId, Bucket>();

  return {
    admit: (account) => {
      const now = clock.monotonic();
      const { left, at } = buckets.get(account) ?? { left: burst, at: now };
      const filled = Math.min(burst, left + (now - at) * perMs);
      buckets.delete(account);
      buckets.set(account, { left: Math.max(0, filled - (filled >= 1 ? 1 : 0)), at: now });
      const oldest = buckets.keys().next();
      if (buckets.size > LIMITS.rateLimit.bucketsMax && !oldest.done) buckets.delete(oldest.value);
      if (filled >= 1) return;
      throw new NodeError('rate_limited', 'Too many requests with this key; ask again in a moment.', {
        retryAfterMs: Math.ceil((1 - filled) / perMs),
      });
    },
  };
}
