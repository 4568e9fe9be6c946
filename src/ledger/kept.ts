/** Kept values: small durable values of other rooms that are of use until a given time, and are forgotten then. */
import { unixSeconds } from '../base/time.ts';
import type { RowChanges } from './journal.ts';
import type { Durable } from './ledger.ts';
import type { Store } from './store.ts';

export interface Kept {
  /** Undefined once it is forgotten, and as soon as its time is over. */
  keptValue: (key: string) => string | undefined;
  /** @param until Unix seconds; null in place of a value forgets it now. */
  keepValue: (key: string, value: string | null, until: number) => Durable;
}

interface Row {
  value: string;
  until: number;
}

const rowKey = (key: string): string => `w!${key}`;
/** By these the oldest are found. Not `u!`, which lists unfinished operations. */
const timeKey = (seconds: number, key = ''): string => `z!${String(seconds).padStart(12, '0')}|${key}`;

export function createKept(store: Store): Kept {
  return {
    keptValue: (key) => {
      const row = store.row(rowKey(key)) as Row | undefined;
      return row !== undefined && row.until > unixSeconds(store.clock) ? row.value : undefined;
    },
    keepValue: (key, value, until) => {
      const before = store.row(rowKey(key)) as Row | undefined;
      const r: RowChanges = {};
      if (before !== undefined && before.until !== until) r[timeKey(before.until, key)] = null;
      r[rowKey(key)] = value === null ? null : ({ value, until } satisfies Row);
      r[timeKey(until, key)] = value === null ? null : 1;
      return { durable: store.commit({ k: 'value', i: key, p: {}, r }) };
    },
  };
}

/** Rows to drop of what is over; at most `limit` values. */
export async function overdue(store: Store, limit: number): Promise<RowChanges> {
  const now = unixSeconds(store.clock);
  const keys = await store.keys({ gte: 'z!', lt: timeKey(now) }, limit);
  const r: RowChanges = {};
  for (const key of keys) {
    if (store.row(key) === undefined) continue;
    r[key] = null;
    const named = rowKey(key.slice(key.indexOf('|') + 1));
    // Kept anew since then: the younger row of the index answers for it.
    const row = store.row(named) as Row | undefined;
    if (row !== undefined && row.until < now) r[named] = null;
  }
  return r;
}
