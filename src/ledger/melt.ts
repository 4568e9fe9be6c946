/** Melt: our proofs pay a Lightning invoice. Debit and reserved proofs are the intent; the rest comes back at the end. */
import { invariant } from '../base/error.ts';
import type { AccountId, OperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Msat, msat, unitToMsat } from '../base/money.ts';
import type { StoredProof } from '../base/proof.ts';
import { unixSeconds } from '../base/time.ts';
import { type Idempotency, remembered, rememberedRows } from './idempotency.ts';
import type { Operation } from './ledger.ts';
import type {
  ChangeSignature,
  LightningBooks,
  MeltOperation,
  MeltOpenOutcome,
  OpenMelt,
} from './lightning.ts';
import {
  OPERATOR,
  accountField,
  earned,
  faceOf,
  inFlight,
  noProofRows,
  operationOfKind,
  operationRows,
  payer,
  proofRows,
  reserveCounters,
  unfinishedOf,
} from './operations.ts';
import { type Postings, minus, proofsAccount } from './postings.ts';
import type { Store } from './store.ts';

type Melt = Pick<LightningBooks, 'openMelt' | 'completeMelt' | 'earned'>;

export function createMelt(store: Store): Melt {
  /** One that failed gave everything back: the same key may try again. */
  function ofKey(idempotency: Idempotency | undefined): Operation | undefined {
    const id = idempotency && remembered(store, idempotency.id)?.operation;
    const operation = id && store.operation(id);
    return operation?.state === 'failed' ? undefined : operation;
  }

  /** A melt of the same payer that is not finished, blocked ones included: nobody knows yet what became of it. */
  function live({ account }: OpenMelt): MeltOperation | undefined {
    for (const operation of unfinishedOf(store, 'melt')) if (operation.account === account) return operation;
    return undefined;
  }

  function before(intent: OpenMelt): MeltOpenOutcome | undefined {
    const { id, idempotency, paymentHash } = intent;
    const durable = store.flushed();
    const known = ofKey(idempotency);
    if (known?.kind === 'melt') return { outcome: 'replayed', operation: known, durable };
    if (known !== undefined) return { outcome: 'foreign' };
    if (store.operation(id) !== undefined)
      return { outcome: 'replayed', operation: operationOfKind(store, id, 'melt'), durable };
    const running = live(intent);
    if (running !== undefined) return { outcome: 'live', operation: running, durable };
    const payerOfInvoice = store.row(`h!${paymentHash}`) as OperationId | undefined;
    const taken = payerOfInvoice === undefined ? undefined : operationOfKind(store, payerOfInvoice, 'melt');
    return taken === undefined || taken.state === 'failed'
      ? undefined
      : { outcome: 'taken', operation: taken };
  }

  /** What the payer has, decided in the same turn as the intent: nothing can come between. */
  const availableTo = ({ purpose, account }: OpenMelt): Msat =>
    purpose === 'withdraw' ? earned(store) : (store.account(account)?.available ?? msat(0));

  function begin(intent: OpenMelt, inputs: StoredProof[], fee: number): MeltOpenOutcome {
    const { feePpk: _feePpk, keyset, idempotency, ...fields } = intent;
    const value = faceOf(inputs);
    const debit = unitToMsat(intent.amount + intent.feeReserve + fee, intent.unit);
    const blanksWanted = bits(value - fee - intent.amount);
    const { plan: blanks, rows } = reserveCounters(store, keyset, new Array<number>(blanksWanted).fill(0));
    const operation: MeltOperation = {
      ...fields,
      kind: 'melt',
      state: 'executing',
      createdAt: unixSeconds(store.clock),
      debit,
      spend: { inputs, fee, blanks },
      ...(idempotency !== undefined && { idempotencyKey: idempotency.id }),
    };
    const { id, paymentHash } = intent;
    const inflight = unitToMsat(value, intent.unit);
    const durable = store.commit({
      k: 'melt-open',
      i: id,
      ...accountField(operation),
      ...(intent.purpose !== 'withdraw' && { s: { lastRefund: id } }),
      p: {
        ...payer(operation, minus(debit)),
        owed: debit,
        [proofsAccount(intent.mint, intent.unit)]: minus(inflight),
        inflight,
      },
      r: {
        ...rows,
        ...noProofRows(inputs),
        ...operationRows(store, operation),
        [`h!${paymentHash}`]: id,
        ...rememberedRows(store, idempotency, { operation: id }),
      },
    });
    return { outcome: 'opened', operation, durable };
  }

  return {
    earned: () => {
      store.guard();
      return earned(store);
    },
    openMelt: (intent) => {
      store.guard();
      const known = before(intent);
      if (known !== undefined) return known;
      const { amount, feeReserve, feePpk, unit, purpose, account } = intent;
      invariant(
        (purpose === 'withdraw') === (account === (OPERATOR as AccountId)),
        'only the operator withdraws',
      );
      invariant(Number.isSafeInteger(amount) && amount > 0, 'an invoice has a whole amount');
      invariant(Number.isSafeInteger(feeReserve) && feeReserve >= 0, 'a fee reserve is whole');
      const available = availableTo(intent);
      const least = unitToMsat(amount + feeReserve, unit);
      if (least > available) return { outcome: 'insufficient', available, needed: least };
      const feeOf = (inputs: readonly StoredProof[]): number =>
        Math.ceil(inputs.reduce((sum, proof) => sum + feePpk(proof.keyset), 0) / 1000);
      const inputs = store.books.pool.pickCover(
        intent,
        (picked) => amount + feeReserve + feeOf(picked) - faceOf(picked),
      );
      if (inputs === undefined) {
        const largest = [...store.books.pool.all()]
          .filter((proof) => proof.mint === intent.mint && proof.unit === unit)
          .sort((a, b) => b.amount - a.amount)
          .slice(0, LIMITS.ledger.swapInputsMax);
        const have = faceOf(largest);
        const short = Math.max(1, amount + feeReserve + feeOf(largest) - have);
        return { outcome: 'no-proofs', have, inFlight: inFlight(store, intent), short };
      }
      const needed = unitToMsat(amount + feeReserve + feeOf(inputs), unit);
      if (needed > available) return { outcome: 'insufficient', available, needed };
      return begin(intent, inputs, feeOf(inputs));
    },

    completeMelt: (id, change, preimage) => {
      const operation = operationOfKind(store, id, 'melt');
      if (operation.state === 'done') return { durable: store.flushed() };
      const { spend, reason: _reason, ...rest } = operation;
      invariant(spend !== undefined && operation.state !== 'failed', 'what was given back is not spent');
      const kept = changeProofs(spend.blanks, change);
      const value = unitToMsat(faceOf(spend.inputs), operation.unit);
      const back = unitToMsat(faceOf(kept), operation.unit);
      invariant(back <= value, 'a mint does not give back more than it got');
      const spent = msat(Math.min(value - back, operation.debit));
      const done: MeltOperation = {
        ...rest,
        state: 'done',
        spent,
        paidAt: unixSeconds(store.clock),
        ...(preimage !== undefined && { preimage }),
      };
      const durable = store.commit({
        k: 'melt-done',
        i: id,
        ...accountField(operation),
        p: {
          owed: minus(operation.debit),
          inflight: minus(value),
          [proofsAccount(operation.mint, operation.unit)]: back,
          ...ending(operation, spent),
          // The mint kept more than the payer was debited: that is the node's loss, never the client's.
          losses: minus(value - back - spent),
        },
        r: { ...proofRows(operation, kept), ...operationRows(store, done) },
      });
      return { durable };
    },
  };
}

/** What was set aside and not spent is the payer's again; fees of the operator's own payouts are booked apart. */
function ending(operation: MeltOperation, spent: Msat): Postings {
  if (operation.purpose !== 'withdraw') return { avail: operation.debit - spent };
  const amount = unitToMsat(operation.amount, operation.unit);
  return { payouts: operation.debit - amount, mint_fees: minus(spent - amount) };
}

function changeProofs(
  blanks: { keyset: string; counter: number; amounts: number[] },
  change: ChangeSignature[],
) {
  const places = new Set(change.map(({ index }) => index));
  invariant(
    places.size === change.length && change.every(({ index }) => index >= 0 && index < blanks.amounts.length),
    'change is signed on blank outputs of this operation, each once',
  );
  return change.map(({ index, amount, blindSignature }) => ({
    keyset: blanks.keyset,
    counter: blanks.counter + index,
    amount,
    blindSignature,
  }));
}

/** Blank outputs that can take any amount up to `most` (NUT-08): one for each binary digit. */
const bits = (most: number): number => (most <= 0 ? 0 : Math.floor(Math.log2(most)) + 1);
