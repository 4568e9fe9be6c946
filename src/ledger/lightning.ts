/** Lightning in the ledger: money that comes in by an invoice of a mint (`mint`) or pays an invoice (`melt`). */
import type { OperationId } from '../base/id.ts';
import type { Msat } from '../base/money.ts';
import type { OutputPlan, StoredProof } from '../base/proof.ts';
import type { Idempotency } from './idempotency.ts';
import type { Account, Durable, OperationBase } from './ledger.ts';

/**
 * A top-up over Lightning. While it is executing:
 *
 *   invoice shown ──► paid: outputs planned ──► minted: proofs and credit in one batch, done
 *        └── nobody paid, long after nobody can any more ──► failed
 */
export interface MintOperation extends OperationBase {
  kind: 'mint';
  purpose: 'create' | 'topup';
  /** Sealed name of the mint's quote: where it is not locked to our key, whoever knows it can mint it. */
  quote: string;
  /** NUT-20: only we can mint it. */
  locked: boolean;
  invoice: string;
  paymentHash: string;
  /** In the mint's unit: what is credited. */
  amount: number;
  /** Unix seconds of the invoice's end, as it is shown. */
  expiresAt: number;
  /** Unix seconds until which it can be paid, whatever end is shown; absent in older rows: `expiresAt`. */
  payableUntil?: number;
  /** sha256 of the secret that proves who asked for the invoice. */
  claimHash: string;
  /** The client was given its secret by us and may not know it: the key is handed out once without. */
  unproven?: boolean;
  /** Unix seconds when the key was handed out without proof. */
  handedAt?: number;
  /** Terms of the account that it creates. */
  terms?: MintTerms;
  /** Unix seconds when the payment was seen. */
  paidAt?: number;
  /** Set when the payment was seen, before the mint is asked to sign. */
  plan?: OutputPlan;
  oldPlans?: OutputPlan[];
}

export type MintTerms = Partial<
  Pick<Account, 'refundAddress' | 'validityDate' | 'balanceLimit' | 'balanceLimitReset'>
>;

/** A Lightning invoice that our proofs pay. Amount, fee reserve and input fee leave the payer with the intent. */
export interface MeltOperation extends OperationBase {
  kind: 'melt';
  /** `expiry`: the rest of an expired account. `withdraw` is the operator's, out of what was earned. */
  purpose: 'refund' | 'expiry' | 'withdraw';
  /** Lightning address that the invoice came from. */
  recipient: string;
  invoice: string;
  paymentHash: string;
  /** Name of the mint's quote; it is worth nothing to others. */
  quote: string;
  /** What the client wanted, so that the same call is known again. */
  asked: number | 'all';
  /** In the mint's unit: what the recipient gets. */
  amount: number;
  feeReserve: number;
  /** Unix seconds of the end of quote and invoice; later nothing is paid by them. */
  expiresAt?: number;
  debit: Msat;
  /**
   * Our proofs that go in, the mint's fee for them, and blank outputs for what it gives back (NUT-08). `reclaim` once
   * they are to be swapped away, because it failed and a lost attempt may still arrive; its `reason` is why it failed.
   */
  spend?: {
    inputs: StoredProof[];
    fee: number;
    blanks: OutputPlan;
    reclaim?: { reason: string; plan: OutputPlan; oldPlans?: OutputPlan[] };
  };
  /** What amount and fees did take (of a failed one the fee of its reclaim); the rest of `debit` is back with the payer. */
  spent?: Msat;
  /** Unix seconds when it ended well. */
  paidAt?: number;
  preimage?: string;
  /** Hash of the client's Idempotency-Key, if any. */
  idempotencyKey?: string;
}

export type OpenMint = Pick<
  MintOperation,
  | 'id'
  | 'account'
  | 'purpose'
  | 'mint'
  | 'unit'
  | 'quote'
  | 'locked'
  | 'invoice'
  | 'paymentHash'
  | 'amount'
  | 'expiresAt'
  | 'payableUntil'
  | 'claimHash'
  | 'unproven'
  | 'terms'
>;

export type OpenMintOutcome =
  | ({ outcome: 'opened'; operation: MintOperation } & Durable)
  /** So many invoices wait for their payment that no further one can be looked after. */
  | { outcome: 'full' };

export interface OpenMelt extends Pick<
  MeltOperation,
  | 'id'
  | 'account'
  | 'purpose'
  | 'mint'
  | 'unit'
  | 'recipient'
  | 'invoice'
  | 'paymentHash'
  | 'quote'
  | 'asked'
  | 'amount'
  | 'feeReserve'
  | 'expiresAt'
> {
  idempotency?: Idempotency;
  /** Input fee in parts per thousand units for a proof of the given keyset. */
  feePpk: (keyset: string) => number;
  /** Active keyset for the blank outputs. */
  keyset: string;
}

export type MeltOpenOutcome =
  | ({ outcome: 'opened'; operation: MeltOperation } & Durable)
  /** The same id or Idempotency-Key was used before; this is that operation. */
  | ({ outcome: 'replayed'; operation: MeltOperation } & Durable)
  /** A melt of the same payer is not finished: there is never a second one beside it. */
  | ({ outcome: 'live'; operation: MeltOperation } & Durable)
  /** This Idempotency-Key belongs to a token that was sent. */
  | { outcome: 'foreign' }
  /** This invoice was or is being paid by us. */
  | { outcome: 'taken'; operation: MeltOperation }
  | { outcome: 'insufficient'; available: Msat; needed: Msat }
  /** `short`: so much (in the mint's unit) is missing at that mint, the fee for all that one payment takes included. */
  | { outcome: 'no-proofs'; have: number; inFlight: number; short: number };

/** A blank output that the mint signed: its place among the blanks, and the amount it was given. */
export interface ChangeSignature {
  index: number;
  amount: number;
  blindSignature: string;
}

/** Verbs of the ledger for Lightning; outcomes and `durable` as everywhere in it. */
export interface LightningBooks {
  /** False while so many invoices wait that `openMint` answers `full`: then no mint needs to be asked. */
  hasMintRoom: () => boolean;
  openMint: (intent: OpenMint) => OpenMintOutcome;
  /** The payment was seen: outputs with counters never used before. Again: a new plan, the old one is remembered. */
  planMint: (
    id: OperationId,
    plan: { keyset: string; amounts: number[] },
  ) => { operation: MintOperation } & Durable;
  /** One batch: proofs, credit, the account if it is new, operation done. Idempotent. */
  completeMint: (id: OperationId, blindSignatures: string[], plan: OutputPlan) => Durable;
  /** The invoice's operation, by the sha256 of its lower-case text. */
  mintOfInvoice: (invoiceHash: string) => MintOperation | undefined;
  /** True for the first one only who asks for the key without proof. */
  handOut: (id: OperationId) => { first: boolean } & Durable;

  /** One batch: debit, proofs reserved, blank outputs. At most one melt per payer is live, and one per invoice ever. */
  openMelt: (intent: OpenMelt) => MeltOpenOutcome;
  /** One batch: inputs gone, change into the pool, what was not spent back to the payer. Idempotent. */
  completeMelt: (id: OperationId, change: ChangeSignature[], preimage?: string) => Durable;
  /** Outputs for swapping the inputs away. Again: a new plan, the old one is remembered. */
  planReclaim: (
    id: OperationId,
    plan: { keyset: string; amounts: number[]; reason: string },
  ) => { operation: MeltOperation } & Durable;
  /** One batch: new proofs into the pool, operation failed, all but the mint's input fee back to the payer. Idempotent. */
  completeReclaim: (id: OperationId, blindSignatures: string[], plan: OutputPlan) => Durable;
  /** What the operator may take out: never what clients are owed. */
  earned: () => Msat;
}
