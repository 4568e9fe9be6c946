/** Melts: money that leaves over Lightning, to a Lightning address: refunds of accounts, payouts of the operator. */
import { NodeError } from '../base/error.ts';
import { type AccountId, type OperationId, newOperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { type Msat, ZERO, fromSat, msatPerUnit, satFloor, sub, unitToMsat } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { Idempotency } from '../ledger/idempotency.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { MeltOperation, MeltOpenOutcome } from '../ledger/lightning.ts';
import type { Invoice, MeltQuote } from '../wallet/lightning.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { Driver } from './drive.ts';
import { keyReused } from './idempotency.ts';
import { createRateLimit } from './key-rate.ts';
import {
  MINT_TROUBLE,
  afterReserve,
  endOfMelt,
  inProgress,
  stillHeld,
  tooMuch,
  tooSmall,
} from './melt-end.ts';
import { createMeltStep } from './melt-step.ts';
import { createQuoteWatch } from './quote-watch.ts';
import { type Shelf, noMint, richestShelves } from './shelves.ts';

export interface MeltOrder {
  /** `operator` for a payout. */
  account: AccountId;
  purpose: MeltOperation['purpose'];
  recipient: string;
  /** In sat; `all` is as much as the fees leave. */
  asked: number | 'all';
  idempotency?: Idempotency | undefined;
}

/** Paid, or what a payment would be. */
export interface Remitted {
  operation: MeltOperation;
  replayed: boolean;
}
export interface MeltPreview {
  mint: string;
  amountSats: number;
  feeReserveMsat: Msat;
}

export interface Melts {
  /**
   * Pays and waits as long as a client can wait. The same call again is the same payment. Throws NodeError
   * invalid_address, address_unreachable, insufficient_balance, refund_too_small, operation_in_progress,
   * idempotency_key_reused, payment_failed (everything is back), refund_pending (on its way), mint_unreachable.
   */
  pay: (order: MeltOrder) => Promise<Remitted>;
  /** Asks for an invoice and a quote and moves nothing. */
  preview: (order: MeltOrder) => Promise<MeltPreview>;
  /** How an earlier payment ended. Throws like `pay` while it did not end well. */
  again: (id: OperationId) => Promise<Remitted>;
  resume: (operation: MeltOperation) => void;
}

export function createMelts(parts: {
  ledger: Ledger;
  wallet: Wallet;
  driver: Driver;
  clock: Clock;
  log: Logger;
}): Melts {
  const { ledger, wallet, driver, clock, log } = parts;
  const { lightning } = wallet;
  const watch = createQuoteWatch({ wallet, driver });
  const refunds = createRateLimit({
    perMinute: LIMITS.melt.refundsPerMinute,
    burst: LIMITS.melt.refundsBurst,
    refusal: 'Too many Lightning refunds of this account were asked for; ask again in a moment.',
    clock,
  });
  const step = createMeltStep({ ledger, wallet, watch, clock, log });

  const resume = ({ id }: Pick<MeltOperation, 'id'>): void =>
    driver.run(id, async () => {
      await ledger.flushed();
      return step(id, false);
    });

  const endOf = async (id: OperationId, replayed: boolean): Promise<Remitted> => {
    if (ledger.operation(id)?.state === 'executing') resume({ id });
    await driver.wait(id, LIMITS.mint.clientWaitMs);
    return { operation: await endOfMelt(ledger, id), replayed };
  };

  const availableTo = ({ purpose, account }: MeltOrder): Msat =>
    purpose === 'withdraw' ? ledger.earned() : (ledger.account(account)?.available ?? ZERO);

  /** An account's own mint first; for the operator, where most of the ecash is. */
  const shelves = ({ account, purpose }: MeltOrder): Shelf[] =>
    richestShelves(ledger, wallet, purpose === 'withdraw' ? undefined : ledger.account(account));

  /** Without an Idempotency-Key, which the ledger knows again: what this very call has begun in the last minutes. */
  function sameCall(order: MeltOrder): MeltOperation | undefined {
    const { account, asked, recipient, idempotency } = order;
    if (idempotency !== undefined) return undefined;
    const last = ledger.account(account)?.lastRefund;
    const operation = last === undefined ? undefined : ledger.operation(last);
    if (operation?.kind !== 'melt' || operation.state === 'failed') return undefined;
    const isRecent = unixSeconds(clock) < (operation.paidAt ?? Infinity) + LIMITS.melt.sameCallSeconds;
    const isSame = operation.asked === asked && operation.recipient === recipient;
    return isSame && isRecent && operation.idempotencyKey === undefined ? operation : undefined;
  }

  interface Try {
    sats: number;
    shelf: Shelf;
    invoice: Invoice;
    quote: MeltQuote;
  }

  async function ask(recipient: string, shelf: Shelf, sats: number): Promise<Try> {
    const invoice = await lightning.invoiceOf(recipient, fromSat(sats));
    const quote = await lightning.meltQuote({ ...shelf, invoice });
    return { sats, shelf, invoice, quote };
  }

  async function open(order: MeltOrder, { shelf, invoice, quote }: Try): Promise<MeltOpenOutcome> {
    const { account, purpose, recipient, asked, idempotency } = order;
    const { keyset, feePpk } = await wallet.activeKeyset(shelf.mint, shelf.unit);
    // In one turn with the intent: a call that ended while this one was asking around is found.
    const same = sameCall(order);
    if (same) return { outcome: 'replayed', operation: same, durable: Promise.resolve() };
    if (purpose === 'expiry' && (ledger.account(account)?.held ?? ZERO) > ZERO) throw stillHeld();
    const opened = ledger.openMelt({
      id: newOperationId(),
      account,
      purpose,
      ...shelf,
      recipient,
      invoice: invoice.text,
      paymentHash: invoice.paymentHash,
      quote: quote.quote,
      asked,
      amount: quote.amount,
      feeReserve: quote.feeReserve,
      expiresAt: quote.expiresAt,
      ...(idempotency && { idempotency }),
      feePpk,
      keyset,
    });
    // From this very turn on, so that nobody finds it with nobody behind it.
    if (opened.outcome === 'opened')
      driver.run(opened.operation.id, async (attempt) => {
        await opened.durable;
        return step(opened.operation.id, attempt === 0);
      });
    return opened;
  }

  /** `all` shrinks by what the fees turn out to take; undefined when nothing is left to send. */
  function first(order: MeltOrder): number {
    if (order.asked !== 'all') return order.asked;
    return afterReserve(satFloor(availableTo(order)));
  }

  /** Before anybody is asked for an invoice. A payment that is under way has taken its part, and is told by `open`. */
  function requireFunds(order: MeltOrder): void {
    const { asked, account } = order;
    const available = availableTo(order);
    if (asked === 'all' || asked <= satFloor(available)) return;
    const last = ledger.account(account)?.lastRefund;
    if (last !== undefined && ledger.operation(last)?.state === 'executing') return;
    throw tooMuch(available, asked * 1000);
  }

  async function openSomewhere(order: MeltOrder): Promise<MeltOpenOutcome> {
    requireFunds(order);
    if (order.purpose === 'refund') refunds.admit(order.account);
    let sats = first(order);
    let outcome: MeltOpenOutcome | undefined;
    let failure: NodeError | undefined;
    const places = shelves(order);
    for (let at = 0, tries = 0; at < places.length && tries < LIMITS.melt.quotesMax; tries++) {
      const shelf = places[at];
      if (shelf === undefined) break;
      if (sats < 1) throw tooSmall();
      try {
        outcome = await open(order, await ask(order.recipient, shelf, sats));
      } catch (error) {
        if (!(error instanceof NodeError) || !MINT_TROUBLE.has(error.code)) throw error;
        log.warn('gateway.melt.mint_away', { mint: shelf.mint, error: errorKind(error) });
        // What was found before is no answer any more: with another quote it might have been enough.
        outcome = undefined;
        failure = error;
        at += 1;
        continue;
      }
      if (outcome.outcome === 'insufficient' && order.asked === 'all') {
        sats -= Math.max(1, Math.ceil(sub(outcome.needed, outcome.available) / 1000));
      } else if (outcome.outcome === 'no-proofs') {
        const isLast = at === places.length - 1;
        if (order.asked === 'all' && isLast && outcome.inFlight === 0)
          sats -= Math.ceil(unitToMsat(outcome.short, shelf.unit) / 1000);
        else at += 1;
      } else return outcome;
    }
    if (outcome !== undefined) return outcome;
    throw failure ?? noMint(wallet, 'can pay');
  }

  return {
    pay: async (order) => {
      const same = sameCall(order);
      if (same) return endOf(same.id, true);
      const opened = await openSomewhere(order);
      switch (opened.outcome) {
        case 'opened':
          return endOf(opened.operation.id, false);
        case 'replayed':
          return endOf(opened.operation.id, true);
        case 'live': {
          const { operation } = opened;
          const isSame = operation.asked === order.asked && operation.recipient === order.recipient;
          if (isSame && order.idempotency?.id === operation.idempotencyKey) return endOf(operation.id, true);
          throw inProgress(operation.id);
        }
        case 'taken':
          throw new NodeError(
            'invalid_address',
            'The Lightning address gave an invoice that was used before.',
          );
        case 'foreign':
          throw keyReused();
        case 'insufficient':
          throw order.asked === 'all' ? tooSmall() : tooMuch(opened.available, opened.needed);
        case 'no-proofs':
          log.error('gateway.melt.no_proofs', { purpose: order.purpose, have: opened.have });
          throw new NodeError(
            'mint_unreachable',
            'The node holds too little ecash at one mint. Try again later.',
          );
      }
    },

    preview: async (order) => {
      const [shelf] = shelves(order);
      const sats = first(order);
      if (shelf === undefined || sats < 1) throw tooSmall();
      requireFunds(order);
      const { quote } = await ask(order.recipient, shelf, sats);
      const feeReserveMsat = unitToMsat(quote.feeReserve, shelf.unit);
      const needed = unitToMsat(quote.amount + quote.feeReserve, shelf.unit);
      if (order.asked !== 'all' && needed > availableTo(order)) throw tooMuch(availableTo(order), needed);
      return {
        mint: shelf.mint,
        amountSats: (quote.amount * msatPerUnit(shelf.unit)) / 1000,
        feeReserveMsat,
      };
    },

    again: (id) => endOf(id, true),
    resume,
  };
}
