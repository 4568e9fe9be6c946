/** Idempotency: what a request with an Idempotency-Key has led to, durable for as long as its client may repeat it. */
import type { AccountId, OperationId, RequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Msat } from '../base/money.ts';
import { unixSeconds } from '../base/time.ts';
import type { RowChanges } from './journal.ts';
import { overdue } from './kept.ts';
import type { Store } from './store.ts';

/** A client's word that two requests are one; it is written in the batch of whatever the first one did. */
export interface Idempotency {
  /** Hash of the credential and the client's Idempotency-Key. */
  id: string;
  /** Hash of the request itself: another one under the same id is a mistake of the client. */
  request: string;
}

export interface Remembered {
  request: string;
  /** Unix seconds of the first request. */
  at: number;
  /** The deposit or refund that it began. */
  operation?: OperationId;
  /** The paid request that it began; `charged` is absent until it is settled. */
  paid?: { requestId: RequestId; account: AccountId; charged?: Msat };
  /** The child keys that it made. */
  children?: { seed: string; count: number; cost: Msat };
}

export interface Idempotent {
  remembered: (id: string) => Remembered | undefined;
  /** Forgets what is older than a client may ask for, and kept values whose time is over; a bounded number per call. */
  forgetOld: () => Promise<number>;
}

type Outcome = Pick<Remembered, 'operation' | 'paid' | 'children'>;

/** Rows `q!<id>`, and `t!<seconds>|<id>` by which the oldest are found. */
export function rememberedRows(
  store: Store,
  idempotency: Idempotency | undefined,
  outcome: Outcome,
): RowChanges {
  if (idempotency === undefined) return {};
  const { id, request } = idempotency;
  const at = unixSeconds(store.clock);
  const row: Remembered = { request, at, ...outcome };
  return { [`q!${id}`]: row, [timeKey(at, id)]: 1 };
}

export const remembered = (store: Store, id: string): Remembered | undefined =>
  store.row(`q!${id}`) as Remembered | undefined;

const timeKey = (seconds: number, id = ''): string => `t!${String(seconds).padStart(12, '0')}|${id}`;

export function createIdempotent(store: Store): Idempotent {
  return {
    remembered: (id) => remembered(store, id),
    forgetOld: async () => {
      const before = unixSeconds(store.clock) - LIMITS.idempotency.keepSeconds;
      const keys = await store.keys({ gte: 't!', lt: timeKey(before) }, LIMITS.idempotency.forgetPerSweep);
      // Rows that were removed since the last checkpoint are still in the database.
      const old = keys.filter((key) => store.row(key) !== undefined);
      const r: RowChanges = await overdue(store, LIMITS.idempotency.forgetPerSweep);
      for (const key of old) {
        r[key] = null;
        const id = key.slice(key.indexOf('|') + 1);
        // Used anew since then: the younger row of the index answers for it.
        if ((remembered(store, id)?.at ?? 0) < before) r[`q!${id}`] = null;
      }
      if (Object.keys(r).length === 0) return 0;
      await store.commit({ k: 'value', i: 'idempotency', p: {}, r });
      return old.length;
    },
  };
}
