/** Budget of requests to one mint: as many at once as a burst allows, then in an even pace. */
import type { Clock } from '../base/time.ts';

export interface BudgetRule {
  perSecond: number;
  burst: number;
  /** A request that would have to wait longer is not sent at all. */
  waitMsMax: number;
}

export interface Budget {
  /** Takes a place and says how long to wait for it; with `refused` no place was taken. */
  take: () => { waitMs: number; refused: boolean };
}

export function createBudget(clock: Clock, { perSecond, burst, waitMsMax }: BudgetRule): Budget {
  const paceMs = 1_000 / perSecond;
  /** When the bucket will be full again. */
  let fullAt = -Infinity;
  return {
    take: () => {
      const now = clock.monotonic();
      const next = Math.max(fullAt, now) + paceMs;
      const waitMs = Math.max(0, Math.ceil(next - now - burst * paceMs));
      const refused = waitMs > waitMsMax;
      if (!refused) fullAt = next;
      return { waitMs, refused };
    },
  };
}
