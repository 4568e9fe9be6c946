/** Operations: rows they share, lookups, and the ends that are not success. */
import { invariant } from '../base/error.ts';
import type { OperationId } from '../base/id.ts';
import { type Msat, msat, unitToMsat } from '../base/money.ts';
import type { OutputPlan, StoredProof } from '../base/proof.ts';
import type { Unfinished } from './books.ts';
import type { Entry, Movement, RowChanges } from './journal.ts';
import type { Ledger, Operation, SendOperation } from './ledger.ts';
import type { MeltOperation } from './lightning.ts';
import { type PoolProof, type Shelf, proofKey } from './pool.ts';
import { type Postings, minus, proofsAccount } from './postings.ts';
import type { Store } from './store.ts';

type Operations = Pick<
  Ledger,
  | 'operation'
  | 'operationOfText'
  | 'failOperation'
  | 'blockOperation'
  | 'retryOperation'
  | 'unfinished'
  | 'nextCounter'
  | 'skipCounters'
  | 'pooled'
  | 'proofs'
>;

/** Stands in for an account where the operator takes his own money out. */
export const OPERATOR = 'operator';

export function createOperations(store: Store): Operations {
  const { books } = store;

  return {
    operation: (id) => store.operation(id),
    operationOfText: (textHash) => {
      const id = store.row(`x!${textHash}`) as OperationId | undefined;
      const operation = id && store.operation(id);
      return operation?.kind === 'receive' ? operation : undefined;
    },
    failOperation: (id, reason) => {
      const operation = existing(store, id);
      if (operation.state === 'done' || operation.state === 'failed') return { durable: store.flushed() };
      const failed: Operation = { ...operation, state: 'failed', reason };
      // Whoever presents the token anew brings its proofs along; until then they are only a burden.
      if (failed.kind === 'receive') delete failed.inputs;
      const back =
        operation.kind === 'send' || operation.kind === 'melt' ? giveBack(store, operation) : { p: {} };
      const r = { ...back.r, ...operationRows(store, failed) };
      return { durable: store.commit({ k: 'fail', i: id, ...back, r }) };
    },
    blockOperation: (id, reason) => {
      const operation = existing(store, id);
      if (operation.state !== 'executing') return { durable: store.flushed() };
      const r = operationRows(store, { ...operation, state: 'blocked', reason });
      return { durable: store.commit({ k: 'block', i: id, p: {}, r }) };
    },
    retryOperation: (id) => {
      const { reason: _reason, ...operation } = existing(store, id);
      if (operation.state !== 'blocked') return { retried: false, durable: store.flushed() };
      const r = operationRows(store, { ...operation, state: 'executing' });
      return { retried: true, durable: store.commit({ k: 'retry', i: id, p: {}, r }) };
    },
    unfinished: () => {
      store.guard();
      return [...books.unfinished]
        .sort(([, a], [, b]) => a.since - b.since)
        .map(([id]) => existing(store, id));
    },
    nextCounter: (keyset) => nextCounter(store, keyset),
    skipCounters: (keyset, next) => {
      store.guard();
      if (next <= nextCounter(store, keyset)) return { durable: store.flushed() };
      return { durable: store.commit({ k: 'value', i: keyset, p: {}, r: { [`k!${keyset}`]: next } }) };
    },
    pooled: (shelf) => {
      store.guard();
      return { amount: books.pool.sum(shelf), count: books.pool.count(shelf) };
    },
    proofs: () => {
      store.guard();
      return [...books.pool.all()].map(({ mint, unit, ...proof }) => ({ mint, unit, proof }));
    },
  };
}

export function existing(store: Store, id: OperationId): Operation {
  const operation = store.operation(id);
  invariant(operation !== undefined, 'an operation is opened before it goes on');
  return operation;
}

/** Unfinished operations of some kinds. Invoices that wait for weeks are passed over unread, however many there are. */
export function* unfinishedOf<K extends Operation['kind']>(
  store: Store,
  ...kinds: K[]
): Generator<Extract<Operation, { kind: K }>> {
  const isWanted = (kind: Operation['kind']): kind is K => kinds.includes(kind as K);
  for (const [id, { kind }] of store.books.unfinished) {
    if (kind !== undefined && !isWanted(kind)) continue;
    const operation = existing(store, id);
    if (isWanted(operation.kind)) yield operation as Extract<Operation, { kind: K }>;
  }
}

/** The operation of this id, known to be of this kind. */
export function operationOfKind<K extends Operation['kind']>(
  store: Store,
  id: OperationId,
  kind: K,
): Extract<Operation, { kind: K }> {
  const operation = existing(store, id);
  invariant(operation.kind === kind, `a ${kind} operation keeps its kind`);
  return operation as Extract<Operation, { kind: K }>;
}

/** The operation's own row, and the index of those that are not finished. */
export function operationRows(store: Store, operation: Operation): RowChanges {
  const key = `u!${operation.id}`;
  const known = store.books.unfinished.get(operation.id);
  const rows: RowChanges = { [`o!${operation.id}`]: operation };
  if (operation.state === 'executing' || operation.state === 'blocked') {
    const { state, kind } = operation;
    const row: Unfinished = { state, kind, since: known?.since ?? store.books.sequence() + 1 };
    rows[key] = row;
  } else if (known !== undefined) {
    rows[key] = null;
  }
  return rows;
}

const nextCounter = (store: Store, keyset: string): number =>
  (store.row(`k!${keyset}`) as number | undefined) ?? 0;

/** Takes numbers that were never used and, because they are in the entry, never will be again (NUT-13). */
export function reserveCounters(
  store: Store,
  keyset: string,
  amounts: number[],
): { plan: OutputPlan; rows: RowChanges } {
  const counter = nextCounter(store, keyset);
  return { plan: { keyset, counter, amounts }, rows: { [`k!${keyset}`]: counter + amounts.length } };
}

export const isSamePlan = (one: OutputPlan, other: OutputPlan): boolean =>
  one.keyset === other.keyset && one.counter === other.counter && one.amounts.join() === other.amounts.join();

/** Proofs that follow from a plan and the mint's signatures on it. */
export function signedProofs(plan: OutputPlan, blindSignatures: readonly string[]): StoredProof[] {
  invariant(blindSignatures.length === plan.amounts.length, 'the mint signed every output of the plan');
  return plan.amounts.map((amount, i) => ({
    keyset: plan.keyset,
    counter: plan.counter + i,
    amount,
    blindSignature: blindSignatures[i] ?? '',
  }));
}

export const proofRows = (shelf: Shelf, proofs: readonly StoredProof[]): RowChanges =>
  Object.fromEntries(
    proofs.map((proof) => {
      const row: PoolProof = { mint: shelf.mint, unit: shelf.unit, ...proof };
      return [proofKey(proof), row];
    }),
  );
export const noProofRows = (proofs: readonly StoredProof[]): RowChanges =>
  Object.fromEntries(proofs.map((proof) => [proofKey(proof), null]));

export const faceOf = (proofs: readonly StoredProof[]): number =>
  proofs.reduce((sum, { amount }) => sum + amount, 0);

/** Who pays for a token: an account, or the operator out of his earnings; a rotation costs its fee. */
export function payer(
  { purpose, unearned = 0 }: { purpose: string; unearned?: number },
  delta: number,
): Postings {
  if (purpose === 'rotate') {
    const apart = Math.min(unearned, delta);
    return { mint_fees: delta - apart, keyset_fees: apart };
  }
  return purpose === 'withdraw' ? { payouts: delta } : { avail: delta };
}
export const accountField = (operation: Pick<Operation, 'account'> & { purpose: string }): { a?: string } =>
  operation.purpose === 'withdraw' || operation.purpose === 'rotate' ? {} : { a: operation.account };

/** Our proofs that are at a mint and may come back. */
export const inputsOf = (operation: Operation): StoredProof[] => {
  if (operation.kind === 'send') return operation.swap?.inputs ?? [];
  return operation.kind === 'melt' ? (operation.spend?.inputs ?? []) : [];
};

/** Our proofs of a shelf that are in swaps and melts and will come out by themselves, in its unit. */
export function inFlight(store: Store, { mint, unit }: Shelf): number {
  let sum = 0;
  for (const operation of unfinishedOf(store, 'send', 'melt')) {
    // What an operator has to decide about is nothing to wait for.
    if (operation.state === 'blocked') continue;
    if (operation.mint === mint && operation.unit === unit) sum += faceOf(inputsOf(operation));
  }
  return sum;
}

/** What was earned and not taken out: fees and losses of the node are not the operator's to take. */
export function earned({ books }: Store): Msat {
  const balance = (name: string): number => books.balances.get(name) ?? 0;
  const burden = ['mint_fees', 'keyset_fees', 'losses'].reduce(
    (sum, name) => sum + Math.min(0, balance(name)),
    0,
  );
  return msat(Math.max(0, balance('revenue') + balance('payouts') + burden));
}

/** A refund that failed is not the account's latest. */
export const forgetRefund = (
  store: Store,
  { id, account, purpose }: SendOperation | MeltOperation,
): Pick<Entry, 's'> =>
  purpose !== 'withdraw' && store.account(account)?.lastRefund === id ? { s: { lastRefund: null } } : {};

/** Undoes the intent of a swap or melt that never happened: inputs into the pool, money to whoever paid. */
function giveBack(
  store: Store,
  operation: SendOperation | MeltOperation,
): Pick<Movement, 'a' | 'p' | 'r' | 's'> {
  const inputs = inputsOf(operation);
  const value = unitToMsat(faceOf(inputs), operation.unit);
  return {
    ...accountField(operation),
    ...forgetRefund(store, operation),
    p: {
      ...payer(operation, operation.debit),
      owed: minus(operation.debit),
      inflight: minus(value),
      [proofsAccount(operation.mint, operation.unit)]: value,
    },
    r: proofRows(operation, inputs),
  };
}
