/** Look-up routes: history of an account, one operation, the cost of one request. */
import type { Request, Response } from 'express';
import { LIMITS } from '../base/limits.ts';
import { msat, unitToMsat } from '../base/money.ts';
import { childId } from '../gateway/child-keys.ts';
import type { HistoryCursor, HistoryLine, LookUps, OperationView } from '../gateway/lookup.ts';
import type { Credential } from '../gateway/request.ts';
import { requestId } from './context.ts';
import { paidCredential, requiredBearer } from './credential.ts';
import { invalid } from './fields.ts';
import { NO_STORE, replyJson } from './reply.ts';

export interface LookUpRoutes {
  history: (req: Request, res: Response) => Promise<void>;
  operation: (req: Request, res: Response) => Promise<void>;
  generation: (req: Request, res: Response) => Promise<void>;
}

export function createLookUpRoutes({ lookUps }: { lookUps: LookUps }): LookUpRoutes {
  return {
    history: async (req, res) => {
      const { limit, cursor } = req.query;
      const from = cursor === undefined ? undefined : cursorOf(cursor);
      const page = { limit: limitOf(limit), ...(from && { from }) };
      const { lines, next } = await lookUps.history(requiredBearer(req), page);
      const body = {
        transactions: lines.map(lineBody),
        next_cursor: next ? `${next.entry}.${next.balance}` : null,
      };
      replyJson(res, requestId(req), 200, body, NO_STORE);
    },

    operation: async (req, res) => {
      const found = await lookUps.operation(anyCredential(req), String(req.params['id']));
      replyJson(res, requestId(req), 200, operationBody(found), NO_STORE);
    },

    generation: async (req, res) => {
      const { id } = req.query;
      if (typeof id !== 'string') throw invalid('id', 'the x-request-id of a paid request');
      const { state, amount, at } = await lookUps.generation(anyCredential(req), id);
      const data =
        state === 'done'
          ? { id, status: state, cost_msats: amount, created_at: Math.floor((at ?? 0) / 1000) }
          : { id, status: state, held_msats: amount };
      replyJson(res, requestId(req), 200, { data }, NO_STORE);
    },
  };
}

/** A one-shot token is a credential for what it paid; it is only looked up here, never redeemed. */
const anyCredential = (req: Request): Credential => paidCredential(req) ?? requiredBearer(req);

function limitOf(value: unknown): number {
  if (value === undefined) return LIMITS.history.page;
  const limit = typeof value === 'string' && /^\d{1,4}$/.test(value) ? Number(value) : 0;
  if (limit < 1 || limit > LIMITS.history.pageMax)
    throw invalid('limit', `a whole number from 1 to ${LIMITS.history.pageMax}`);
  return limit;
}

function cursorOf(value: unknown): HistoryCursor {
  const match = typeof value === 'string' ? /^(\d{1,15})\.(\d{1,15})$/.exec(value) : null;
  if (!match) throw invalid('cursor', 'the next_cursor of the page before');
  return { entry: Number(match[1]), balance: msat(Number(match[2])) };
}

/** Routstr's keys, then ours. `id` is an operation or a request that can be looked up. */
function lineBody({ id, at, kind, change, balance, operation, child }: HistoryLine): Record<string, unknown> {
  const done = operation?.state === 'done';
  return {
    id: kind === 'settle' ? (id.split(':')[0] ?? id) : id,
    type: change < 0 ? 'out' : 'in',
    source: operation?.purpose ?? SOURCES[kind] ?? kind,
    amount: Math.abs(change),
    unit: 'msat',
    mint_url: operation?.mint ?? null,
    created_at: Math.floor(at / 1000),
    collected: operation?.kind === 'send' && done,
    swept: false,
    amount_msats: change,
    balance_msats: balance,
    ...(child !== undefined && { child_key: childId(child) }),
  };
}

const SOURCES: Record<string, string> = {
  settle: 'request',
  children: 'child_keys',
  dust: 'rounding',
  fail: 'returned',
};

function operationBody({ operation, status }: OperationView): Record<string, unknown> {
  const { id, kind, purpose, mint, unit, createdAt, reason } = operation;
  return {
    id,
    object: 'operation',
    status,
    kind,
    purpose,
    ...amountsOf(operation),
    mint,
    unit,
    created_at: createdAt,
    ...(reason !== undefined && { reason }),
  };
}

/** What was made, paid out or credited, and what came on top. */
function amountsOf(operation: OperationView['operation']): Record<string, number> {
  const { unit } = operation;
  switch (operation.kind) {
    case 'send':
      return { amount_msats: unitToMsat(operation.amount, unit), debit_msats: operation.debit };
    case 'melt':
      return {
        amount_msats: unitToMsat(operation.amount, unit),
        debit_msats: operation.spent ?? operation.debit,
      };
    case 'mint':
      return { amount_msats: unitToMsat(operation.amount, unit) };
    case 'receive': {
      const units = operation.plan.amounts.reduce((sum, part) => sum + part, 0);
      return { amount_msats: unitToMsat(units, unit), fee_msats: unitToMsat(operation.fee, unit) };
    }
  }
}
