/**
 * Ledger: the durable truth about money. Interface and outcome unions; `level.ts` implements it on LevelDB.
 *
 * Every verb decides and applies in memory in one synchronous turn (nothing can come between a check and its
 * write) and answers at once with an outcome. `durable` resolves when the entry and everything before it is on
 * disk; nothing may be told to the outside before that. After a failed write every verb throws
 * NodeError('storage_unavailable').
 */
import type { AccountId, OperationId } from '../base/id.ts';
import type { Msat, Unit } from '../base/money.ts';
import type { OutputPlan, StoredProof } from '../base/proof.ts';
import type { LightningBooks, MeltOperation, MintOperation } from './lightning.ts';
import type { ChildVerbs } from './children.ts';
import type { Expiry } from './expiry.ts';
import type { History } from './history.ts';
import type { HoldVerbs } from './holds.ts';
import type { Idempotency, Idempotent } from './idempotency.ts';
import type { OpenRotation, OpenSend, SendOutcome } from './sends.ts';
import type { Kept } from './kept.ts';

/** Resolves when the movement is fsynced; rejects with NodeError('storage_unavailable') if it never will be. */
export interface Durable {
  durable: Promise<void>;
}

/** `key`: prepaid, kept until refunded. `token`: one payment by X-Cashu whose remainder is returned. */
export type AccountKind = 'key' | 'token';

export interface Account {
  id: AccountId;
  kind: AccountKind;
  /** Free money: what a hold or refund can take. Never negative. */
  available: Msat;
  /** Sum of the account's open holds. */
  held: Msat;
  totalRequests: number;
  totalSpent: Msat;
  /** Unix seconds. */
  createdAt: number;
  /** Where refunds are made: the mint and unit that the money came from. */
  mint: string;
  unit: Unit;
  refundAddress?: string | undefined;
  /** Unix seconds after which the key pays for nothing (its balance can still be refunded). */
  validityDate?: number | undefined;
  /** Most msat this key may ever spend. */
  balanceLimit?: Msat | undefined;
  /** `daily`, `weekly` or `monthly` (UTC): the limit is counted anew. */
  balanceLimitReset?: string | undefined;
  /** First day of the period that the limit is being counted in, and what had been spent before it. */
  limitPeriod?: string | undefined;
  limitSpentBefore?: Msat | undefined;
  /** Latest refund or change, handed out again until money arrives anew. */
  lastRefund?: OperationId | undefined;
  /** Journal entry that moved money of this account last; each such entry names the one before it. */
  lastEntry?: number | undefined;
  /** Set on a child key: whose money it spends. `available` and `held` are the parent's then. */
  parent?: AccountId | undefined;
  /** Ids of the only models that a child key may ask for. */
  models?: string[] | undefined;
}

/**
 * State of an operation:
 *
 *   executing ──► done              the mint signed our outputs; booked in the same batch
 *       │  ▲
 *       │  └── (restart, timeout: the same request is repeated; ambiguous is not failed)
 *       ├────► failed               evidence: refused, and nothing of it is at the mint
 *       └────► blocked              the mint contradicts itself; alarm, an operator decides
 */
export type OperationState = 'executing' | 'done' | 'failed' | 'blocked';

export interface OperationBase {
  id: OperationId;
  state: OperationState;
  /** Machine readable, e.g. `token_already_spent`; set with `failed` and `blocked`. */
  reason?: string;
  mint: string;
  unit: Unit;
  account: AccountId;
  createdAt: number;
}

/** A token presented to us, swapped for proofs of our own. Credit and proofs are one batch. */
export interface ReceiveOperation extends OperationBase {
  kind: 'receive';
  /** sha256 of the exact token text that was presented: the credential of whoever presented it. */
  textHash: string;
  /** sha256 of each proof's secret (32 hex characters are kept), sorted. */
  claims: string[];
  /** Sealed JSON of the presented proofs, needed to repeat the request byte for byte. Dropped when done or failed. */
  inputs?: string;
  /** In the mint's unit; the presenter pays it. */
  fee: number;
  plan: OutputPlan;
  /** Plans of refused attempts: a late landing of one of them must still be found by restore. */
  oldPlans?: OutputPlan[];
  /** `equity`: money of the operator's own, credited to no account. */
  purpose: 'create' | 'topup' | 'pay' | 'equity';
}

export interface SendPlan {
  plan: OutputPlan;
  sendCount: number;
}

/** A token made by us: change, refund. `offline` when exact proofs were at hand, else by a swap at the mint. */
export interface SendOperation extends OperationBase {
  kind: 'send';
  /** `rotate` makes no token: proofs of ours become others of ours, for the mint's fee. */
  purpose: 'change' | 'refund' | 'withdraw' | 'rotate';
  /** What the account (or revenue) paid in total: face value and mint fee. */
  debit: Msat;
  /** Face value of the token in the mint's unit. */
  amount: number;
  /** Of a rotation's fee, what the node had not earned when it was begun. */
  unearned?: Msat;
  /** Of everything that was asked for this is what one mint had; more is left on the account. */
  partial?: true;
  /** Proofs that make up the token; set when done. The token text follows from them and the seed. */
  token?: StoredProof[];
  /** Only for a swap: our proofs that go in, and the outputs: first `sendCount` make the token, the rest is kept. */
  swap?: SendPlan & {
    inputs: StoredProof[];
    fee: number;
    /** Plans of attempts that were refused after one without an answer: a late landing of one of them is found by restore. */
    oldPlans?: SendPlan[];
  };
  /** Hash of the client's Idempotency-Key, if any. */
  idempotencyKey?: string;
}

export type Operation = ReceiveOperation | SendOperation | MintOperation | MeltOperation;

export interface OpenReceive {
  id: OperationId;
  account: AccountId;
  accountKind: AccountKind;
  purpose: ReceiveOperation['purpose'];
  mint: string;
  unit: Unit;
  textHash: string;
  claims: string[];
  inputs: string;
  fee: number;
  keyset: string;
  amounts: number[];
  /** Of the account that this payment creates; an account that exists keeps its own. */
  terms?: AccountTerms;
  idempotency?: Idempotency;
}

export type OpenReceiveOutcome =
  | ({ outcome: 'opened'; operation: ReceiveOperation } & Durable)
  /** Same text, same proofs, same beneficiary: this very payment was presented before. */
  | ({ outcome: 'replayed'; operation: ReceiveOperation } & Durable)
  /** At least one proof was claimed by another payment, text or beneficiary. */
  | { outcome: 'foreign'; operation: ReceiveOperation };

export interface Totals {
  /** Msat by full ledger account name, e.g. `proofs:https://mint|sat`, `avail`, `held`, `owed`, `revenue`. */
  assets: Record<string, Msat>;
  liabilities: Record<string, Msat>;
  /** `payouts` is negative: what the operator took out of `revenue`. */
  equity: Record<string, Msat>;
  /** assets - liabilities - equity; anything but 0 is a bug. */
  drift: Msat;
}

export interface LedgerHealth {
  open: boolean;
  poisoned: boolean;
  /** Poisoned by a write that failed; the ledger is opened anew as soon as that is possible. */
  recovering: boolean;
  /** Number of the last journal entry. */
  sequence: number;
  queued: number;
  executing: number;
  blocked: number;
}

/** What a key may be created with. */
export type AccountTerms = Partial<
  Pick<Account, 'refundAddress' | 'validityDate' | 'balanceLimit' | 'balanceLimitReset'>
>;

export interface Ledger extends HoldVerbs, LightningBooks, Idempotent, Kept, Expiry, ChildVerbs, History {
  /** As it is now: what changes it puts another one in its place. */
  account: (id: AccountId) => Readonly<Account> | undefined;
  /** What the account may still spend under its limit now; undefined where it has none. */
  limitLeft: (id: AccountId) => Msat | undefined;
  /** Account and operation of the exact token text, whatever became of it. */
  operationOfText: (textHash: string) => ReceiveOperation | undefined;
  operation: (id: OperationId) => Operation | undefined;

  openReceive: (intent: OpenReceive) => OpenReceiveOutcome;
  /** New plan with new counters after a definite refusal that is not about the inputs (keyset rotated). */
  replanReceive: (
    id: OperationId,
    plan: { keyset: string; amounts: number[]; fee: number },
  ) => { operation: ReceiveOperation } & Durable;
  /** One batch: proofs into the pool, credit to the account, operation done. Idempotent. */
  completeReceive: (id: OperationId, blindSignatures: string[], plan: OutputPlan) => Durable;
  /** `claims` stay with it: a spent token stays refused, any other may be presented anew under a new plan. */
  failOperation: (id: OperationId, reason: string) => Durable;
  blockOperation: (id: OperationId, reason: string) => Durable;
  /** The operator wants a blocked operation to be taken up once more: it is executing again. False if it is not blocked. */
  retryOperation: (id: OperationId) => { retried: boolean } & Durable;

  openSend: (intent: OpenSend) => SendOutcome;
  /** Proofs of ours go in, others are to come out; undefined where nothing is worth it. One at a time for each shelf. */
  openRotation: (intent: OpenRotation) => ({ operation: SendOperation } & Durable) | undefined;
  /**
   * Other outputs for the same inputs, and the old ones are remembered; the token is worth the same, unless the mint's
   * fee leaves less. Undefined where it leaves nothing.
   */
  replanSend: (
    id: OperationId,
    how: Pick<OpenSend, 'keyset' | 'feePpk' | 'split'>,
  ) => ({ operation: SendOperation } & Durable) | undefined;
  /**
   * Idempotent: of a payout that is done nothing moves, and `durable` covers its own entry. `plan`: the one that was
   * signed; the latest by default.
   */
  completeSend: (id: OperationId, blindSignatures: string[], plan?: OutputPlan) => Durable;
  /** Less than one unit left on a one-shot account becomes the operator's, booked as `rounding`. */
  sweepDust: (account: AccountId) => Durable;

  /** Settings that create an account may carry; only present fields are changed. */
  setAccountTerms: (id: AccountId, terms: AccountTerms) => Durable;

  /** Operations that are executing or blocked, oldest first. */
  unfinished: () => Operation[];
  totals: () => Totals;
  /** Resolves when all that the other verbs have told so far is on disk. Rejects when the ledger cannot be written. */
  flushed: () => Promise<void>;
  /** Proofs in our possession, for audits. */
  /** The first counter of a keyset that no plan has used (NUT-13). */
  nextCounter: (keyset: string) => number;
  /** Leaves out those below `next`: what a lost ledger may have used. */
  skipCounters: (keyset: string, next: number) => Durable;
  /** What the pool holds of a shelf, in its unit; kept up to date, unlike `proofs`, which copies all of it. */
  pooled: (shelf: { mint: string; unit: Unit }) => { amount: number; count: number };
  proofs: () => { mint: string; unit: Unit; proof: StoredProof }[];
  /** Small durable values of other rooms (last announcement, …), by key. */
  getValue: (key: string) => string | undefined;
  putValue: (key: string, value: string) => Durable;
  health: () => LedgerHealth;
  close: () => Promise<void>;
}
