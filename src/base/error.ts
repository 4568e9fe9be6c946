/** NodeError: a refusal with a documented code. One table maps codes to HTTP status, OpenAI type and retry advice. */
import type { Secret } from './secret.ts';

interface Row {
  status: number;
  type: string;
  /** Sent as `x-should-retry`: false where trying again unchanged cannot help. */
  retry?: false;
}

/** Every code a client can meet. `docs/errors.md` explains each of them in one line. */
export const ERRORS = {
  invalid_json: { status: 400, type: 'invalid_request_error' },
  invalid_request: { status: 400, type: 'invalid_request_error' },
  invalid_utf8: { status: 400, type: 'invalid_request_error' },
  json_too_deep: { status: 400, type: 'invalid_request_error' },
  duplicate_keys: { status: 400, type: 'invalid_request_error' },
  missing_param: { status: 400, type: 'invalid_request_error' },
  unsupported_parameter: { status: 400, type: 'invalid_request_error' },
  invalid_max_tokens: { status: 400, type: 'invalid_request_error' },
  too_many_items: { status: 400, type: 'invalid_request_error' },
  context_length_exceeded: { status: 400, type: 'invalid_request_error' },
  invalid_amount: { status: 400, type: 'invalid_request_error' },
  invalid_idempotency_key: { status: 400, type: 'invalid_request_error' },
  ambiguous_credentials: { status: 400, type: 'invalid_request_error' },
  credentials_in_url: { status: 400, type: 'invalid_request_error' },
  bad_request: { status: 400, type: 'invalid_request_error' },
  invalid_cashu_token: { status: 400, type: 'invalid_token' },
  cashu_token_zero_value: { status: 400, type: 'cashu_error' },
  duplicate_proofs: { status: 400, type: 'invalid_token' },
  multi_mint_token: { status: 400, type: 'invalid_token' },
  token_too_large: { status: 400, type: 'invalid_token' },
  unsupported_unit: { status: 400, type: 'invalid_token' },
  unknown_keyset: { status: 400, type: 'invalid_token' },
  unsupported_keyset: { status: 400, type: 'invalid_token' },
  keyset_expiring: { status: 400, type: 'invalid_token' },
  locked_token: { status: 400, type: 'invalid_token' },
  untrusted_mint: { status: 400, type: 'untrusted_mint' },
  token_already_spent: { status: 400, type: 'token_already_spent' },
  nothing_to_refund: { status: 400, type: 'invalid_request_error' },
  refund_too_small: { status: 400, type: 'invalid_request_error' },
  invalid_address: { status: 400, type: 'invalid_request_error' },
  refund_busy: { status: 400, type: 'invalid_request_error' },
  child_key_not_allowed: { status: 400, type: 'invalid_request_error', retry: false },
  missing_api_key: { status: 401, type: 'authentication_error' },
  invalid_api_key: { status: 401, type: 'authentication_error' },
  unauthorized: { status: 401, type: 'authentication_error' },
  replayed: { status: 401, type: 'authentication_error' },
  payment_required: { status: 402, type: 'insufficient_quota', retry: false },
  insufficient_balance: { status: 402, type: 'insufficient_quota', retry: false },
  balance_limit_exceeded: { status: 402, type: 'insufficient_quota', retry: false },
  model_not_allowed: { status: 403, type: 'permission_error', retry: false },
  key_expired: { status: 403, type: 'permission_error', retry: false },
  model_not_found: { status: 404, type: 'not_found_error' },
  not_found: { status: 404, type: 'not_found' },
  invoice_not_found: { status: 404, type: 'not_found_error' },
  refund_not_found: { status: 404, type: 'not_found_error' },
  method_not_allowed: { status: 405, type: 'invalid_request_error' },
  token_in_use: { status: 409, type: 'conflict' },
  token_already_claimed: { status: 409, type: 'conflict', retry: false },
  operation_in_progress: { status: 409, type: 'conflict' },
  idempotency_key_reused: { status: 409, type: 'conflict', retry: false },
  already_charged: { status: 409, type: 'conflict', retry: false },
  refund_swept: { status: 410, type: 'not_found_error' },
  payload_too_large: { status: 413, type: 'invalid_request_error' },
  unsupported_media_type: { status: 415, type: 'invalid_request_error' },
  unsupported_encoding: { status: 415, type: 'invalid_request_error' },
  cashu_token_swap_fees_exceed_amount: { status: 422, type: 'mint_error' },
  refund_pending: { status: 425, type: 'conflict' },
  rate_limited: { status: 429, type: 'rate_limit_error' },
  loop_detected: { status: 429, type: 'rate_limit_error', retry: false },
  headers_too_large: { status: 431, type: 'invalid_request_error' },
  upstream_rejected: { status: 400, type: 'upstream_rejected' },
  internal_error: { status: 500, type: 'server_error' },
  payment_failed: { status: 502, type: 'mint_error' },
  upstream_error: { status: 502, type: 'upstream_error' },
  upstream_unavailable: { status: 503, type: 'upstream_error' },
  price_unavailable: { status: 503, type: 'server_error' },
  mint_unreachable: { status: 503, type: 'mint_unreachable' },
  address_unreachable: { status: 503, type: 'mint_error' },
  mint_rate_limited: { status: 503, type: 'mint_rate_limited' },
  mint_quarantined: { status: 503, type: 'mint_unreachable' },
  storage_unavailable: { status: 503, type: 'server_error' },
  overloaded: { status: 503, type: 'server_error' },
  node_draining: { status: 503, type: 'server_error' },
  upstream_timeout: { status: 504, type: 'timeout' },
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof ERRORS;

export interface NodeErrorOptions {
  /** Replaces the status of the table; used where an upstream's own 4xx is passed on. */
  status?: number;
  /** Replaces the code on the wire for upstream answers that carry their own. */
  wireCode?: string;
  wireType?: string;
  param?: string;
  retryAfterMs?: number;
  /** Numbers and lists a client program can act on; never a secret. */
  metadata?: Readonly<Record<string, unknown>>;
  /** Plain-string `detail` that old Routstr clients compare literally. */
  legacyDetail?: string;
  /** Value handed back with the refusal: a one-shot payment that was redeemed before the failure. */
  change?: Secret;
  cause?: unknown;
}

export class NodeError extends Error {
  readonly code: ErrorCode;
  readonly options: NodeErrorOptions;

  /** @param message what is true now and what to do next; shown to the client as it is. */
  constructor(code: ErrorCode, message: string, options: NodeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'NodeError';
    this.code = code;
    this.options = options;
  }

  get status(): number {
    return this.options.status ?? ERRORS[this.code].status;
  }
  get type(): string {
    return this.options.wireType ?? ERRORS[this.code].type;
  }
  get wireCode(): string {
    return this.options.wireCode ?? this.code;
  }
  get shouldRetry(): boolean {
    const row: Row = ERRORS[this.code];
    return row.retry !== false;
  }
}

/** Ends the process with a meaningful exit code; thrown while starting, caught by `main`. */
export class ExitError extends Error {
  readonly exitCode: number;
  constructor(exitCode: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ExitError';
    this.exitCode = exitCode;
  }
}

/** Exit codes of the command line; `docs/errors.md` explains them. */
export const EXIT = {
  ok: 0,
  error: 1,
  usage: 2,
  unreachable: 3,
  auth: 4,
  notFound: 5,
  insufficientFunds: 6,
  unavailable: 69,
  ledgerInUse: 73,
  storageFull: 75,
  refused: 78,
} as const;

/** For what cannot happen. A failed assertion about money stops the node rather than guess. */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${what}`);
}
