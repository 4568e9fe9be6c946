/** Invoices: top-ups over Lightning. The node asks its mint by itself until it is paid, so no client has to poll. */
import { NodeError, invariant } from '../base/error.ts';
import { type AccountId, type OperationId, accountOfKey, newOperationId, sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { type Unit, msatPerUnit } from '../base/money.ts';
import type { Sealer } from '../base/seal.ts';
import { Secret } from '../base/secret.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { Account, Ledger } from '../ledger/ledger.ts';
import type { MintOperation, MintTerms } from '../ledger/lightning.ts';
import type { MintQuote } from '../wallet/lightning.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { Driver } from './drive.ts';
import { type InvoiceProof, type InvoiceStatus, createClaims, invoiceStatus } from './invoice-claim.ts';
import { createMintStep } from './invoice-step.ts';
import { createRateLimit } from './key-rate.ts';
import type { TopUpCredential } from './payer.ts';
import { createQuoteWatch } from './quote-watch.ts';
import type { Credential } from './request.ts';
import { noMint } from './shelves.ts';

export interface InvoiceRequest {
  /** A top-up goes to the account of this credential; without one a new key is made. */
  to?: TopUpCredential;
  account?: AccountId;
  amountSats: number;
  terms: MintTerms;
  /** sha256 of a secret that the client made itself: then nobody gets the key without it. */
  claimHash?: string;
  /** Network it came from, found out only where it makes a new account. */
  source?: Credential['source'];
}
export interface InvoiceMade {
  id: OperationId;
  invoice: string;
  amountSats: number;
  /** Unix seconds. */
  expiresAt: number;
  paymentHash: string;
  /** Proves who asked; absent where the client brought its own. */
  claimSecret?: Secret;
}

export interface Invoices {
  /** Throws NodeError invalid_amount, mint_unreachable, mint_rate_limited, mint_quarantined, overloaded, rate_limited. */
  create: (request: InvoiceRequest) => Promise<InvoiceMade>;
  /** Throws invoice_not_found. */
  status: (id: string, proof: InvoiceProof) => Promise<InvoiceStatus>;
  /** The same for a client that kept nothing but the invoice. */
  recover: (invoice: string, proof: InvoiceProof) => Promise<InvoiceStatus>;
  /** Takes up an operation found unfinished at start. */
  resume: (operation: MintOperation) => void;
}

export function createInvoices(parts: {
  ledger: Ledger;
  wallet: Wallet;
  sealer: Sealer;
  driver: Driver;
  keySecret: Secret<Uint8Array>;
  clock: Clock;
  log: Logger;
}): Invoices {
  const { ledger, wallet, sealer, driver, keySecret, clock, log } = parts;
  const claims = createClaims({ ledger, keySecret });
  const watchQuotes = createQuoteWatch({ wallet, driver });
  const step = createMintStep({ ledger, wallet, sealer, watch: watchQuotes, clock, log });

  const askers = createRateLimit({
    perMinute: LIMITS.invoice.sourcePerMinute,
    burst: LIMITS.invoice.sourceBurst,
    refusal: 'Too many invoices were asked for from here; ask again in a moment.',
    clock,
  });

  interface Shelf {
    mint: string;
    unit: Unit;
  }

  /** The account's own mint first, so that its refunds need no other; then in the operator's order. */
  function shelves(account: AccountId | undefined): Shelf[] {
    const own = account === undefined ? undefined : ledger.account(account);
    const offered = wallet.mints().filter((mint) => !mint.quarantined);
    const listed = offered.map(({ url, unit }) => ({ mint: url, unit }));
    const isOwn = (shelf: Shelf): boolean => shelf.mint === own?.mint && shelf.unit === own.unit;
    return [...listed.filter(isOwn), ...listed.filter((shelf) => !isOwn(shelf))];
  }

  /** Before a mint is asked: what its budget spends on quotes that nobody pays, swaps and payments lack. */
  function admit({ account, source }: InvoiceRequest): void {
    const asker = account !== undefined && hasPaid(ledger.account(account)) ? account : source?.();
    if (asker !== undefined) askers.admit(asker);
    if (!ledger.hasMintRoom()) throw overloaded();
  }

  async function quoteOf(
    id: OperationId,
    request: InvoiceRequest,
  ): Promise<{ quote: MintQuote; shelf: Shelf; amount: number }> {
    let refusal: unknown = noMint(wallet, 'makes invoices');
    for (const shelf of shelves(request.account)) {
      const amount = request.amountSats * (1000 / msatPerUnit(shelf.unit));
      try {
        return {
          quote: await wallet.lightning.mintQuote({ ...shelf, amount, lock: id }),
          shelf,
          amount,
        };
      } catch (error) {
        log.warn('gateway.invoice.refused', { mint: shelf.mint, error: errorKind(error) });
        if (!(error instanceof NodeError)) throw error;
        refusal = error;
      }
    }
    throw refusal;
  }

  function watch({ id }: MintOperation, opened: Promise<void> = Promise.resolve()): void {
    driver.run(id, async () => {
      await opened;
      return step.run(id);
    });
  }

  async function statusOf(operation: MintOperation, proof: InvoiceProof): Promise<InvoiceStatus> {
    // Done in memory may not be on disk yet, and a crash must not take back a key that somebody was told.
    if (operation.state === 'done' && operation.plan)
      await ledger.completeMint(operation.id, [], operation.plan).durable;
    const status = invoiceStatus(operation, unixSeconds(clock));
    const apiKey = status.status === 'paid' ? await claims.keyFor(operation, proof) : undefined;
    return { ...status, ...(apiKey && { apiKey }) };
  }

  return {
    create: async (request) => {
      admit(request);
      const id = newOperationId();
      const { quote, shelf, amount } = await quoteOf(id, request);
      const { account, terms, amountSats } = request;
      const claimSecret = request.claimHash === undefined ? claims.secretOf(id) : undefined;
      const opened = ledger.openMint({
        id,
        account: account ?? accountOfKey(claims.newKey(id)),
        purpose: account === undefined ? 'create' : 'topup',
        ...shelf,
        quote: sealer.seal(quote.quote, id),
        locked: quote.locked,
        invoice: quote.invoice.text,
        paymentHash: quote.invoice.paymentHash,
        amount,
        expiresAt: quote.expiresAt,
        payableUntil: quote.payableUntil,
        claimHash: request.claimHash ?? sha256Hex(claimSecret?.reveal() ?? ''),
        ...(claimSecret && { unproven: true }),
        ...(account === undefined && Object.keys(terms).length > 0 && { terms }),
      });
      if (opened.outcome === 'full') throw overloaded();
      // From this turn on: one that reaches the disk although its write failed is found when the ledger is back.
      watch(opened.operation, opened.durable);
      await opened.durable;
      return {
        id,
        invoice: quote.invoice.text,
        amountSats,
        expiresAt: quote.expiresAt,
        paymentHash: quote.invoice.paymentHash,
        ...(claimSecret && { claimSecret }),
      };
    },

    status: async (id, proof) => {
      const operation = ledger.operation(id as OperationId);
      if (operation?.kind !== 'mint') throw notFound();
      return statusOf(operation, proof);
    },

    recover: async (invoice, proof) => {
      const text = invoice
        .trim()
        .toLowerCase()
        .replace(/^lightning:/, '');
      const operation = ledger.mintOfInvoice(sha256Hex(text));
      if (operation === undefined) throw notFound();
      return statusOf(operation, proof);
    },

    resume: (operation) => {
      invariant(operation.state === 'executing', 'only what is not finished is taken up');
      watch(operation);
    },
  };
}

/** A token that was refused leaves an account, too: it would be as many askers as anybody wants. */
const hasPaid = (account: Account | undefined): boolean =>
  account !== undefined && (account.available > 0 || account.held > 0 || account.totalRequests > 0);

const notFound = (): NodeError =>
  new NodeError('invoice_not_found', 'Invoice not found', { legacyDetail: 'Invoice not found' });
const overloaded = (): NodeError =>
  new NodeError('overloaded', 'Too many invoices wait for their payment. Try again in a few minutes.', {
    retryAfterMs: LIMITS.invoice.askLateMs,
  });
