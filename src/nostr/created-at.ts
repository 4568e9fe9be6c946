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
  /** The newest one given so far, 0 if none. */
  last: (kind: number) => number;
  /** A relay holds one of ours with this time, so the next one must be later. */
  seen: (kind: number, createdAt: number) => void;
}

export function createCreatedAt(options: { store: ValueStore; clock: Clock; log: Logger }): CreatedAt {
  const { store, clock, log } = options;
  /** Also in memory, so that two callers at once never get the same number. */
  const given = new Map<number, number>();
  const nameOf = (kind: number): string => `nostr/last/${kind}`;
  const last = (kind: number): number => {
    const stored = Number(store.get(nameOf(kind)) ?? 0);
    return Math.max(given.get(kind) ?? 0, Number.isSafeInteger(stored) ? stored : 0);
  };
  return {
    last,
    seen: (kind, createdAt) => void given.set(kind, Math.max(last(kind), createdAt)),
    next: async (kind) => {
      const name = nameOf(kind);
      const now = unixSeconds(clock);
      const next = Math.max(now, last(kind) + 1);
      given.set(kind, next);
      if (next > now + LIMITS.discover.futureSecondsMax) {
        log.warn('nostr.clock.behind', { kind, behind_s: next - now });
      }
      await store.put(name, String(next));
      return next;
    },
  };
}
