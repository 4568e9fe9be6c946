/** Balance routes: create, info, top up, refund; the same handlers under /v1/balance and /v1/wallet. */
import type { Request, Response } from 'express';
import { NodeError } from '../base/error.ts';
import { unitToMsat } from '../base/money.ts';
import { Secret } from '../base/secret.ts';
import type { Account, AccountInfo, Accounts } from '../gateway/account.ts';
import { childId } from '../gateway/child-keys.ts';
import { deadKey } from '../gateway/payer.ts';
import type { Lightning } from '../gateway/lightning.ts';
import type { Remitted } from '../gateway/melt.ts';
import type { PaidOut } from '../gateway/payout.ts';
import { readOptionalObject } from './body.ts';
import { requestId } from './context.ts';
import { cashuHeader, requiredBearer } from './credential.ts';
import { addressField, amountField, optionalText, queryFields, termsOf, tokenField } from './fields.ts';
import { replayedHeader, requestKey } from './idempotency.ts';
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
      const given = requestKey(req, 'create', fields);
      const { apiKey, balance, replayed } = await accounts.create(token, termsOf(req, fields), given, () =>
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
      const fields = { ...queryFields(req), ...(await readOptionalObject(req)) };
      const token = tokenField(fields, ['cashu_token']);
      const { credited, replayed } = await accounts.topUp(
        credential,
        token,
        requestKey(req, 'topup', fields),
      );
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
      const named = optionalText(body, 'operation_id');
      if (named !== undefined) {
        const paid = await accounts.refundOf(bearer, named);
        answer(req, res, paidBody(paid), replayedHeader(paid.replayed));
        return;
      }
      const amountSats = amountField(body);
      const given = requestKey(req, 'refund', body);
      const how = { address: addressField(body), amountSats };
      const sent = await lightning.refundTo(await accounts.refundable(bearer), how, given);
      if (sent) {
        answer(req, res, remittedBody(sent), replayedHeader(sent.replayed));
        return;
      }
      const paid = await accounts.refund(bearer, amountSats, given);
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

const paidBody = (paid: PaidOut): Record<string, unknown> => ({
  token: paid.token.reveal(),
  [paid.unit === 'sat' ? 'sats' : 'msats']: String(paid.amount),
  mint: paid.mint,
  operation_id: paid.operation,
});

function infoBody({ account, apiKey, spendable, children }: AccountInfo): Record<string, unknown> {
  return {
    api_key: apiKey.reveal(),
    balance: spendable,
    reserved: account.held,
    is_child: account.parent !== undefined,
    total_requests: account.totalRequests,
    total_spent: account.totalSpent,
    balance_limit: account.balanceLimit ?? null,
    balance_limit_reset: account.balanceLimitReset ?? null,
    validity_date: account.validityDate ?? null,
    mint: account.mint,
    unit: account.unit,
    ...(account.models && { models: account.models }),
    ...(account.parent !== undefined && { parent_key_preview: `${account.parent.slice(0, 8)}...` }),
    ...(children.length > 0 && { child_keys: children.map(childBody) }),
  };
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

/** The parent sees what its children spend, never their keys: only hashes are stored. */
const childBody = (child: Account): Record<string, unknown> => ({
  id: childId(child.id),
  reserved: child.held,
  total_requests: child.totalRequests,
  total_spent: child.totalSpent,
  balance_limit: child.balanceLimit ?? null,
  balance_limit_reset: child.balanceLimitReset ?? null,
  validity_date: child.validityDate ?? null,
  models: child.models ?? null,
});
