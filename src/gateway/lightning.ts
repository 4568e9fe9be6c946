/** Lightning use cases of both faces: top-ups by invoice, refunds to an address, payouts of the operator. */
import { NodeError } from '../base/error.ts';
import type { AccountId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { ZERO, fromSat } from '../base/money.ts';
import type { Clock } from '../base/time.ts';
import type { Idempotency } from '../ledger/idempotency.ts';
import type { Ledger, Operation } from '../ledger/ledger.ts';
import { nothingToRefund, refundBusy } from './account-refusal.ts';
import { type Once, type RequestKey, idempotencyOf } from './idempotency.ts';
import type { InvoiceMade, InvoiceRequest, Invoices } from './invoice.ts';
import type { Melts, Remitted } from './melt.ts';
import type { Payers } from './payer.ts';

/** Where earnings go by themselves. */
export interface PayoutRule {
  lightningAddress: string;
  thresholdSats: number;
}

export interface Lightning extends Pick<Invoices, 'status' | 'recover'> {
  /** Throws what `Invoices.create` throws, and invalid_api_key for a top-up of an unknown key. */
  invoice: (request: Omit<InvoiceRequest, 'account'>) => Promise<InvoiceMade>;
  /**
   * Refund to a Lightning address: the given one, or the one that the account was created with. Undefined when there
   * is none, or `null` says so, or this very request made a token before: then the refund is a token. Throws what
   * `Melts.pay` and `Once.run` throw, refund_busy and nothing_to_refund.
   */
  refundTo: (
    account: AccountId,
    how: {
      address: string | null | undefined;
      amountSats: number | undefined;
    },
    given?: RequestKey,
  ) => Promise<Remitted | undefined>;
}

/** What the operator's earnings are booked under where an account would stand. */
export const OPERATOR_ACCOUNT = 'operator' as AccountId;

export function createLightning(parts: {
  ledger: Ledger;
  invoices: Invoices;
  melts: Melts;
  payers: Payers;
  once: Once;
}): Lightning {
  const { ledger, invoices, melts, payers, once } = parts;
  /** A child key has no money of its own: what it brings is its parent's. */
  const purseOf = (id: AccountId): AccountId => ledger.account(id)?.parent ?? id;
  /** What the same Idempotency-Key has led to, and did not give back. */
  function before(id: AccountId, given: RequestKey | undefined): Operation | undefined {
    const known = given && ledger.remembered(idempotencyOf(id, given).id)?.operation;
    const operation = known && ledger.operation(known);
    return operation?.state === 'failed' ? undefined : operation;
  }

  async function pay(
    id: AccountId,
    recipient: string,
    amountSats: number | undefined,
    idempotency: Idempotency | undefined,
  ): Promise<Remitted> {
    const account = ledger.account(id);
    if (account === undefined || account.held > ZERO) throw refundBusy();
    const isKnown = account.lastRefund !== undefined || idempotency !== undefined;
    if (!isKnown && account.available === ZERO) throw nothingToRefund();
    try {
      const asked = amountSats ?? 'all';
      return await melts.pay({ account: id, purpose: 'refund', recipient, asked, idempotency });
    } catch (error) {
      const isEmpty = ledger.account(id)?.available === ZERO;
      if (error instanceof NodeError && error.code === 'refund_too_small' && isEmpty) throw nothingToRefund();
      throw error;
    }
  }

  return {
    status: invoices.status,
    recover: invoices.recover,
    invoice: (request) =>
      invoices.create({
        ...request,
        ...(request.to && { account: purseOf(payers.known(request.to)) }),
      }),
    refundTo: async (id, { address, amountSats }, given) => {
      const stored = ledger.account(id)?.refundAddress;
      const wanted = address === undefined && isAddress(stored) ? stored : address;
      const recipient = wanted?.trim().toLowerCase();
      const known = before(id, given);
      // The other way of paying out: it answers for its key, and refuses it for another request.
      if (known?.kind === 'send' || (recipient === undefined && known === undefined)) return undefined;
      const act = (idempotency?: Idempotency) => pay(id, recipient ?? '', amountSats, idempotency);
      const again = () => known && melts.again(known.id);
      return once.run<Remitted>(id, given, act, again);
    },
  };
}

/** Compares earnings with the threshold now and then; a failure waits for the next time. */
export async function payOutEarnings(parts: {
  ledger: Ledger;
  melts: Melts;
  rule: PayoutRule;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { ledger, melts, rule, clock, log, signal } = parts;
  while (!signal.aborted) {
    await clock.sleep(LIMITS.melt.payoutCheckMs, signal);
    if (signal.aborted) return;
    try {
      if (ledger.earned() < fromSat(rule.thresholdSats)) continue;
      const { operation } = await melts.pay({
        account: OPERATOR_ACCOUNT,
        purpose: 'withdraw',
        recipient: rule.lightningAddress,
        asked: 'all',
      });
      log.info('gateway.payout.paid', {
        operation: operation.id,
        amount: operation.amount,
        unit: operation.unit,
      });
    } catch (error) {
      log.warn('gateway.payout.failed', {
        error: error instanceof NodeError ? error.code : errorKind(error),
      });
    }
  }
}

const isAddress = (text: string | undefined): text is string =>
  text !== undefined && /^([^\s@]+@[^\s@]+|(lightning:)?lnurl1[a-z0-9]+)$/i.test(text);
