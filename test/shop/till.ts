/** Till: what a buyer can do at a node and what it answers; the same over HTTP and straight into a gateway. */

/** The node refused and said so. `change`: a payment that was redeemed and comes back with the refusal. */
export interface Refusal {
  kind: 'refused';
  status: number;
  code: string;
  change?: string;
}
export type Final<T> = ({ kind: 'ok' } & T) | Refusal;
/** `lost`: no answer, or not all of it; nothing is known. */
export type Reply<T> = Final<T> | { kind: 'lost' };

/** All amounts in msat unless they are called sats. */
export interface AccountTold {
  key: string;
  balance: number;
  held: number;
  spent: number;
}
export interface PaidTold {
  cost: number;
  /** Free balance afterwards; for payments with a key. */
  balance?: number;
  /** Change of a one-shot payment, as a token. */
  change?: string;
}
export interface TokenTold {
  token: string;
  sats: number;
}

export interface InvoiceTold {
  id: string;
  invoice: string;
  claimSecret: string;
}
/** A refund that was paid over Lightning. `fee` in msat: what it took beside. */
export interface Remitted {
  sats: number;
  fee: number;
}

export interface ChatWish {
  stream: boolean;
  words: number;
  /** The client hangs up after the first bytes. */
  leaves?: boolean;
  /** One-shot payments: the client cannot read headers after the fact and will claim its change. */
  claims?: boolean;
}

export interface Till {
  create: (token: string) => Promise<Reply<{ key: string; balance: number }>>;
  info: (bearer: string) => Promise<Reply<AccountTold>>;
  topUp: (bearer: string, token: string) => Promise<Reply<{ credited: number }>>;
  chat: (bearer: string, wish: ChatWish) => Promise<Reply<PaidTold>>;
  payOnce: (token: string, wish: ChatWish) => Promise<Reply<PaidTold>>;
  /** Change of a one-shot payment by its original token. */
  claim: (token: string) => Promise<Reply<TokenTold>>;
  refund: (bearer: string, wish: { sats?: number; idempotencyKey?: string }) => Promise<Reply<TokenTold>>;
  /** Without a bearer: for a new key. */
  invoice: (wish: { sats: number; bearer?: string }) => Promise<Reply<InvoiceTold>>;
  invoiceStatus: (id: string, claimSecret: string) => Promise<Reply<{ status: string; key?: string }>>;
  remit: (
    bearer: string,
    wish: { address: string; sats?: number; idempotencyKey?: string },
  ) => Promise<Reply<Remitted>>;
}

/** A token as its owner knows it. `fee`: what its mint takes from whoever swaps it. */
export interface Token {
  text: string;
  sats: number;
  fee: number;
}

/** Tokens of all shoppers, and where new ones come from. */
export interface Purse {
  take: () => Promise<Token>;
  put: (text: string, sats: number) => void;
  /** Sats that the proofs in the token add up to, whatever was said about it. */
  faceOf: (text: string) => number;
}
