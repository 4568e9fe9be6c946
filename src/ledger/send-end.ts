/** The way of a send through its swap: other outputs where the mint wants them, and the token in the end. */
import { invariant } from '../base/error.ts';
import { msat, unitToMsat } from '../base/money.ts';
import type { OutputPlan, StoredProof } from '../base/proof.ts';
import type { Ledger, SendOperation } from './ledger.ts';
import {
  accountField,
  faceOf,
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

type SendEnd = Pick<Ledger, 'replanSend' | 'completeSend'>;
type Swap = NonNullable<SendOperation['swap']>;

export function createSendEnd(store: Store): SendEnd {
  return {
    replanSend: (id, { keyset, feePpk, split }) => {
      const before = operationOfKind(store, id, 'send');
      const { swap, purpose } = before;
      invariant(before.state === 'executing' && swap !== undefined, 'an open swap has inputs');
      const { inputs, plan, sendCount, oldPlans = [] } = swap;
      const fee = Math.ceil(inputs.reduce((sum, proof) => sum + feePpk(proof.keyset), 0) / 1000);
      const left = faceOf(inputs) - fee;
      const face = Math.min(before.amount, left);
      if (left <= 0 || (face <= 0 && purpose !== 'rotate')) return undefined;
      const sent = powersOfTwo(face);
      const outputs = [...sent, ...(left > face ? split(left - face) : [])];
      const reserved = reserveCounters(store, keyset, outputs);
      const operation: SendOperation = {
        ...before,
        swap: {
          ...swap,
          plan: reserved.plan,
          sendCount: sent.length,
          oldPlans: [...oldPlans, { plan, sendCount }],
        },
      };
      const r = { ...reserved.rows, ...operationRows(store, operation) };
      return { operation, durable: store.commit({ k: 'send-replan', i: id, p: {}, r }) };
    },

    completeSend: (id, blindSignatures, plan) => {
      const operation = operationOfKind(store, id, 'send');
      if (operation.state === 'done') return { durable: store.flushed() };
      const { swap, reason: _reason, ...rest } = operation;
      invariant(swap !== undefined && operation.state !== 'failed', 'a refused swap is not completed');
      const { token, kept } = divided(swap, blindSignatures, plan);
      const value = unitToMsat(faceOf(swap.inputs), operation.unit);
      const back = unitToMsat(faceOf(kept), operation.unit);
      // Under a later plan the mint may have taken another fee: the payer has what it is less, the node what it is more.
      const debit = msat(Math.min(value - back, operation.debit));
      const rebate = operation.debit - debit;
      const done: SendOperation = { ...rest, state: 'done', debit, amount: faceOf(token), token };
      const durable = store.commit({
        k: 'send-done',
        i: id,
        ...(rebate > 0 && accountField(operation)),
        p: {
          ...(rebate > 0 && payer(operation, rebate)),
          owed: minus(operation.debit),
          inflight: minus(value),
          [proofsAccount(operation.mint, operation.unit)]: back,
          losses: minus(value - back - debit),
        },
        r: { ...proofRows(operation, kept), ...operationRows(store, done) },
      });
      return { durable };
    },
  };
}

/** What the signatures are: the first of them the token, the rest ours. */
function divided(
  swap: Swap,
  blindSignatures: readonly string[],
  signed: OutputPlan = swap.plan,
): { token: StoredProof[]; kept: StoredProof[] } {
  const known = [swap, ...(swap.oldPlans ?? [])].find(({ plan }) => isSamePlan(plan, signed));
  invariant(known !== undefined, 'the signatures belong to a plan of this operation');
  const proofs = signedProofs(known.plan, blindSignatures);
  return { token: proofs.slice(0, known.sendCount), kept: proofs.slice(known.sendCount) };
}

/** Fewest proofs for an amount: its binary digits, smallest first. */
export function powersOfTwo(amount: number): number[] {
  const parts: number[] = [];
  for (let value = 1, rest = amount; rest > 0; value *= 2) {
    if (rest % (value * 2) !== 0) {
      parts.push(value);
      rest -= value;
    }
  }
  return parts;
}
