/** What both faces hand to the gateway and get back: free of Express and of Nostr. */
import type { Cancel } from '../base/cancel.ts';
import type { AccountId, RequestId } from '../base/id.ts';
import type { Msat } from '../base/money.ts';
import type { Secret } from '../base/secret.ts';
import type { Idempotency } from '../ledger/idempotency.ts';
import type { Usage } from '../protocol/openai.ts';

/**
 * `keep`: the remainder of a token stays on its key. `return`: it goes back as change, once per request.
 * `pubkey`: 64 hex digits of a Nostr public key whose signature the face has verified.
 */
export type Credential = (
  | { kind: 'key'; key: Secret }
  | { kind: 'token'; token: Secret; remainder: 'keep' | 'return' }
  | { kind: 'pubkey'; pubkey: string }
) & {
  /** Network it came from, found out only for what is about to be refused or redeemed. */
  source?: () => string | undefined;
};

/** Paid endpoints, as their path below /v1. */
export type Endpoint = 'chat/completions';

export interface InferenceRequest {
  id: RequestId;
  /** Undefined: nothing was offered; answered with `payment_required` and a payment request. */
  credential: Credential | undefined;
  endpoint: Endpoint;
  /** The JSON body as it arrived. */
  body: Buffer;
  /**
   * `live`: bytes leave as they come. `held`: the caller needs the receipt before the first byte (change travels in
   * a header), so the answer is complete when `serve` resolves and a failure anywhere costs nothing.
   */
  delivery: 'live' | 'held';
  /** Cancelled when the client is gone. */
  gone: Cancel;
  /** The client pays no more than this: its output ends there, and what goes beyond is the node's loss. */
  maxCost?: Msat | undefined;
  /** Told what is set aside for it, before an AI server is asked; again where another one is tried. */
  held?: ((amount: Msat) => void) | undefined;
  /** Told that an answer is going to leave as a stream, before an AI server is asked for it, which may take long. */
  streaming?: (() => unknown) | undefined;
  /** The client's Idempotency-Key; a one-shot payment needs none, its token says as much. */
  idempotencyKey?: string | undefined;
}

/** Cost of one answer. All amounts in msat; the three parts add up to `total`. */
export interface Cost {
  base: Msat;
  input: Msat;
  output: Msat;
  total: Msat;
  /** US dollars at the rate of the moment; for display only. */
  totalUsd: number;
}

export interface Receipt {
  requestId: RequestId;
  model: string;
  usage: Usage;
  cost: Cost;
  /** Free balance after settlement; for one-shot payments what was left before change was made. */
  balance: Msat;
  /** Change as a token, for `remainder: 'return'` and only if at least one unit was left. */
  change?: Secret;
}

/** Text where this node wrote it, bytes where an upstream did. */
export type Body = string | Buffer;

/**
 * An answer that is being paid for. Reading `chunks` to the end settles; disposing settles too, whatever was read.
 * Both faces do the same: `await using answer = await gateway.serve(request)`, then write it in their own format.
 */
export interface Answer extends AsyncDisposable {
  status: number;
  contentType: string;
  /** The complete body where nothing streams; the receipt is ready then. */
  whole?: Body;
  chunks: AsyncIterable<Body>;
  /** Exactly once, when settled. Rejects if the ledger cannot write. */
  receipt: Promise<Receipt>;
  /** This very payment was answered before; the stored answer is given again. */
  replayed: boolean;
}

/** Who pays: resolved from a credential before anything is held. */
export interface Payer {
  account: AccountId;
  remainder: 'keep' | 'return';
  /** Written down with the hold. */
  idempotency?: Idempotency;
}
