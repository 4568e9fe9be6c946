/** Chat pending: what people are still owed a message about, on disk: refunds, invoices, tokens at a slow mint. */
import { LIMITS } from '../base/limits.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { ValueStore } from './created-at.ts';

/** Where and to what an answer goes. */
export interface Address {
  /** Id of the rumor that is answered. */
  id: string;
  /** Public key of who gets the answer. */
  sender: string;
  /** Relays that the rumor came from. */
  from: readonly string[];
}

/** No secret is in it: the token of a refund follows from the ledger. */
export type Pending = Address & { at: number } & (
    { kind: 'refund'; sats?: number } | { kind: 'topup' | 'deposit'; operation: string }
  );

export interface PendingList {
  all: () => readonly Pending[];
  /** Durable when it resolves. False when there is no room, or no more for this sender. */
  add: (pending: Pending) => Promise<boolean>;
  done: (id: string) => Promise<void>;
}

const NAME = 'nostr/chat/pending';

export function createPendingList({ store, clock }: { store: ValueStore; clock: Clock }): PendingList {
  const { chat } = LIMITS;
  let list = JSON.parse(store.get(NAME) ?? '[]') as Pending[];

  const write = (): Promise<void> => store.put(NAME, JSON.stringify(list));
  const ofKind = (kind: Pending['kind']): Pending[] => list.filter((other) => other.kind === kind);
  const isFull = (kind: Pending['kind']): boolean =>
    ofKind(kind).length >= (kind === 'topup' ? chat.topUpsMax : chat.othersMax);

  return {
    all: () => list,
    add: async (pending) => {
      if (list.some(({ id }) => id === pending.id)) return true;
      const { kind, sender } = pending;
      if (ofKind(kind).filter((other) => other.sender === sender).length >= chat.pendingPerSender)
        return false;
      const now = unixSeconds(clock);
      if (isFull(kind)) list = list.filter(({ at }) => now - at < chat.pendingSeconds);
      if (isFull(kind)) return false;
      list = [...list, pending];
      await write();
      return true;
    },
    done: async (id) => {
      const left = list.filter((pending) => pending.id !== id);
      if (left.length === list.length) return;
      list = left;
      await write();
    },
  };
}
