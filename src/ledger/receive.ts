/** Receive: a presented token on its way to proofs of our own and a credit. */
import { invariant } from '../base/error.ts';
import type { AccountId, OperationId } from '../base/id.ts';
import { msatPerUnit, unitToMsat } from '../base/money.ts';
import type { OutputPlan } from '../base/proof.ts';
import { unixSeconds } from '../base/time.ts';
import { termFields } from './accounts.ts';
import { expiryRows } from './expiry.ts';
import { rememberedRows } from './idempotency.ts';
import type { Entry, RowChanges } from './journal.ts';
import type { Account, Ledger, OpenReceive, OpenReceiveOutcome, ReceiveOperation } from './ledger.ts';
import {
  OPERATOR,
  faceOf,
  operationOfKind,
  operationRows,
  proofRows,
  reserveCounters,
  signedProofs,
} from './operations.ts';
import { proofsAccount } from './postings.ts';
import type { Store } from './store.ts';

type Receive = Pick<Ledger, 'openReceive' | 'replanReceive' | 'completeReceive'>;

/** A token with this reason is gone for good; with any other it still belongs to its presenter. */
const SPENT = 'token_already_spent';

export function createReceive(store: Store): Receive {
  function open(intent: OpenReceive): OpenReceiveOutcome {
    invariant(store.operation(intent.id) === undefined, 'an operation id is used once');
    const { plan, rows } = reserveCounters(store, intent.keyset, intent.amounts);
    const operation: ReceiveOperation = {
      id: intent.id,
      kind: 'receive',
      state: 'executing',
      mint: intent.mint,
      unit: intent.unit,
      account: intent.account,
      createdAt: unixSeconds(store.clock),
      textHash: intent.textHash,
      claims: intent.claims,
      inputs: intent.inputs,
      fee: intent.fee,
      plan,
      purpose: intent.purpose,
    };
    const claims: RowChanges = Object.fromEntries(intent.claims.map((claim) => [`y!${claim}`, intent.id]));
    const isNew = intent.purpose !== 'equity' && store.account(intent.account) === undefined;
    const s = isNew ? newAccount(store, intent) : undefined;
    const r = {
      ...rows,
      ...claims,
      [`x!${intent.textHash}`]: intent.id,
      ...operationRows(store, operation),
      ...rememberedRows(store, intent.idempotency, { operation: intent.id }),
      ...(s && expiryRows({ id: intent.account, ...intent.terms })),
    };
    const durable = store.commit({
      k: 'receive-open',
      i: intent.id,
      ...(intent.purpose !== 'equity' && { a: intent.account }),
      p: {},
      ...(s && { s }),
      r,
    });
    return { outcome: 'opened', operation, durable };
  }

  function reopen(refused: ReceiveOperation, intent: OpenReceive): OpenReceiveOutcome {
    const { reason: _reason, ...rest } = refused;
    const again: ReceiveOperation = {
      ...rest,
      state: 'executing',
      inputs: intent.inputs,
      purpose: intent.purpose,
    };
    const memory = rememberedRows(store, intent.idempotency, { operation: refused.id });
    const { operation, durable } = replan(again, intent, memory);
    return { outcome: 'opened', operation, durable };
  }

  function replan(
    from: ReceiveOperation,
    plan: { keyset: string; amounts: number[]; fee: number },
    memory: RowChanges = {},
  ) {
    const reserved = reserveCounters(store, plan.keyset, plan.amounts);
    const oldPlans = [...(from.oldPlans ?? []), from.plan];
    const operation: ReceiveOperation = { ...from, fee: plan.fee, plan: reserved.plan, oldPlans };
    const r = { ...reserved.rows, ...operationRows(store, operation), ...memory };
    return { operation, durable: store.commit({ k: 'receive-replan', i: from.id, p: {}, r }) };
  }

  return {
    openReceive: (intent) => {
      store.guard();
      invariant(new Set(intent.claims).size === intent.claims.length, 'claims are distinct');
      invariant(
        (intent.purpose === 'equity') === (intent.account === (OPERATOR as AccountId)),
        "equity is the operator's",
      );
      invariant(
        intent.claims.length > 0 && intent.amounts.length > 0,
        'a token has proofs and a plan has outputs',
      );
      const owners = intent.claims.map((claim) => store.row(`y!${claim}`) as OperationId | undefined);
      const first = owners.find((owner) => owner !== undefined);
      if (first === undefined) return open(intent);
      const operation = operationOfKind(store, first, 'receive');
      if (!isSame(operation, intent, owners)) return { outcome: 'foreign', operation };
      if (operation.state === 'failed' && operation.reason !== SPENT) return reopen(operation, intent);
      return { outcome: 'replayed', operation, durable: store.flushed() };
    },
    replanReceive: (id, plan) => {
      const operation = operationOfKind(store, id, 'receive');
      invariant(operation.state === 'executing', 'only an executing operation is planned anew');
      return replan(operation, plan);
    },
    completeReceive: (id, blindSignatures, plan) => {
      const operation = operationOfKind(store, id, 'receive');
      if (operation.state === 'done') return { durable: store.flushed() };
      invariant(isPlanOf(operation, plan), 'the signatures belong to a plan of this operation');
      const proofs = signedProofs(plan, blindSignatures);
      const credit = unitToMsat(faceOf(proofs), operation.unit);
      const { inputs: _inputs, reason: _reason, ...rest } = operation;
      const done: ReceiveOperation = { ...rest, state: 'done', plan };
      const account = store.account(operation.account);
      const shelf = proofsAccount(operation.mint, operation.unit);
      const durable = store.commit({
        k: 'receive-done',
        i: id,
        ...(operation.purpose === 'equity'
          ? { p: { payouts: credit, [shelf]: credit } }
          : {
              a: operation.account,
              p: { avail: credit, [shelf]: credit },
              s: newMoney(account, operation),
            }),
        r: { ...proofRows(operation, proofs), ...operationRows(store, done), ...expiryRows(account) },
      });
      if (account?.kind === 'token') store.books.pool.setAside(operation.account, proofs);
      return { durable };
    },
  };
}

/** All proofs and nothing else, in the same text, for the same beneficiary: this very payment. */
const isSame = (
  operation: ReceiveOperation,
  intent: OpenReceive,
  owners: (OperationId | undefined)[],
): boolean =>
  owners.every((owner) => owner === operation.id) &&
  owners.length === operation.claims.length &&
  operation.textHash === intent.textHash &&
  operation.account === intent.account;

const isPlanOf = (operation: ReceiveOperation, plan: OutputPlan): boolean =>
  [operation.plan, ...(operation.oldPlans ?? [])].some(
    ({ keyset, counter, amounts }) =>
      keyset === plan.keyset && counter === plan.counter && amounts.join() === plan.amounts.join(),
  );

const newAccount = (
  store: Store,
  { accountKind, mint, unit, terms }: OpenReceive,
): NonNullable<Entry['s']> => ({
  kind: accountKind,
  createdAt: unixSeconds(store.clock),
  mint,
  unit,
  ...termFields(terms ?? {}),
});

/**
 * New money ends the replay of the last refund. An account with nothing that could be paid out (a refund leaves less
 * than one unit behind) refunds from now on where this money came from.
 */
export function newMoney(
  account: Account | undefined,
  { mint, unit }: Pick<Account, 'mint' | 'unit'>,
): NonNullable<Entry['s']> {
  const empty = account !== undefined && account.available < msatPerUnit(account.unit) && account.held === 0;
  return { lastRefund: null, ...(empty && { mint, unit }) };
}
