/**
 * Seen wraps: names (hashes) of wraps that were opened or refused, so that relays may send what they store as often as they like.
 * In memory up to a bound; on disk now and then, because relays store wraps for days and opening one costs
 * milliseconds. What a crash forgets costs only those: requests themselves are remembered one by one.
 */
import { LIMITS } from '../base/limits.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { ValueStore } from './created-at.ts';

export interface SeenWraps<Value> {
  get: (id: string) => Value | undefined;
  add: (id: string, value: Value) => void;
  /** Nothing is left to do for it: the next process need not open it either. */
  keep: (id: string) => void;
  /** Writes what is new; the store keeps a ring of slots, each overwritten when its time comes round again. */
  flush: () => Promise<void>;
}

/** Sixteen digits tell wraps apart; nobody gains by finding two with the same. */
const short = (id: string): string => id.slice(0, 16);

/** @param before stands for a wrap of the process before, of which only the id is known. */
export function createSeenWraps<Value>(options: {
  store: ValueStore;
  clock: Clock;
  before: () => Value;
}): SeenWraps<Value> {
  const { store, clock, before } = options;
  const { slotSeconds, slots, seenMax } = LIMITS.inbox;
  const seen = new Map<string, Value>();
  let slot = -1;
  let inSlot: string[] = [];
  let changed = false;

  const slotNow = (): number => Math.floor(unixSeconds(clock) / slotSeconds);
  const slotName = (number: number): string => `nostr/wraps/${number % slots}`;

  function remember(id: string, value: Value): void {
    seen.delete(id);
    seen.set(id, value);
    if (seen.size <= seenMax) return;
    const [oldest] = seen.keys();
    if (oldest !== undefined) seen.delete(oldest);
  }

  function read(number: number): string[] {
    const [written, ids = ''] = (store.get(slotName(number)) ?? '').split(' ', 2);
    // Of a turn of the ring that is long past.
    if (written !== String(number)) return [];
    return ids.match(/.{16}/g) ?? [];
  }

  for (let number = slotNow() - slots + 1; number <= slotNow(); number += 1) {
    for (const id of read(number)) remember(id, before());
  }

  return {
    get: (id) => seen.get(short(id)),
    add: (id, value) => remember(short(id), value),
    keep: (id) => {
      const number = slotNow();
      if (number !== slot) {
        if (changed) void write();
        inSlot = read(number);
        slot = number;
      }
      if (inSlot.length >= LIMITS.inbox.slotIdsMax) return;
      inSlot.push(short(id));
      changed = true;
    },
    flush: async () => {
      if (changed) await write();
    },
  };

  async function write(): Promise<void> {
    changed = false;
    await store.put(slotName(slot), `${slot} ${inSlot.join('')}`).catch(() => {
      // A cache: it is written again with the next id.
      changed = true;
    });
  }
}
