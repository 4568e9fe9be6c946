/** Accounts: reading them, their terms, the dust of one-shot payments, and small values of other rooms. */
import { invariant } from '../base/error.ts';
import { msatPerUnit } from '../base/money.ts';
import type { Children } from './children.ts';
import { expiryRows } from './expiry.ts';
import type { AccountTerms, Ledger } from './ledger.ts';
import { limitLeft } from './limit.ts';
import { minus } from './postings.ts';
import type { Store } from './store.ts';

type Accounts = Pick<
  Ledger,
  'account' | 'limitLeft' | 'setAccountTerms' | 'sweepDust' | 'getValue' | 'putValue'
>;

export function createAccounts(store: Store, children: Children): Accounts {
  return {
    account: (id) => {
      const account = store.account(id);
      return account ?? children.view(id);
    },
    limitLeft: (id) => {
      const account = store.account(id);
      return account === undefined ? children.limitLeft(id) : limitLeft(account, store.clock.now());
    },
    setAccountTerms: (id, terms) => {
      const account = store.account(id);
      invariant(account !== undefined, 'terms are set on an account that exists');
      const s = termFields(terms);
      if (Object.keys(s).length === 0) return { durable: store.flushed() };
      const r = expiryRows({ ...account, ...terms });
      return { durable: store.commit({ k: 'terms', i: id, a: id, p: {}, s, r }) };
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

/** Only the terms that are there, as fields of an entry. */
export function termFields(terms: AccountTerms): Record<string, string | number> {
  const { refundAddress, validityDate, balanceLimit, balanceLimitReset } = terms;
  const fields = { refundAddress, validityDate, balanceLimit, balanceLimitReset };
  return Object.fromEntries(
    Object.entries(fields).filter((field): field is [string, string | number] => field[1] !== undefined),
  );
}
