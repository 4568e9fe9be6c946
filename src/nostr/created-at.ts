/** created_at that only grows: a replaceable event that is not newer than its forerunner is thrown away by relays. */
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { type Clock, unixSeconds } from '../base/time.ts';

/** Small durable values by key; the ledger keeps them. */
export interface ValueStore {
  get: (key: string) => string | undefined;
  put: (key: string, value: string) => Promise<void>;
}

export interface CreatedAt {
  /** max(now, last + 1), durable before it is returned. */
  next: (kind: number) => Promise<number>;
}

export function createCreatedAt(options: { store: ValueStore; clock: Clock; log: Logger }): CreatedAt {
  const { store, clock, log } = options;
  /** Also in memory, so that two callers at once never get the same number. */
  const given = new Map<number, number>();
  return {
    next: async (kind) => {
      const name = `nostr/last/${kind}`;
      const stored = Number(store.get(name) ?? 0);
      const last = Math.max(given.get(kind) ?? 0, Number.isSafeInteger(stored) ? stored : 0);
      const now = unixSeconds(clock);
      const next = Math.max(now, last + 1);
      given.set(kind, next);
      if (next > now + LIMITS.discover.futureSecondsMax) {
        log.warn('nostr.clock.behind', { kind, behind_s: next - now });
      }
      await store.put(name, String(next));
      return next;
    },
  };
}
