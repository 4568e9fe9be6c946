/** Balance routes: create, info, top up, refund; the same handlers under /v1/balance and /v1/wallet. */
import type { Request, Response } from 'express';
import { NodeError } from '../base/error.ts';
import { type Msat, ZERO, msat, unitToMsat } from '../base/money.ts';
import { Secret } from '../base/secret.ts';
import { looksLikeToken } from '../base/token-text.ts';
import type { AccountInfo, AccountTerms, Accounts } from '../gateway/account.ts';
import { deadKey } from '../gateway/payer.ts';
import type { Lightning } from '../gateway/lightning.ts';
import type { Remitted } from '../gateway/melt.ts';
import type { PaidOut } from '../gateway/payout.ts';
import { readOptionalObject } from './body.ts';
import { requestId } from './context.ts';
import { cashuHeader, requiredBearer } from './credential.ts';
import { NO_STORE, replyJson } from './reply.ts';
import { sourceOf } from './source.ts';

export interface BalanceRoutes {
  create: (req: Request, res: Response) => Promise<void>;
  info: (req: Request, res: Response) => Promise<void>;
  topUp: (req: Request, res: Response) => Promise<void>;
  refund: (req: Request, res: Response) => Promise<void>;
}

export function createBalanceRoutes(parts: { accounts: Accounts; lightning: Lightning }): BalanceRoutes {
  const { accounts, lightning } = parts;
  return {
    create: async (req, res) => {
      const fields = req.method === 'GET' ? queryFields(req) : await readOptionalObject(req);
      const token = tokenField(fields, ['initial_balance_token', 'cashu_token']);
      const { apiKey, balance, replayed } = await accounts.create(token, termsOf(fields), () =>
        sourceOf(req),
      );
      answer(req, res, { api_key: apiKey.reveal(), balance }, replayedHeader(replayed));
    },

    info: async (req, res) => {
      const credential = requiredBearer(req);
      try {
        answer(req, res, infoBody(await accounts.info(credential)));
      } catch (error) {
        // Old clients drop a key only on this answer; a token spent elsewhere is a dead key to them.
        if (error instanceof NodeError && error.code === 'token_already_spent') throw deadKey();
        throw error;
      }
    },

    topUp: async (req, res) => {
      const credential = requiredBearer(req);
      // The token itself makes a top-up happen once; the header is read so that a broken one is noticed.
      idempotencyKey(req);
      const fields = { ...queryFields(req), ...(await readOptionalObject(req)) };
      const token = tokenField(fields, ['cashu_token']);
      const { credited, replayed } = await accounts.topUp(credential, token);
      answer(req, res, { msats: credited }, replayedHeader(replayed));
    },

    refund: async (req, res) => {
      const original = cashuHeader(req);
      const body = await readOptionalObject(req);
      if (original !== undefined) {
        const paid = await accounts.claimChange(new Secret(original));
        answer(req, res, paidBody(paid), ['x-cashu', paid.token.reveal()]);
        return;
      }
      const bearer = requiredBearer(req);
      const [amountSats, key] = [amountField(body), idempotencyKey(req)];
      const how = { address: addressField(body), amountSats, idempotencyKey: key };
      const sent = await lightning.refundTo(await accounts.refundable(bearer), how);
      if (sent) {
        answer(req, res, remittedBody(sent), replayedHeader(sent.replayed));
        return;
      }
      const paid = await accounts.refund(bearer, amountSats, key);
      answer(req, res, paidBody(paid), replayedHeader(paid.replayed));
    },
  };
}

function answer(
  req: Request,
  res: Response,
  body: Record<string, unknown>,
  extra: readonly string[] = [],
): void {
  replyJson(res, requestId(req), 200, body, [...NO_STORE, ...extra]);
}

const replayedHeader = (replayed: boolean): readonly string[] =>
  replayed ? ['idempotent-replayed', 'true'] : [];

const paidBody = (paid: PaidOut): Record<string, unknown> => ({
  token: paid.token.reveal(),
  [paid.unit === 'sat' ? 'sats' : 'msats']: String(paid.amount),
  mint: paid.mint,
  operation_id: paid.operation,
});

function infoBody({ account, apiKey }: AccountInfo): Record<string, unknown> {
  return {
    api_key: apiKey.reveal(),
    balance: account.available,
    reserved: account.held,
    is_child: false,
    total_requests: account.totalRequests,
    total_spent: account.totalSpent,
    balance_limit: account.balanceLimit ?? null,
    balance_limit_reset: account.balanceLimitReset ?? null,
    validity_date: account.validityDate ?? null,
    mint: account.mint,
    unit: account.unit,
  };
}

const queryFields = (req: Request): Record<string, unknown> => ({ ...req.query });

function tokenField(fields: Record<string, unknown>, names: readonly string[]): Secret {
  const value = names.map((name) => fields[name]).find((candidate) => candidate !== undefined);
  if (value === undefined) {
    throw new NodeError('missing_param', 'A cashu_token is required.', {
      param: 'cashu_token',
      legacyDetail: 'A cashu_token is required.',
    });
  }
  if (typeof value !== 'string' || !looksLikeToken(value)) {
    throw new NodeError(
      'invalid_cashu_token',
      'Invalid token format: a Cashu token begins with cashuA or cashuB.',
      {
        param: 'cashu_token',
        legacyDetail: 'Invalid token format',
      },
    );
  }
  return new Secret(value.replace(/[\n\r\t]/g, ''));
}

/** Terms of a new key; query parameters arrive as strings. */
export function termsOf(fields: Record<string, unknown>): AccountTerms {
  const limit = optionalWhole(fields, 'balance_limit');
  const validity = optionalWhole(fields, 'validity_date') ?? optionalWhole(fields, 'key_expiry');
  const reset = optionalText(fields, 'balance_limit_reset');
  if (reset !== undefined && !['daily', 'weekly', 'monthly'].includes(reset)) {
    throw invalid('balance_limit_reset', 'one of daily, weekly, monthly');
  }
  const refundAddress = optionalText(fields, 'refund_address');
  return {
    ...(limit === undefined ? {} : { balanceLimit: limit }),
    ...(validity === undefined ? {} : { validityDate: validity }),
    ...(reset === undefined ? {} : { balanceLimitReset: reset }),
    ...(refundAddress === undefined ? {} : { refundAddress }),
  };
}

function optionalWhole(fields: Record<string, unknown>, name: string): Msat | undefined {
  const raw = fields[name];
  if (raw === undefined || raw === null || raw === '') return undefined;
  const value = typeof raw === 'string' && /^\d{1,16}$/.test(raw) ? Number(raw) : raw;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value <= ZERO) {
    throw invalid(name, 'a whole number above 0');
  }
  return msat(value);
}

function optionalText(fields: Record<string, unknown>, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string' || value.length > 256)
    throw invalid(name, 'a text of at most 256 characters');
  return value;
}

function amountField(body: Record<string, unknown>): number | undefined {
  const value = body['amount_sats'];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > 21e14) {
    throw new NodeError('invalid_amount', 'amount_sats must be a whole number of sats above 0.', {
      param: 'amount_sats',
    });
  }
  return value;
}

/** Where a refund goes: an address of the body, `null` for a token, else what the account was created with. */
function addressField(body: Record<string, unknown>): string | null | undefined {
  const value = body['lightning_address'] ?? body['refund_address'];
  if (value === undefined && body['lightning_address'] === null) return null;
  return optionalText({ lightning_address: value }, 'lightning_address');
}

const remittedBody = ({ operation }: Remitted): Record<string, unknown> => ({
  recipient: operation.recipient,
  [operation.unit === 'sat' ? 'sats' : 'msats']: String(operation.amount),
  status: 'paid',
  refund_id: operation.id,
  operation_id: operation.id,
  fee_msats: (operation.spent ?? 0) - unitToMsat(operation.amount, operation.unit),
  ...(operation.preimage !== undefined && { preimage: operation.preimage }),
});

function idempotencyKey(req: Request): string | undefined {
  const value = req.headers['idempotency-key'];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(value)) {
    throw new NodeError('invalid_idempotency_key', 'Idempotency-Key must be 1 to 255 printable characters.');
  }
  return value;
}

const invalid = (param: string, what: string): NodeError =>
  new NodeError('invalid_request', `${param} must be ${what}.`, { param });
