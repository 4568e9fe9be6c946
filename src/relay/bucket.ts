/** Token bucket that keeps our publishes to one relay below its limits. */
import type { Clock } from '../base/time.ts';

export interface Bucket {
  /** Takes one token, waiting at most `timeoutMs` for it; false (and nothing taken) if it would take longer. */
  take: (timeoutMs: number) => Promise<boolean>;
}

export function createBucket(options: { perMinute: number; burst: number; clock: Clock }): Bucket {
  const { burst, clock } = options;
  const perMs = options.perMinute / 60_000;
  let tokens = burst;
  let countedAt = clock.monotonic();
  return {
    take: async (timeoutMs) => {
      const now = clock.monotonic();
      tokens = Math.min(burst, tokens + (now - countedAt) * perMs);
      countedAt = now;
      const waitMs = Math.max(0, Math.ceil((1 - tokens) / perMs));
      if (waitMs > timeoutMs) return false;
      // Taken before the wait: whoever comes next queues behind this one.
      tokens -= 1;
      if (waitMs > 0) await clock.sleep(waitMs);
      return true;
    },
  };
}
