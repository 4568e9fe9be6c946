/** Rotation: proofs of ours become other proofs of ours, because their keyset ends or because they are too many. */
import { invariant } from '../base/error.ts';
import type { AccountId } from '../base/id.ts';
import { msat, unitToMsat } from '../base/money.ts';
import { unixSeconds } from '../base/time.ts';
import type { Ledger, SendOperation } from './ledger.ts';
import {
  OPERATOR,
  earned,
  faceOf,
  noProofRows,
  operationRows,
  reserveCounters,
  unfinishedOf,
} from './operations.ts';
import { minus, proofsAccount } from './postings.ts';
import type { Store } from './store.ts';

export function createRotation(store: Store): Pick<Ledger, 'openRotation'> {
  function isRunning(mint: string, unit: string): boolean {
    for (const operation of unfinishedOf(store, 'send'))
      if (operation.purpose === 'rotate' && operation.mint === mint && operation.unit === unit) return true;
    return false;
  }

  return {
    openRotation: ({ id, mint, unit, count, wanted, feePpk, keyset, amounts: amountsFor }) => {
      store.guard();
      if (isRunning(mint, unit)) return undefined;
      const inputs = store.books.pool.pickSmall({ mint, unit }, count, wanted);
      const value = faceOf(inputs);
      const fee = Math.ceil(inputs.reduce((sum, proof) => sum + feePpk(proof.keyset), 0) / 1000);
      const amounts = inputs.length === 0 ? undefined : amountsFor(value, fee, inputs.length);
      if (amounts === undefined) return undefined;
      invariant(
        amounts.reduce((sum, amount) => sum + amount, fee) === value && amounts.length > 0,
        'a swap keeps its value',
      );
      const { plan, rows } = reserveCounters(store, keyset, amounts);
      const debit = msat(unitToMsat(fee, unit));
      const unearned = msat(Math.max(0, debit - earned(store)));
      const operation: SendOperation = {
        id,
        kind: 'send',
        purpose: 'rotate',
        state: 'executing',
        mint,
        unit,
        account: OPERATOR as AccountId,
        createdAt: unixSeconds(store.clock),
        debit,
        ...(unearned > 0 && { unearned }),
        amount: 0,
        swap: { inputs, fee, plan, sendCount: 0 },
      };
      const inflight = unitToMsat(value, unit);
      const durable = store.commit({
        k: 'rotate-open',
        i: id,
        p: {
          mint_fees: minus(debit - unearned),
          keyset_fees: minus(unearned),
          owed: operation.debit,
          [proofsAccount(mint, unit)]: minus(inflight),
          inflight,
        },
        r: { ...rows, ...noProofRows(inputs), ...operationRows(store, operation) },
      });
      return { operation, durable };
    },
  };
}
