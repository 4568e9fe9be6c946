/** Send: tokens made of our proofs, offline when exact ones are at hand, else through a swap at the mint. */
import { invariant } from '../base/error.ts';
import type { AccountId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Msat, msat, msatToUnitFloor, unitToMsat } from '../base/money.ts';
import type { StoredProof } from '../base/proof.ts';
import { unixSeconds } from '../base/time.ts';
import { remembered, rememberedRows } from './idempotency.ts';
import type { Movement } from './journal.ts';
import type { Ledger, SendOperation } from './ledger.ts';
import type { OpenSend, SendOutcome } from './sends.ts';
import {
  OPERATOR,
  accountField,
  earned,
  faceOf,
  inFlight,
  noProofRows,
  operationRows,
  payer,
  reserveCounters,
} from './operations.ts';
import { minus, proofsAccount } from './postings.ts';
import { powersOfTwo } from './send-end.ts';
import type { Store } from './store.ts';

type Send = Pick<Ledger, 'openSend'>;

export function createSend(store: Store): Send {
  const { books } = store;

  /** What the account can give; for the operator, what was earned and not yet taken out. */
  function availableTo(intent: OpenSend): Msat {
    if (intent.purpose !== 'withdraw') return store.account(intent.account)?.available ?? msat(0);
    return earned(store);
  }

  /** In the turn that would make the next part: of two calls at once one answer may be lost, and neither part with it. */
  function newerPart(intent: OpenSend): SendOperation | undefined {
    if (!('after' in intent) || intent.idempotency !== undefined) return undefined;
    const last = store.account(intent.account)?.lastRefund;
    const operation = last === undefined || last === intent.after ? undefined : store.operation(last);
    const isPart = operation?.kind === 'send' && operation.partial === true;
    return isPart && operation.state !== 'failed' ? operation : undefined;
  }

  function replayed(intent: OpenSend): SendOutcome | undefined {
    const { id, account, idempotency } = intent;
    const known = idempotency && remembered(store, idempotency.id)?.operation;
    const operation = store.operation(known ?? id) ?? newerPart(intent);
    if (operation === undefined) return undefined;
    // A payout that failed gave everything back: the same key may try again.
    if (known !== undefined && operation.state === 'failed') return undefined;
    invariant(operation.kind === 'send' && operation.account === account, 'an operation id has one owner');
    return { outcome: 'replayed', operation, durable: store.flushed() };
  }

  function begin(intent: OpenSend, amount: number, debit: number): SendOperation {
    return {
      id: intent.id,
      kind: 'send',
      state: 'executing',
      mint: intent.mint,
      unit: intent.unit,
      account: intent.account,
      createdAt: unixSeconds(store.clock),
      purpose: intent.purpose,
      debit: msat(debit),
      amount,
      ...(intent.partial && { partial: true }),
      ...(intent.idempotency !== undefined && { idempotencyKey: intent.idempotency.id }),
    };
  }

  /** What both ways have in common: who pays, how the operation is found again, and which refund is the latest. */
  function movement(operation: SendOperation, intent: OpenSend): Pick<Movement, 'i' | 'a' | 's' | 'r'> {
    const { id, purpose } = operation;
    return {
      i: id,
      ...accountField(operation),
      ...(purpose !== 'withdraw' && { s: { lastRefund: id } }),
      r: {
        ...operationRows(store, operation),
        ...rememberedRows(store, intent.idempotency, { operation: id }),
      },
    };
  }

  function issue(intent: OpenSend, units: number, token: StoredProof[]): SendOutcome {
    const debit = unitToMsat(units, intent.unit);
    const operation: SendOperation = { ...begin(intent, units, debit), state: 'done', token };
    const common = movement(operation, intent);
    const durable = store.commit({
      k: 'send-done',
      ...common,
      p: { ...payer(operation, minus(debit)), [proofsAccount(intent.mint, intent.unit)]: minus(debit) },
      r: { ...common.r, ...noProofRows(token) },
    });
    return { outcome: 'issued', operation, durable };
  }

  function startSwap(intent: OpenSend, units: number, available: Msat): SendOutcome {
    const feeOf = (inputs: readonly StoredProof[]): number =>
      Math.ceil(inputs.reduce((sum, proof) => sum + intent.feePpk(proof.keyset), 0) / 1000);
    // All that a mint has leaves nothing beside it for the mint's fee.
    const takesAll = intent.amount === 'all' || intent.partial === true;
    const inputs = books.pool.pickCover(
      intent,
      (picked) => units + (takesAll ? 0 : feeOf(picked)) - faceOf(picked),
    );
    if (inputs === undefined) {
      const have = books.pool.most(intent, LIMITS.ledger.swapInputsMax);
      return { outcome: 'no-proofs', have, inFlight: inFlight(store, intent) };
    }
    const fee = feeOf(inputs);
    const face = takesAll ? units - fee : units;
    const debit = unitToMsat(face + fee, intent.unit);
    if (face <= 0 || debit > available) return { outcome: 'insufficient', available };
    return swap(intent, { inputs, fee, face, debit });
  }

  function swap(
    intent: OpenSend,
    choice: { inputs: StoredProof[]; fee: number; face: number; debit: Msat },
  ): SendOutcome {
    const { inputs, fee, face, debit } = choice;
    const kept = faceOf(inputs) - face - fee;
    const sent = powersOfTwo(face);
    const outputs = [...sent, ...(kept > 0 ? intent.split(kept) : [])];
    invariant(
      outputs.reduce((sum, amount) => sum + amount, fee) === faceOf(inputs),
      'a swap keeps its value',
    );
    const { plan, rows } = reserveCounters(store, intent.keyset, outputs);
    const operation: SendOperation = {
      ...begin(intent, face, debit),
      swap: { inputs, fee, plan, sendCount: sent.length },
    };
    const value = unitToMsat(faceOf(inputs), intent.unit);
    const common = movement(operation, intent);
    const durable = store.commit({
      k: 'send-open',
      ...common,
      p: {
        ...payer(operation, minus(debit)),
        owed: debit,
        [proofsAccount(intent.mint, intent.unit)]: minus(value),
        inflight: value,
      },
      r: { ...common.r, ...rows, ...noProofRows(inputs) },
    });
    return { outcome: 'swap', operation, durable };
  }

  return {
    openSend: (intent) => {
      const before = replayed(intent);
      if (before !== undefined) return before;
      invariant(
        (intent.purpose === 'withdraw') === (intent.account === (OPERATOR as AccountId)),
        'only the operator withdraws',
      );
      const available = availableTo(intent);
      // What a request of a one-shot payment still holds would become a change of its own, and only one can be claimed.
      if (intent.purpose === 'change' && (store.account(intent.account)?.held ?? 0) > 0)
        return { outcome: 'insufficient', available };
      const units = intent.amount === 'all' ? msatToUnitFloor(available, intent.unit) : intent.amount;
      invariant(Number.isSafeInteger(units), 'a token has a whole amount');
      if (units <= 0 || unitToMsat(units, intent.unit) > available)
        return { outcome: 'insufficient', available };
      const exact = books.pool.pickExact(intent, units, intent.account);
      const outcome = exact ? issue(intent, units, exact) : startSwap(intent, units, available);
      if ('operation' in outcome) books.pool.free(intent.account);
      return outcome;
    },
  };
}
