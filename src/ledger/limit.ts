/** Spending limits of accounts: how much of one is left, counted anew each day, week or month where that was agreed. */
import { type Msat, msat } from '../base/money.ts';
import type { Account } from './ledger.ts';

/** What a limit is counted from; of a child key as well as of an account. */
export type LimitFacts = Pick<
  Account,
  'balanceLimit' | 'balanceLimitReset' | 'limitPeriod' | 'limitSpentBefore' | 'totalSpent' | 'held'
>;

/** What is left of the account's limit at this time; undefined where it has none. Open holds count as spent. */
export function limitLeft(account: LimitFacts, nowMs: number): Msat | undefined {
  if (account.balanceLimit === undefined) return undefined;
  return msat(Math.max(0, account.balanceLimit - spentInPeriod(account, nowMs) - account.held));
}

/** Msat spent since the period of the limit began; without a reset, ever. */
export function spentInPeriod(account: Omit<LimitFacts, 'held'>, nowMs: number): Msat {
  const period = limitPeriod(account.balanceLimitReset, nowMs);
  if (period === undefined) return msat(account.totalSpent - (account.limitSpentBefore ?? 0));
  // Nothing was held in this period yet, so nothing was spent in it but for what was held before it began.
  if (isNew(account, period, nowMs)) return msat(0);
  return msat(account.totalSpent - (account.limitSpentBefore ?? 0));
}

/** Fields to be written with the first hold of a new period, so that the count begins at what was spent until then. */
export function newPeriod(
  account: Omit<LimitFacts, 'held'>,
  nowMs: number,
): { limitPeriod: string; limitSpentBefore: number } | undefined {
  const period = limitPeriod(account.balanceLimitReset, nowMs);
  if (account.balanceLimit === undefined || period === undefined || !isNew(account, period, nowMs))
    return undefined;
  return { limitPeriod: period, limitSpentBefore: account.totalSpent };
}

/** A clock that steps back over midnight begins no period, unless by so much that it was wrong before. */
const isNew = (
  { limitPeriod: known }: Pick<LimitFacts, 'limitPeriod'>,
  period: string,
  nowMs: number,
): boolean => known === undefined || known < period || Date.parse(known) - nowMs > DAY_MS;

/** Fields with which a limit is counted anew from now on, whatever was spent. */
export function restartedCount(
  account: Omit<LimitFacts, 'held'>,
  nowMs: number,
): { limitPeriod?: string; limitSpentBefore: Msat } {
  const period = limitPeriod(account.balanceLimitReset, nowMs);
  return { ...(period !== undefined && { limitPeriod: period }), limitSpentBefore: account.totalSpent };
}

const DAY_MS = 86_400_000;

/** First day (UTC) of the period, e.g. 2026-11-23; weeks begin on Monday. Undefined for a limit that is never reset. */
export function limitPeriod(reset: string | undefined, nowMs: number): string | undefined {
  if (reset === undefined) return undefined;
  const day = new Date(nowMs);
  switch (reset) {
    case 'daily':
      break;
    case 'weekly':
      day.setTime(nowMs - ((day.getUTCDay() + 6) % 7) * DAY_MS);
      break;
    case 'monthly':
      day.setUTCDate(1);
      break;
    default:
      return undefined;
  }
  return day.toISOString().slice(0, 10);
}
