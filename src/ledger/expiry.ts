/** Expiry: accounts whose date has passed, with money left and an address to send it to. */
import type { AccountId } from '../base/id.ts';
import { msatPerUnit } from '../base/money.ts';
import { unixSeconds } from '../base/time.ts';
import type { RowChanges } from './journal.ts';
import type { Account } from './ledger.ts';
import type { Store } from './store.ts';

export interface Expiry {
  /**
   * Expired accounts that have a refund address and at least one unit to refund, longest expired first. Reads at most
   * `limit` rows of an index, so it may be called on every tick; `next` goes on where it stopped. Accounts are found
   * from the checkpoint on that follows their last change, seconds later.
   */
  expiredAccounts: (page: {
    limit: number;
    after?: string;
  }) => Promise<{ accounts: Account[]; next?: string }>;
}

/** Row `e!<date>|<account>`: written whenever such an account gets its terms or money, dropped when it has none left. */
export function expiryRows(
  account: Pick<Account, 'id' | 'validityDate' | 'refundAddress'> | undefined,
): RowChanges {
  if (account?.validityDate === undefined || account.refundAddress === undefined) return {};
  return { [dateKey(account.validityDate, account.id)]: 1 };
}

const dateKey = (seconds: number, id = ''): string => `e!${String(seconds).padStart(16, '0')}|${id}`;

export function createExpiry(store: Store): Expiry {
  /**
   * Nothing to refund, and no operation that could still give something back. What its fees gave back to an account
   * that was paid out at its end is not sent after it: each time it would be less.
   */
  function isOver(account: Account, key: string): boolean {
    const operation = account.lastRefund === undefined ? undefined : store.operation(account.lastRefund);
    const settled = operation === undefined || operation.state === 'done' || operation.state === 'failed';
    const empty = account.available < msatPerUnit(account.unit) && account.held === 0;
    const sent = operation?.kind === 'melt' && operation.purpose === 'expiry' && operation.state === 'done';
    return (settled && empty) || sent || key !== dateKey(account.validityDate ?? 0, account.id);
  }

  return {
    expiredAccounts: async ({ limit, after }) => {
      const from = after === undefined ? 'e!' : `${after}\x00`;
      const keys = await store.keys({ gte: from, lt: dateKey(unixSeconds(store.clock) + 1) }, limit);
      const accounts: Account[] = [];
      const dropped: RowChanges = {};
      for (const key of keys) {
        if (store.row(key) === undefined) continue;
        const account = store.account(key.slice(key.indexOf('|') + 1) as AccountId);
        if (account === undefined) continue;
        if (isOver(account, key)) dropped[key] = null;
        else if (account.available >= msatPerUnit(account.unit)) accounts.push({ ...account });
      }
      if (Object.keys(dropped).length > 0) await store.commit({ k: 'value', i: 'expiry', p: {}, r: dropped });
      const last = keys.at(-1);
      return { accounts, ...(keys.length === limit && last !== undefined && { next: last }) };
    },
  };
}
