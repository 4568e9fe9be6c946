/**
 * Wallet: conversation with the mints that the operator listed. It keeps no money: what must survive is returned
 * to the caller, who writes it to the ledger before the mint hears of it. No URL of a token is ever contacted.
 */
import type { Msat, Unit } from '../base/money.ts';
import type { OutputPlan, StoredProof } from '../base/proof.ts';
import type { Secret } from '../base/secret.ts';
import type { LightningWallet } from './lightning.ts';

/** A proof as it stands in a token. `secret` and `C` are bearer money. */
export interface InputProof {
  id: string;
  amount: number;
  secret: string;
  C: string;
  witness?: string;
}

/** What a token says, read without the network. Nothing of it is proven yet. */
export interface TokenInfo {
  /** Normalised, one of the listed mints. */
  mint: string;
  unit: Unit;
  /** Face value. */
  face: Msat;
  /** sha256 of the exact text (trimmed, `cashu:` prefix removed): the credential of the presenter. */
  textHash: string;
  /** First 32 hex characters of sha256(secret) of each proof, sorted: the identity of the money. */
  claims: string[];
  proofs: Secret<InputProof[]>;
}

/** How to receive a token now: `net = face - fee`, split so that every change 0..net is an exact subset. */
export interface ReceivePlan {
  keyset: string;
  /** In the mint's unit. */
  fee: number;
  net: number;
  amounts: number[];
  /** Input proofs ready for the request: DLEQ stripped, short keyset ids expanded. */
  inputs: InputProof[];
}

/** Everything that identifies one swap request; the same value always yields the same bytes. */
export interface SwapRequest {
  mint: string;
  unit: Unit;
  inputs: InputProof[] | StoredProof[];
  plan: OutputPlan;
  /** Earlier plans for the same inputs whose requests may still have landed. */
  oldPlans?: OutputPlan[];
  /** True only if this process is certain that no earlier attempt of this request was or will be carried out. */
  firstAttempt: boolean;
}

/** Result of one round of "ask, and if in doubt check state, then restore" (NUT-03, NUT-07, NUT-09). */
export type SwapOutcome =
  /** Blind signatures C_ for the outputs of `plan` (the current or an old one), in order. */
  | { outcome: 'signed'; blindSignatures: string[]; plan: OutputPlan }
  /** The inputs were spent by someone else, and none of our outputs was signed. Final. */
  | { outcome: 'spent' }
  /**
   * Refused for the tokens themselves; inputs are unspent and still belong to the presenter. Final, unless an earlier
   * attempt may still arrive. `vague`: the mint gave no reason that would hold for that one, too.
   */
  | { outcome: 'refused'; code: number; vague?: true }
  /** Inputs unspent, but keyset, fee or outputs must be planned anew. */
  | { outcome: 'replan'; code: number }
  /** Not known yet; ask again later. `unsent`: certainly nothing of this attempt was or will be carried out. */
  | { outcome: 'unresolved'; retryAfterMs?: number; unsent?: true }
  /** The mint signed something else than asked, or contradicts itself. Nothing may be credited. */
  | { outcome: 'contradiction'; detail: string };

export interface MintStatus {
  url: string;
  unit: Unit;
  reachable: boolean;
  quarantined: boolean;
  activeKeyset?: string;
  inputFeePpk?: number;
}

export interface Wallet {
  /** Reads a token offline. Throws NodeError: invalid_cashu_token, multi_mint_token, untrusted_mint, unsupported_unit, token_too_large, duplicate_proofs, locked_token, cashu_token_zero_value. */
  inspect: (token: string) => TokenInfo;
  /** Throws NodeError: unknown_keyset, unsupported_keyset, keyset_expiring, cashu_token_swap_fees_exceed_amount, mint_unreachable, mint_rate_limited, mint_quarantined. */
  planReceive: (info: TokenInfo) => Promise<ReceivePlan>;
  /**
   * Never throws for anything a mint can do. DLEQ proofs in the answer are checked later, once, in memory: what a
   * crash or a full queue loses stays unchecked and is counted in `wallet.dleq.skipped` and `wallet.dleq.lost`.
   */
  swap: (request: SwapRequest) => Promise<SwapOutcome>;
  /**
   * Claims of those proofs of a presented token that the mint calls SPENT (NUT-07); none when it does not answer.
   * The only evidence that a single proof is dead: a refused swap says it of the token as a whole.
   */
  spentClaims: (info: TokenInfo) => Promise<string[]>;
  /** Starts unblinding in the worker, so that a token of these proofs is ready when it is wanted. */
  prepare: (mint: string, unit: Unit, proofs: StoredProof[]) => void;
  /** Text of a V4 token (NUT-00) made of our proofs: the same proofs always give the same text. */
  encodeToken: (mint: string, unit: Unit, proofs: StoredProof[]) => Promise<string>;
  /** Active keyset for new outputs, remembered if the mint is away. Throws NodeError mint_unreachable if none is. */
  activeKeyset: (
    mint: string,
    unit: Unit,
    /** `fresh`: as the mint says now, and not from memory. */
    how?: { fresh: boolean },
  ) => Promise<{
    keyset: string;
    feePpk: (keyset: string) => number;
    /** Whether the mint still signs with a keyset, and when it forgets it (Unix seconds). */
    facts?: (keyset: string) => { active: boolean; finalExpiry?: number } | undefined;
  }>;
  /** Splits so that every amount 0..n is an exact subset. */
  split: (amount: number) => number[];
  /** NUT-07 for our own proofs. */
  checkStates: (
    mint: string,
    unit: Unit,
    proofs: StoredProof[],
  ) => Promise<('UNSPENT' | 'PENDING' | 'SPENT' | 'UNKNOWN')[]>;
  /** NUT-18 payment request for the NUT-24 header of a 402; amount in sat, rounded up, plus room for input fees. */
  paymentRequest: (amount: Msat) => string;
  /** Invoices in and out. */
  lightning: LightningWallet;
  mints: () => MintStatus[];
  /** Opens connections and loads keysets of every listed mint; failures are logged and retried on use. */
  start: () => Promise<void>;
  close: () => Promise<void>;
}
