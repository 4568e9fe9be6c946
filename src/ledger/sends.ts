/** What goes into and comes out of the verbs that make tokens and rotate proofs. */
import type { AccountId, OperationId } from '../base/id.ts';
import type { Msat, Unit } from '../base/money.ts';
import type { Idempotency } from './idempotency.ts';
import type { Durable, SendOperation } from './ledger.ts';

export type SendOutcome =
  | ({ outcome: 'issued'; operation: SendOperation } & Durable)
  /** No exact proofs: `operation` is executing and wants a swap at the mint. */
  | ({ outcome: 'swap'; operation: SendOperation } & Durable)
  /** The same id or Idempotency-Key was used before; this is that operation. */
  | ({ outcome: 'replayed'; operation: SendOperation } & Durable)
  | { outcome: 'insufficient'; available: Msat }
  /**
   * We hold too few proofs at that mint: what one swap takes of them is worth `have`, in its unit. If `inFlight` makes
   * up for it, the rest is the input of swaps that are not finished: try again later. Otherwise never guess: alarm.
   */
  | { outcome: 'no-proofs'; have: number; inFlight: number };

export interface OpenSend {
  id: OperationId;
  /** The constant 'operator' where the purpose is `withdraw`: paid out of `revenue`, never more than was earned. */
  account: AccountId;
  purpose: Exclude<SendOperation['purpose'], 'rotate'>;
  mint: string;
  unit: Unit;
  /** `all`: everything available in whole units; else the face value wanted, in the mint's unit. */
  amount: number | 'all';
  /** Said of the amount by whoever was asked for all. The mint's fee is taken out of it. */
  partial?: true;
  /** Of all: the latest payout that the caller knows of. A part that was made meanwhile is the answer to this call, too. */
  after?: OperationId | undefined;
  /** Input fee in parts per thousand units for a proof of the given keyset. */
  feePpk: (keyset: string) => number;
  /** Active keyset for outputs of a swap. */
  keyset: string;
  /** Splits an amount of the mint's unit into proof amounts of that keyset. */
  split: (amount: number) => number[];
  idempotency?: Idempotency;
}

export interface OpenRotation {
  id: OperationId;
  mint: string;
  unit: Unit;
  /** At most so many proofs, the smallest first, of the keysets that are wanted. */
  count: number;
  wanted: (keyset: string) => boolean;
  feePpk: (keyset: string) => number;
  keyset: string;
  /** Amounts of the new proofs; undefined where that is not worth its fee. */
  amounts: (value: number, fee: number, count: number) => number[] | undefined;
}
