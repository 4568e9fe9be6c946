/** Holds: money set apart for a request in flight, until its cost is known or its lease ends. */
import { NodeError, invariant } from '../base/error.ts';
import type { AccountId, RequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Msat, msat } from '../base/money.ts';
import { unixSeconds } from '../base/time.ts';
import type { Asides } from './asides.ts';
import type { Children } from './children.ts';
import type { Idempotency } from './idempotency.ts';
import type { Account, Durable } from './ledger.ts';
import { limitLeft, newPeriod, spentInPeriod } from './limit.ts';
import type { Movement } from './journal.ts';
import { minus } from './postings.ts';
import type { Store } from './store.ts';

export interface HoldRequest {
  id: string;
  account: AccountId;
  amount: Msat;
  /** Remembered with the hold, and with what was charged when it is settled. */
  keyed?: Idempotency & { requestId: RequestId };
}

export type HoldOutcome =
  | ({ outcome: 'held'; amount: Msat } & Durable)
  | { outcome: 'insufficient'; available: Msat; held: Msat }
  | { outcome: 'limit'; limit: Msat; spent: Msat }
  | { outcome: 'expired' }
  | { outcome: 'duplicate' }
  | { outcome: 'unknown-account' };

export type SettleOutcome =
  | ({ outcome: 'settled'; charged: Msat; available: Msat; held: Msat } & Durable)
  /** The hold was settled, released or had expired before: nothing moved. */
  | { outcome: 'closed' };

export interface HoldVerbs {
  /**
   * Takes `amount` from the free balance until settled, released or expired. It is in no haste to be on disk, because
   * its request is about to wait for an AI server: who waits for it says so by `hurry`.
   */
  hold: (request: HoldRequest) => HoldOutcome;
  /** Begins to write the holds that wait for others to go to the disk with. */
  hurry: () => void;
  /**
   * Charges `cost`, at most the hold plus the free balance, and never past the account's `balanceLimit`; the rest of
   * the hold is free again.
   */
  settle: (id: string, cost: Msat) => SettleOutcome;
  /** Gives the whole hold back; cost 0, and no request is counted. Idempotent. */
  release: (id: string) => SettleOutcome;
  /** Extends the lease of a living request; memory only, because a lease does not outlive the process. */
  renew: (id: string) => void;
  /**
   * Releases holds whose lease ended and, where `living` is given, all that are not in it: their requests ended while
   * nothing could be written. Returns how many; 0, without throwing, when nothing can be written any more.
   */
  expireHolds: (living?: ReadonlySet<string>) => number;
}

interface Holds extends HoldVerbs {
  /** Holds of a process that died: their requests ended with it. */
  releaseAll: () => number;
}

export function createHolds(store: Store, children: Children, asides: Asides): Holds {
  const { books, clock } = store;
  /** Monotonic time at which each open hold ends by itself. */
  const leases = new Map<string, number>();
  /** Ids of closed holds in two halves: when the younger is full, the older is forgotten at once. */
  let closed = new Set<string>();
  let closedBefore = new Set<string>();

  function remember(id: string): void {
    leases.delete(id);
    closed.add(id);
    if (closed.size < LIMITS.ledger.closedHoldsMax / 2) return;
    closedBefore = closed;
    closed = new Set();
  }

  function lease(id: string): void {
    leases.set(id, clock.monotonic() + LIMITS.hold.leaseMs);
  }

  // Open holds of a ledger that was closed and opened again by this process: their requests may still live.
  for (const id of books.holds.keys()) lease(id);

  function refusal(account: Account | undefined, id: string, amount: number): HoldOutcome | undefined {
    if (account === undefined) return { outcome: 'unknown-account' };
    if (books.holds.has(id) || closed.has(id) || closedBefore.has(id)) return { outcome: 'duplicate' };
    const { available, held, validityDate, balanceLimit } = account;
    if (validityDate !== undefined && validityDate <= unixSeconds(clock)) return { outcome: 'expired' };
    const left = limitLeft(account, clock.now());
    if (balanceLimit !== undefined && left !== undefined && amount > left)
      return { outcome: 'limit', limit: balanceLimit, spent: spentInPeriod(account, clock.now()) };
    return available < amount ? { outcome: 'insufficient', available, held } : undefined;
  }

  function close(id: string, cost: number, kind: 'settle' | 'release'): SettleOutcome {
    store.guard();
    const hold = books.holds.get(id);
    const account = hold && store.account(hold.account);
    if (hold === undefined || account === undefined) return { outcome: 'closed' };
    const over = Math.min(overdraft(account, clock.now()), asides.overdraft(id));
    const charged = Math.min(cost, hold.amount + over);
    const child = asides.childOf(id);
    const held = minus(hold.amount);
    const avail = hold.amount - charged;
    const durable = store.commit({
      k: kind,
      i: id,
      a: hold.account,
      p: charged > 0 ? { held, avail, revenue: charged } : { held, avail },
      m: kind === 'settle' ? [1, charged] : undefined,
      r: asides.end(id, kind === 'settle' ? charged : undefined),
    });
    remember(id);
    const after = store.account(hold.account) ?? account;
    return {
      outcome: 'settled',
      charged: msat(charged),
      available: child === undefined ? after.available : asides.seen(child, after.available),
      held: after.held,
      durable,
    };
  }

  return {
    hold: (request) => {
      const { id, account, amount } = request;
      store.guard();
      invariant(Number.isSafeInteger(amount) && amount >= 0, 'a hold is a whole amount');
      if (store.queued() > LIMITS.ledger.queueMax)
        throw new NodeError('overloaded', 'The disk of this node does not keep up; try again in a moment.', {
          retryAfterMs: 1_000,
        });
      const own = store.account(account);
      const child = own === undefined ? children.find(account) : undefined;
      const payer = child === undefined ? own : store.account(child.parent);
      const refused = (child && children.refusal(account, child, amount)) ?? refusal(payer, id, amount);
      if (refused !== undefined) return refused;
      const period = payer && newPeriod(payer, clock.now());
      const movement: Movement = {
        k: 'hold',
        i: id,
        a: child?.parent ?? account,
        p: { avail: minus(amount), held: amount },
        s: period,
        r: asides.begin(request, child),
      };
      const durable = store.commit(movement, true);
      lease(id);
      return { outcome: 'held', amount, durable };
    },
    settle: (id, cost) => {
      invariant(Number.isSafeInteger(cost) && cost >= 0, 'a cost is a whole amount');
      return close(id, cost, 'settle');
    },
    release: (id) => close(id, 0, 'release'),
    hurry: store.hurry,
    renew: (id) => {
      if (leases.has(id)) lease(id);
    },
    expireHolds: (living) => {
      if (store.poisoned() || !store.isOpen()) return 0;
      const now = clock.monotonic();
      const over = [...leases].filter(([id, until]) => until <= now || living?.has(id) === false);
      for (const [id] of over) close(id, 0, 'release');
      return over.length;
    },
    releaseAll: () => {
      const ids = [...books.holds.keys()];
      for (const id of ids) close(id, 0, 'release');
      closed = new Set();
      closedBefore = new Set();
      return ids.length;
    },
  };
}

/** What a cost above its hold may still take: free money, but never past the limit that was set for the key. */
function overdraft(account: Account, nowMs: number): number {
  return Math.min(account.available, limitLeft(account, nowMs) ?? Infinity);
}
