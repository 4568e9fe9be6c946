/** Mint: a Lightning top-up from the invoice to proofs of our own and a credit. */
import { invariant } from '../base/error.ts';
import { type OperationId, sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { unitToMsat } from '../base/money.ts';
import type { OutputPlan } from '../base/proof.ts';
import { unixSeconds } from '../base/time.ts';
import type { Entry } from './journal.ts';
import { expiryRows } from './expiry.ts';
import type { LightningBooks, MintOperation } from './lightning.ts';
import {
  existing,
  faceOf,
  isSamePlan,
  operationOfKind,
  operationRows,
  proofRows,
  reserveCounters,
  signedProofs,
  unfinishedOf,
} from './operations.ts';
import { proofsAccount } from './postings.ts';
import { newMoney } from './receive.ts';
import type { Store } from './store.ts';

type Mint = Pick<
  LightningBooks,
  'hasMintRoom' | 'openMint' | 'planMint' | 'completeMint' | 'mintOfInvoice' | 'handOut'
>;

export function createMint(store: Store): Mint {
  let open: OperationId[] | undefined;

  /** Invoices whose shown end is to come. Sought among all once: unfinished ones past their end are kept for weeks. */
  function openInvoices(): OperationId[] {
    const now = unixSeconds(store.clock);
    open = (open ?? [...unfinishedOf(store, 'mint')].map(({ id }) => id)).filter((id) => {
      const operation = store.books.unfinished.has(id) ? existing(store, id) : undefined;
      return operation?.kind === 'mint' && operation.expiresAt > now;
    });
    return open;
  }

  const hasRoom = (invoices: readonly OperationId[]): boolean =>
    invoices.length < LIMITS.invoice.openMax && store.books.unfinished.size < LIMITS.invoice.unfinishedMax;

  return {
    hasMintRoom: () => {
      store.guard();
      return hasRoom(openInvoices());
    },

    openMint: (intent) => {
      store.guard();
      invariant(store.operation(intent.id) === undefined, 'an operation id is used once');
      invariant(Number.isSafeInteger(intent.amount) && intent.amount > 0, 'an invoice has a whole amount');
      const invoices = openInvoices();
      if (!hasRoom(invoices)) return { outcome: 'full' };
      invoices.push(intent.id);
      const operation: MintOperation = {
        ...intent,
        kind: 'mint',
        state: 'executing',
        createdAt: unixSeconds(store.clock),
      };
      const r = { ...operationRows(store, operation), [invoiceRow(intent.invoice)]: intent.id };
      return {
        outcome: 'opened',
        operation,
        durable: store.commit({ k: 'mint-open', i: intent.id, p: {}, r }),
      };
    },

    planMint: (id, { keyset, amounts }) => {
      const before = operationOfKind(store, id, 'mint');
      invariant(before.state === 'executing', 'only an executing operation is planned');
      invariant(
        amounts.reduce((sum, amount) => sum + amount, 0) === before.amount,
        'the outputs are worth what was paid',
      );
      const { plan, rows } = reserveCounters(store, keyset, amounts);
      const operation: MintOperation = {
        ...before,
        paidAt: before.paidAt ?? unixSeconds(store.clock),
        plan,
        ...(before.plan && { oldPlans: [...(before.oldPlans ?? []), before.plan] }),
      };
      const r = { ...rows, ...operationRows(store, operation) };
      return { operation, durable: store.commit({ k: 'mint-plan', i: id, p: {}, r }) };
    },

    completeMint: (id, blindSignatures, plan) => {
      const operation = operationOfKind(store, id, 'mint');
      if (operation.state === 'done') return { durable: store.flushed() };
      invariant(isPlanOf(operation, plan), 'the signatures belong to a plan of this operation');
      const proofs = signedProofs(plan, blindSignatures);
      const credit = unitToMsat(faceOf(proofs), operation.unit);
      const { reason: _reason, ...rest } = operation;
      const done: MintOperation = { ...rest, state: 'done', plan };
      const account = store.account(operation.account);
      const s = account === undefined ? newAccount(store, operation) : newMoney(account, operation);
      return {
        durable: store.commit({
          k: 'mint-done',
          i: id,
          a: operation.account,
          p: { avail: credit, [proofsAccount(operation.mint, operation.unit)]: credit },
          s,
          r: {
            ...proofRows(operation, proofs),
            ...operationRows(store, done),
            ...expiryRows(account ?? { id: operation.account, ...operation.terms }),
          },
        }),
      };
    },

    mintOfInvoice: (invoiceHash) => {
      const id = store.row(`b!${invoiceHash}`) as OperationId | undefined;
      return id === undefined ? undefined : operationOfKind(store, id, 'mint');
    },

    handOut: (id) => {
      const operation = operationOfKind(store, id, 'mint');
      if (operation.handedAt !== undefined) return { first: false, durable: store.flushed() };
      const handed: MintOperation = { ...operation, handedAt: unixSeconds(store.clock) };
      const r = operationRows(store, handed);
      return { first: true, durable: store.commit({ k: 'mint-handed', i: id, p: {}, r }) };
    },
  };
}

const invoiceRow = (invoice: string): string => `b!${sha256Hex(invoice.toLowerCase())}`;

const isPlanOf = (operation: MintOperation, plan: OutputPlan): boolean =>
  [operation.plan, ...(operation.oldPlans ?? [])].some(
    (known) => known !== undefined && isSamePlan(known, plan),
  );

function newAccount(store: Store, { mint, unit, terms }: MintOperation): NonNullable<Entry['s']> {
  const { refundAddress, validityDate, balanceLimit, balanceLimitReset } = terms ?? {};
  return {
    kind: 'key',
    createdAt: unixSeconds(store.clock),
    mint,
    unit,
    ...(refundAddress !== undefined && { refundAddress }),
    ...(validityDate !== undefined && { validityDate }),
    ...(balanceLimit !== undefined && { balanceLimit }),
    ...(balanceLimitReset !== undefined && { balanceLimitReset }),
  };
}
