/** Budgets: token buckets that answer at once, one per name, for what strangers may make the node do. */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface Budget {
  /** Takes `amount`; false, and nothing is taken, if there is not so much. */
  take: (amount?: number) => boolean;
}

export function createBudget(options: { perSecond: number; burst: number; clock: Clock }): Budget {
  const { perSecond, burst, clock } = options;
  let left = burst;
  let countedAt = clock.monotonic();
  return {
    take: (amount = 1) => {
      const now = clock.monotonic();
      left = Math.min(burst, left + ((now - countedAt) / 1000) * perSecond);
      countedAt = now;
      if (left < amount) return false;
      left -= amount;
      return true;
    },
  };
}

/** One budget per name; the name that was quiet for longest is forgotten first. */
export function createBudgets(options: { perSecond: number; burst: number; clock: Clock }): {
  take: (name: string) => boolean;
} {
  const budgets = new Map<string, Budget>();
  return {
    take: (name) => {
      const budget = budgets.get(name) ?? createBudget(options);
      budgets.delete(name);
      budgets.set(name, budget);
      if (budgets.size > LIMITS.inbox.namesMax) {
        const [quiet] = budgets.keys();
        if (quiet !== undefined) budgets.delete(quiet);
      }
      return budget.take();
    },
  };
}
