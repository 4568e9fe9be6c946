/** Asides of holds: what few holds have and most have not, a child key behind them or an Idempotency-Key. */
import type { AccountId, RequestId } from '../base/id.ts';
import { type Msat, minMsat, msat } from '../base/money.ts';
import type { Child, Children } from './children.ts';
import { type Idempotency, remembered, rememberedRows } from './idempotency.ts';
import type { RowChanges } from './journal.ts';
import type { HoldRequest } from './holds.ts';
import type { Store } from './store.ts';

interface Aside {
  amount: number;
  account: AccountId;
  child: boolean;
  idempotency?: Idempotency;
}

export interface Asides {
  /** Rows of the hold's entry; undefined for a hold like most. */
  begin: (hold: HoldRequest, child: Child | undefined) => RowChanges | undefined;
  /** Rows of the entry that ends the hold; `charged` is undefined where it is released. */
  end: (id: string, charged: number | undefined) => RowChanges | undefined;
  /** What a cost above its hold may take at most because of a child key's limit. */
  overdraft: (id: string) => number;
  /** The balance as the hold's credential sees it. */
  seen: (account: AccountId, available: Msat) => Msat;
  /** The account that asked, where it is not the one that pays. */
  childOf: (id: string) => AccountId | undefined;
}

/** By id of the open hold; gone with the process, as the holds are. */
export type OpenAsides = Map<string, Aside>;

export function createAsides(store: Store, children: Children, asides: OpenAsides): Asides {
  // After a failed write the ledger is opened anew: what did not reach the disk is not open any more.
  for (const [id, { account, child, amount }] of asides) {
    const holder = child ? children.find(account) : undefined;
    if (!store.books.holds.has(id)) asides.delete(id);
    else if (holder !== undefined) children.take(account, holder, amount);
  }

  /** Nothing was charged: the same key may be used for another try. */
  function keyedRows(aside: Aside, charged: number | undefined): RowChanges {
    const { idempotency } = aside;
    const row = idempotency && remembered(store, idempotency.id);
    if (idempotency === undefined || row?.paid === undefined) return {};
    const key = `q!${idempotency.id}`;
    return charged === undefined
      ? { [key]: null }
      : { [key]: { ...row, paid: { ...row.paid, charged: msat(charged) } } };
  }

  return {
    begin: ({ id, account, amount, keyed }, child) => {
      if (child === undefined && keyed === undefined) return undefined;
      const { requestId, ...idempotency } = keyed ?? {};
      const aside: Aside = { amount, account, child: child !== undefined };
      if (keyed !== undefined) aside.idempotency = idempotency as Idempotency;
      asides.set(id, aside);
      return {
        ...(child && children.take(account, child, amount)),
        ...rememberedRows(store, aside.idempotency, {
          paid: { requestId: requestId as RequestId, account },
        }),
      };
    },
    end: (id, charged) => {
      if (asides.size === 0) return undefined;
      const aside = asides.get(id);
      if (aside === undefined) return undefined;
      asides.delete(id);
      return {
        ...(aside.child && children.give(aside.account, aside.amount, charged)),
        ...keyedRows(aside, charged),
      };
    },
    overdraft: (id) => {
      const aside = asides.size === 0 ? undefined : asides.get(id);
      return (aside?.child === true ? children.limitLeft(aside.account) : undefined) ?? Infinity;
    },
    seen: (account, available) => minMsat(available, children.limitLeft(account) ?? available),
    childOf: (id) => {
      const aside = asides.size === 0 ? undefined : asides.get(id);
      return aside?.child === true ? aside.account : undefined;
    },
  };
}
