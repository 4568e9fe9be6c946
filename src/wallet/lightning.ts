/** Lightning through mints: invoices that a mint sells ecash for, invoices that it pays for ecash (NUT-04, NUT-05). */
import type { Unit } from '../base/money.ts';
import type { OutputPlan, StoredProof } from '../base/proof.ts';
import type { HintKind } from './hint-frames.ts';

/** What a bolt11 invoice says about itself, as far as anybody here needs it. */
export interface Invoice {
  text: string;
  /** Undefined: the payer chooses. */
  msat: number | undefined;
  paymentHash: string;
  /** Unix seconds. */
  expiresAt: number;
  descriptionHash: string | undefined;
}

export interface MintQuoteRequest {
  mint: string;
  unit: Unit;
  /** In that unit. */
  amount: number;
  /** Names the key that the quote is locked to (NUT-20); it follows from the seed and this name. */
  lock: string;
}
export interface MintQuote {
  quote: string;
  invoice: Invoice;
  /** The mint confirmed the lock: nobody else can mint what is paid. */
  locked: boolean;
  /** Unix seconds, the sooner end of quote and invoice. */
  expiresAt: number;
  /** Unix seconds, the invoice's own end: until then somebody may pay it. */
  payableUntil: number;
}
/** `forgotten`: the mint says that it has no such quote. `unknown`: no usable answer. */
export type MintQuoteState = 'unpaid' | 'paid' | 'issued' | 'forgotten' | 'unknown';

export interface MintRequest {
  mint: string;
  unit: Unit;
  quote: string;
  lock: string;
  locked: boolean;
  plan: OutputPlan;
  oldPlans?: OutputPlan[];
}
export type MintOutcome =
  | { outcome: 'signed'; blindSignatures: string[]; plan: OutputPlan }
  /** The mint wants another keyset or other outputs; nothing was signed for this plan so far. */
  | { outcome: 'replan'; code: number }
  | { outcome: 'unresolved'; retryAfterMs?: number }
  /** It signed something else, or minted the quote for somebody else. */
  | { outcome: 'contradiction'; detail: string };

export interface MeltQuote {
  quote: string;
  /** In the mint's unit. */
  amount: number;
  feeReserve: number;
  /** Unix seconds: nothing is paid by it later. */
  expiresAt: number;
}
export interface MeltRequest {
  mint: string;
  unit: Unit;
  quote: string;
  /** In the mint's unit. */
  amount: number;
  feeReserve: number;
  /** The mint's fee for the inputs. */
  fee: number;
  inputs: StoredProof[];
  blanks: OutputPlan;
  /** True only if this process is certain that no earlier attempt of this request ever left. */
  firstAttempt: boolean;
  /** Only finds out what became of it, and does not pay. Of a quote that is unpaid no more is looked at. */
  onlyAsk?: boolean;
  /** A payment that went through without any of the change that is owed is `owing`, not `paid`: it may come. */
  patient?: boolean;
}
export type MeltOutcome =
  /** Paid. `short`: the mint kept so much more than the fee reserve allows (in its unit). */
  | {
      outcome: 'paid';
      change: { index: number; amount: number; blindSignature: string }[];
      preimage?: string;
      short: number;
    }
  /**
   * Evidence: the quote is unpaid, and every input is unspent. Final after a first attempt; after a later one an
   * earlier may still arrive. With `onlyAsk` only the quote was looked at.
   */
  | { outcome: 'unpaid'; code: number }
  /**
   * The mint does not know its quote any more, and every input is unspent. An earlier attempt may still arrive.
   */
  | { outcome: 'forgotten' }
  /** Inputs are spent, and nothing is left at the mint that says by what. */
  | { outcome: 'untraceable' }
  /** Paid, and the mint has not signed any of the change that it owes. Only of a `patient` request. */
  | { outcome: 'owing' }
  | { outcome: 'pending' }
  /** `unsent`: certainly nothing of this attempt was or will be executed. */
  | { outcome: 'unresolved'; retryAfterMs?: number; unsent?: boolean }
  | { outcome: 'contradiction'; detail: string };

export interface LightningWallet {
  /** Throws NodeError: invalid_amount, mint_unreachable, mint_rate_limited, mint_quarantined. */
  mintQuote: (request: MintQuoteRequest) => Promise<MintQuote>;
  mintQuoteState: (mint: string, quote: string) => Promise<MintQuoteState>;
  /**
   * Calls `look` a few times at most, when the mint says by itself that something happened to a quote (NUT-17). Whether
   * that is so is for the next request to find out: a mint can lie, repeat itself, stay silent or offer no such thing.
   * The result ends it.
   */
  watchQuote: (mint: string, kind: HintKind, quote: string, look: () => void) => () => void;
  /** One round for a paid quote: ask, and if in doubt restore (NUT-09). Never throws for anything a mint can do. */
  mintTokens: (request: MintRequest) => Promise<MintOutcome>;
  /** Outputs for an amount on the mint's active keyset. Throws NodeError mint_unreachable. */
  mintOutputs: (mint: string, unit: Unit, amount: number) => Promise<{ keyset: string; amounts: number[] }>;
  /** Throws NodeError: payment_failed (it cannot pay this invoice), mint_unreachable, mint_rate_limited, mint_quarantined. */
  meltQuote: (request: { mint: string; unit: Unit; invoice: Invoice }) => Promise<MeltQuote>;
  /** One round of a payment: state of the quote, then of the inputs, then the request. Never throws for a mint. */
  melt: (request: MeltRequest) => Promise<MeltOutcome>;
  /**
   * Asks a Lightning address for an invoice of exactly this amount (LUD-16, LUD-06).
   * Throws NodeError invalid_address, address_unreachable.
   */
  invoiceOf: (address: string, msat: number) => Promise<Invoice>;
}
