/** Reclaim: inputs of a payment that seems not to have happened are swapped away before anybody gets them back. */
import { invariant } from '../base/error.ts';
import { msat, unitToMsat } from '../base/money.ts';
import type { LightningBooks, MeltOperation } from './lightning.ts';
import {
  accountField,
  faceOf,
  forgetRefund,
  isSamePlan,
  operationOfKind,
  operationRows,
  payer,
  proofRows,
  reserveCounters,
  signedProofs,
} from './operations.ts';
import { minus, proofsAccount } from './postings.ts';
import type { Store } from './store.ts';

type Reclaim = Pick<LightningBooks, 'planReclaim' | 'completeReclaim'>;

export function createReclaim(store: Store): Reclaim {
  return {
    planReclaim: (id, { keyset, amounts, reason }) => {
      const before = operationOfKind(store, id, 'melt');
      invariant(before.state === 'executing' && before.spend !== undefined, 'an open payment has inputs');
      const { spend } = before;
      const worth = amounts.reduce((sum, amount) => sum + amount, 0);
      invariant(worth > 0 && worth <= faceOf(spend.inputs), 'outputs are worth no more than inputs');
      const { plan, rows } = reserveCounters(store, keyset, amounts);
      const { reclaim } = spend;
      const oldPlans = reclaim && [...(reclaim.oldPlans ?? []), reclaim.plan];
      const operation: MeltOperation = {
        ...before,
        spend: { ...spend, reclaim: { reason, plan, ...(oldPlans && { oldPlans }) } },
      };
      const r = { ...rows, ...operationRows(store, operation) };
      return { operation, durable: store.commit({ k: 'melt-reclaim', i: id, p: {}, r }) };
    },

    completeReclaim: (id, blindSignatures, plan) => {
      const operation = operationOfKind(store, id, 'melt');
      if (operation.state === 'failed') return { durable: store.flushed() };
      const { spend, ...rest } = operation;
      invariant(
        spend?.reclaim !== undefined && operation.state !== 'done',
        'what was paid is not taken back',
      );
      const { reason, plan: latest, oldPlans = [] } = spend.reclaim;
      invariant(
        [latest, ...oldPlans].some((known) => isSamePlan(known, plan)),
        'the signatures belong to a plan of this operation',
      );
      const kept = signedProofs(plan, blindSignatures);
      const value = unitToMsat(faceOf(spend.inputs), operation.unit);
      const back = unitToMsat(faceOf(kept), operation.unit);
      // The payer bears the mint's fee for his inputs, as he would have for the payment, and no more than he gave.
      const charged = msat(Math.min(value - back, operation.debit));
      const failed: MeltOperation = {
        ...rest,
        state: 'failed',
        reason,
        ...(charged > 0 && { spent: charged }),
      };
      const durable = store.commit({
        k: 'fail',
        i: id,
        ...accountField(operation),
        ...forgetRefund(store, operation),
        p: {
          ...payer(operation, operation.purpose === 'withdraw' ? operation.debit : operation.debit - charged),
          ...(operation.purpose === 'withdraw' && { mint_fees: minus(charged) }),
          owed: minus(operation.debit),
          inflight: minus(value),
          [proofsAccount(operation.mint, operation.unit)]: back,
          losses: minus(value - back - charged),
        },
        r: { ...proofRows(operation, kept), ...operationRows(store, failed) },
      });
      return { durable };
    },
  };
}
