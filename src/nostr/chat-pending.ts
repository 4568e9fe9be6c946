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
  const fits = ({ kind, sender }: Pending): boolean => {
    const same = list.filter((other) => other.kind === kind);
    const most = kind === 'topup' ? chat.topUpsMax : chat.othersMax;
    return (
      same.length < most && same.filter((other) => other.sender === sender).length < chat.pendingPerSender
    );
  };

  return {
    all: () => list,
    add: async (pending) => {
      if (list.some(({ id }) => id === pending.id)) return true;
      const now = unixSeconds(clock);
      list = list.filter(({ at }) => now - at < chat.pendingSeconds);
      if (!fits(pending)) return false;
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
