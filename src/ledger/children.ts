/** Child keys: credentials that spend the balance of their parent, each within limits of its own. */
import { invariant } from '../base/error.ts';
import type { AccountId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Msat, minMsat, msat } from '../base/money.ts';
import { unixSeconds } from '../base/time.ts';
import { type Idempotency, rememberedRows } from './idempotency.ts';
import type { RowChanges } from './journal.ts';
import type { HoldOutcome } from './holds.ts';
import type { Account, Durable } from './ledger.ts';
import { limitLeft, newPeriod, restartedCount } from './limit.ts';
import { minus } from './postings.ts';
import type { Store } from './store.ts';

export type ChildTerms = Pick<Account, 'balanceLimit' | 'balanceLimitReset' | 'validityDate' | 'models'>;

/** Row `c!<account>`. Its money is the parent's, so it has no balances; what it spent counts for both. */
export type Child = ChildTerms &
  Pick<Account, 'totalRequests' | 'totalSpent' | 'createdAt' | 'limitPeriod' | 'limitSpentBefore'> & {
    parent: AccountId;
  };

export interface NewChildren {
  parent: AccountId;
  accounts: AccountId[];
  /** What the keys were derived from; no secret by itself. */
  seed: string;
  /** For all of them together; it becomes revenue. */
  cost: Msat;
  terms: ChildTerms;
  idempotency?: Idempotency;
}

export type NewChildrenOutcome =
  | ({ outcome: 'created'; available: Msat } & Durable)
  | { outcome: 'insufficient'; available: Msat }
  | { outcome: 'limit'; limit: Msat; spent: Msat }
  | { outcome: 'expired' }
  | { outcome: 'too-many'; most: number };

export interface ChildVerbs {
  /** All of them and their cost in one batch. A key that may not pay for requests pays for no keys either. */
  createChildren: (request: NewChildren) => NewChildrenOutcome;
  /** Living child keys of an account, oldest first, with `held` being their own. */
  children: (parent: AccountId) => Account[];
  /** The limit is counted anew from here; what was spent stays on record. Undefined: no child of this parent. */
  resetChild: (parent: AccountId, child: AccountId) => Durable | undefined;
  /** The key is dead from this turn on; requests that it began are settled as ever. */
  revokeChild: (parent: AccountId, child: AccountId) => Durable | undefined;
}

/** What the other verbs ask about child keys. */
export interface Children {
  verbs: ChildVerbs;
  find: (id: AccountId) => Child | undefined;
  /** The child as an account: limits of its own, balances of its parent. */
  view: (id: AccountId) => Account | undefined;
  /** What the child may still spend under its own limit; open holds count as spent. */
  limitLeft: (id: AccountId) => Msat | undefined;
  refusal: (id: AccountId, child: Child, amount: number) => HoldOutcome | undefined;
  /** Rows that go with a hold, and with its settlement. `drawn` is memory only: no hold outlives its process. */
  take: (id: AccountId, child: Child, amount: number) => RowChanges;
  give: (id: AccountId, amount: number, charged: number | undefined) => RowChanges;
}

function refusalOf(payer: Account, cost: Msat, nowMs: number): NewChildrenOutcome | undefined {
  const { available, balanceLimit, validityDate } = payer;
  if (validityDate !== undefined && validityDate <= Math.floor(nowMs / 1000)) return { outcome: 'expired' };
  if (available < cost) return { outcome: 'insufficient', available };
  const left = limitLeft(payer, nowMs);
  return balanceLimit !== undefined && left !== undefined && cost > left
    ? { outcome: 'limit', limit: balanceLimit, spent: msat(balanceLimit - left) }
    : undefined;
}

const rowKey = (id: AccountId): string => `c!${id}`;
const listKey = (parent: AccountId): string => `l!${parent}`;

export function createChildren(store: Store): Children {
  /** Msat in open holds, by child. */
  const drawn = new Map<AccountId, number>();
  const { clock } = store;

  const find = (id: AccountId): Child | undefined => store.row(rowKey(id)) as Child | undefined;
  const listOf = (parent: AccountId): AccountId[] =>
    (store.row(listKey(parent)) as AccountId[] | undefined) ?? [];
  const facts = (id: AccountId, child: Child) => ({ ...child, held: msat(drawn.get(id) ?? 0) });

  function view(id: AccountId): Account | undefined {
    const child = find(id);
    const parent = child && store.account(child.parent);
    if (parent === undefined) return undefined;
    const { available, held, mint, unit } = parent;
    return { ...child, id, kind: 'key', available, held, mint, unit } as Account;
  }

  const own = (parent: AccountId, id: AccountId): Child | undefined => {
    const child = find(id);
    return child?.parent === parent ? child : undefined;
  };

  const verbs: ChildVerbs = {
    createChildren: ({ parent, accounts, seed, cost, terms, idempotency }) => {
      const payer = store.account(parent);
      invariant(payer?.kind === 'key', 'a child key has a parent that is kept');
      const list = listOf(parent);
      const most = LIMITS.children.perParentMax;
      if (list.length + accounts.length > most) return { outcome: 'too-many', most };
      const refused = cost > 0 ? refusalOf(payer, cost, clock.now()) : undefined;
      if (refused !== undefined) return refused;
      const period = cost > 0 ? newPeriod(payer, clock.now()) : undefined;
      const child: Child = {
        ...terms,
        parent,
        totalRequests: 0,
        totalSpent: msat(0),
        createdAt: unixSeconds(clock),
      };
      const r: RowChanges = rememberedRows(store, idempotency, {
        children: { seed, count: accounts.length, cost },
      });
      for (const id of accounts) {
        invariant(find(id) === undefined && store.account(id) === undefined, 'a child key is new');
        r[rowKey(id)] = child;
      }
      r[listKey(parent)] = [...list, ...accounts];
      const p = cost > 0 ? { avail: minus(cost), revenue: cost } : {};
      const s = period && { s: period };
      const durable = store.commit({ k: 'children', i: parent, a: parent, p, m: [0, cost], ...s, r });
      return { outcome: 'created', available: store.account(parent)?.available ?? payer.available, durable };
    },
    children: (parent) =>
      listOf(parent).flatMap((id) => {
        const account = view(id);
        return account ? [{ ...account, held: msat(drawn.get(id) ?? 0) }] : [];
      }),
    resetChild: (parent, id) => {
      const child = own(parent, id);
      if (child === undefined) return undefined;
      const r = { [rowKey(id)]: { ...child, ...restartedCount(child, clock.now()) } };
      return { durable: store.commit({ k: 'children', i: parent, p: {}, r }) };
    },
    revokeChild: (parent, id) => {
      if (own(parent, id) === undefined) return undefined;
      const left = listOf(parent).filter((other) => other !== id);
      const r = { [rowKey(id)]: null, [listKey(parent)]: left.length > 0 ? left : null };
      return { durable: store.commit({ k: 'children', i: parent, p: {}, r }) };
    },
  };

  const ownLimitLeft = (id: AccountId): Msat | undefined => {
    const child = find(id);
    return child && limitLeft(facts(id, child), clock.now());
  };

  return {
    verbs,
    find,
    view,
    limitLeft: (id) => {
      const child = find(id);
      const parent = child && store.account(child.parent);
      const limits = [ownLimitLeft(id), parent && limitLeft(parent, clock.now())];
      return limits.reduce((a, b) => (a === undefined || b === undefined ? (a ?? b) : minMsat(a, b)));
    },
    refusal: (id, child, amount) => {
      const { validityDate, balanceLimit } = child;
      if (validityDate !== undefined && validityDate <= unixSeconds(clock)) return { outcome: 'expired' };
      const left = ownLimitLeft(id);
      if (balanceLimit === undefined || left === undefined || amount <= left) return undefined;
      const spent = msat(balanceLimit - left);
      return { outcome: 'limit', limit: balanceLimit, spent };
    },
    take: (id, child, amount) => {
      drawn.set(id, (drawn.get(id) ?? 0) + amount);
      const period = newPeriod(child, clock.now());
      return period === undefined ? {} : { [rowKey(id)]: { ...child, ...period } };
    },
    give: (id, amount, charged) => {
      const left = (drawn.get(id) ?? 0) - amount;
      if (left > 0) drawn.set(id, left);
      else drawn.delete(id);
      const child = find(id);
      // Revoked meanwhile, or nothing was spent.
      if (child === undefined || charged === undefined) return {};
      const totalSpent = msat(child.totalSpent + charged);
      return { [rowKey(id)]: { ...child, totalRequests: child.totalRequests + 1, totalSpent } };
    },
  };
}
