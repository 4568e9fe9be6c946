/** Accounts: reading them, their terms, the dust of one-shot payments, and small values of other rooms. */
import { invariant } from '../base/error.ts';
import { msatPerUnit } from '../base/money.ts';
import type { Ledger } from './ledger.ts';
import { limitLeft } from './limit.ts';
import { minus } from './postings.ts';
import type { Store } from './store.ts';

type Accounts = Pick<
  Ledger,
  'account' | 'limitLeft' | 'setAccountTerms' | 'sweepDust' | 'getValue' | 'putValue'
>;

export function createAccounts(store: Store): Accounts {
  return {
    account: (id) => {
      const account = store.account(id);
      return account && { ...account };
    },
    limitLeft: (id) => {
      const account = store.account(id);
      return account && limitLeft(account, store.clock.now());
    },
    setAccountTerms: (id, terms) => {
      invariant(store.account(id) !== undefined, 'terms are set on an account that exists');
      const { refundAddress, validityDate, balanceLimit, balanceLimitReset } = terms;
      const fields = { refundAddress, validityDate, balanceLimit, balanceLimitReset };
      const given = Object.entries(fields).filter(
        (field): field is [string, string | number] => field[1] !== undefined,
      );
      if (given.length === 0) return { durable: store.flushed() };
      return { durable: store.commit({ k: 'terms', i: id, a: id, p: {}, s: Object.fromEntries(given) }) };
    },
    sweepDust: (id) => {
      const account = store.account(id);
      store.books.pool.free(id);
      const isDust = account?.kind === 'token' && account.available < msatPerUnit(account.unit);
      if (!isDust || account.available === 0) return { durable: store.flushed() };
      const dust = account.available;
      return {
        durable: store.commit({ k: 'dust', i: id, a: id, p: { avail: minus(dust), rounding: dust } }),
      };
    },
    getValue: (key) => store.row(`v!${key}`) as string | undefined,
    putValue: (key, value) => ({
      durable: store.commit({ k: 'value', i: key, p: {}, r: { [`v!${key}`]: value } }),
    }),
  };
}
