/** Holds: takes the ceiling of a request from its account, clamps the output to what the balance can pay. */
import { NodeError } from '../base/error.ts';
import type { AccountId } from '../base/id.ts';
import { type Msat, ZERO, maxMsat, minMsat, sub } from '../base/money.ts';
import type { HoldRequest } from '../ledger/holds.ts';
import type { Account, Ledger } from '../ledger/ledger.ts';
import { type CeilingRequest, type PricedModel, ceiling, clampOutput } from '../pricing/ceiling.ts';
import type { Wallet } from '../wallet/wallet.ts';
import { deadKey } from './payer.ts';
import { acceptedMints } from './shelves.ts';

export interface Held {
  id: string;
  amount: Msat;
  /** Set when the balance cannot pay the output that was asked for. */
  maxTokens?: number;
  durable: Promise<void>;
}

export interface Holds {
  /** Throws NodeError insufficient_balance, balance_limit_exceeded, key_expired, invalid_api_key. */
  take: (
    id: string,
    account: AccountId,
    request: CeilingRequest,
    model: PricedModel & { modelId: string },
    keyed?: HoldRequest['keyed'],
    atMost?: Msat,
  ) => Held;
  forget: (id: string) => void;
  /** Renews the leases of living requests and lets go of all others. Called on a timer. */
  sweep: () => void;
  open: () => number;
}

/** A balance of so many times the full price pays for any overrun that a listed limit may hide. */
const OVERRUN = 4;

/** The least that a request can be served for: its prompt and one token of output per choice. */
export function leastCost(request: CeilingRequest, model: PricedModel): Msat {
  const one = ceiling({ ...request, maxOutputTokens: 1 }, model);
  return minMsat(one.required, ceiling(request, model).required);
}

/** Prompt, as far as it can be estimated, and the longest answer. */
export function mostCost(request: CeilingRequest, model: PricedModel): Msat {
  const { required, full } = ceiling(request, model);
  return maxMsat(required, full);
}

export const overLimit = (
  { balanceLimit = ZERO }: Pick<Account, 'balanceLimit'>,
  left: Msat,
  required: Msat,
): NodeError =>
  new NodeError(
    'balance_limit_exceeded',
    `Balance limit exceeded: ${balanceLimit} mSats limit, ${left} left, ${required} required for this request.`,
    { metadata: { balance_limit_msats: balanceLimit, left_msats: left, required_msats: required } },
  );

export const keyExpired = (): NodeError =>
  new NodeError(
    'key_expired',
    'API key has expired (validity date reached). Its balance can still be refunded.',
  );

/** Before anything is redeemed or held. Throws balance_limit_exceeded. */
export function requireRoom(maxCost: Msat, request: CeilingRequest, model: PricedModel): void {
  const least = leastCost(request, model);
  if (maxCost >= least) return;
  throw new NodeError(
    'balance_limit_exceeded',
    `This request costs ${least} mSats at least, and ${maxCost} mSats at most were allowed for it. Nothing was charged.`,
    { metadata: { required_msats: least, max_cost_msats: maxCost } },
  );
}

const otherModels = (models: readonly string[]): NodeError =>
  new NodeError('model_not_allowed', 'This key may not ask for this model.', {
    param: 'model',
    metadata: { allowed_models: models },
  });

export function createHolds(parts: { ledger: Ledger; wallet: Wallet }): Holds {
  const { ledger, wallet } = parts;
  const living = new Set<string>();

  function insufficient(required: Msat, available: Msat, held: Msat, affordable: number): NodeError {
    return new NodeError(
      'insufficient_balance',
      `Insufficient credits. Insufficient balance: ${required} mSats required. ${available} available. (reserved: ${held})`,
      {
        metadata: {
          required_msats: required,
          available_msats: available,
          reserved_msats: held,
          max_affordable_tokens: affordable,
          accepted_mints: acceptedMints(wallet),
        },
      },
    );
  }

  /** How much to hold of what is free, and the output that it pays where that is less than asked for. */
  function amountFor(
    account: Account,
    request: CeilingRequest,
    model: PricedModel,
    atMost: Msat | undefined,
  ): { amount: Msat; maxTokens?: number } {
    const { hold, full, maxOutput } = ceiling(request, model);
    const left = ledger.limitLeft(account.id);
    const allowed = left === undefined ? account.available : minMsat(account.available, left);
    const available = atMost === undefined ? allowed : minMsat(allowed, atMost);
    // The usual case: so much money that nothing has to be weighed.
    if (available >= full * OVERRUN && available > hold) {
      // Clients send one limit to every model, and AI servers refuse one that is beyond theirs.
      const beyond = request.maxOutputTokens !== undefined && request.maxOutputTokens > maxOutput;
      return beyond ? { amount: hold, maxTokens: maxOutput } : { amount: hold };
    }
    const output = clampOutput(available, request, model);
    const least = leastCost(request, model);
    // What the clamp overlooks must not make a request free that costs no more than that.
    if (output < 1 || available < least) {
      if (left !== undefined && left < least && account.available >= least)
        throw overLimit(account, left, least);
      throw insufficient(least, account.available, account.held, 0);
    }
    const amount = minMsat(hold, available);
    // An upstream that gives more than the model is listed with would be paid from the free balance; where that is
    // small, the limit is sent along although the client named none.
    const unlimited = (request.maxOutputTokens ?? Infinity) > maxOutput;
    return output < maxOutput || unlimited ? { amount, maxTokens: output } : { amount };
  }

  return {
    take: (id, accountId, request, model, keyed, atMost) => {
      const account = ledger.account(accountId);
      if (!account) throw deadKey();
      if (account.models?.includes(model.modelId) === false) throw otherModels(account.models);
      const { amount, maxTokens } = amountFor(account, request, model, atMost);
      const result = ledger.hold({ id, account: accountId, amount, ...(keyed && { keyed }) });
      switch (result.outcome) {
        case 'held':
          living.add(id);
          return {
            id,
            amount,
            ...(maxTokens === undefined ? {} : { maxTokens }),
            durable: result.durable,
          };
        case 'insufficient':
          throw insufficient(amount, result.available, result.held, maxTokens ?? 0);
        case 'limit':
          throw overLimit({ balanceLimit: result.limit }, sub(result.limit, result.spent), amount);
        case 'expired':
          throw keyExpired();
        case 'duplicate':
          throw new NodeError('operation_in_progress', 'This request is being served already.', {
            retryAfterMs: 1_000,
          });
        case 'unknown-account':
          throw deadKey();
      }
    },
    forget: (id) => {
      living.delete(id);
    },
    sweep: () => {
      for (const id of living) ledger.renew(id);
      ledger.expireHolds(living);
    },
    open: () => living.size,
  };
}
