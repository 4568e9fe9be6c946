/** Settlement: one hold, charged exactly once, whichever of end, failure, departure or disposal comes first. */
import { NodeError, invariant } from '../base/error.ts';
import type { AccountId, RequestId } from '../base/id.ts';
import type { Logger } from '../base/log.ts';
import { type Msat, ZERO, minMsat } from '../base/money.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type ModelPrice, cost } from '../pricing/cost.ts';
import type { Usage } from '../protocol/openai.ts';
import { NO_COST, chargedCost, makeReceipt } from './bill.ts';
import type { Holds } from './holds.ts';
import type { Receipt } from './request.ts';

/** What the hold came to: known at once, and true once it is on disk. */
export interface Settled {
  receipt: Receipt;
  durable: Promise<void> | undefined;
}

export interface Settlement {
  readonly model: string;
  /**
   * Charges what was used, or frees the hold where nothing was. For the answer that is put together while its bill
   * goes to the disk; throws what the other two reject with.
   */
  end: (usage: Usage | undefined) => Settled;
  /** Charges what was used; resolves when it is on disk. The second call gives the first one's receipt. */
  charge: (usage: Usage) => Promise<Receipt>;
  /** Nothing was produced: the hold is free again at once, cost 0. */
  free: () => Promise<Receipt>;
  /** Usage of an answer whose upstream reported none, from the sizes of what went in and out. */
  estimate: (completionTokens: number) => Usage;
}

export function createSettlement(parts: {
  ledger: Ledger;
  holds: Holds;
  log: Logger;
  requestId: RequestId;
  holdId: string;
  account: AccountId;
  terms: {
    model: string;
    price: ModelPrice;
    /** Prompt of an answer whose usage nobody told. */
    readTokens: number;
    /** More than this no upstream is believed: it is the node that chose the upstream, not the client. */
    most: { promptTokens: number; completionTokens: number };
    msatPerUsd: number | undefined;
    maxCost: Msat | undefined;
  };
}): Settlement {
  const { ledger, holds, log, requestId, holdId, account, terms } = parts;
  const { model, price, readTokens, most, msatPerUsd, maxCost } = terms;

  let settled: Promise<Receipt> | undefined;
  let ended: Settled | undefined;

  async function told(settle: () => Settled): Promise<Receipt> {
    const { receipt, durable } = settle();
    await durable;
    return receipt;
  }

  function once(settle: () => Settled): Promise<Receipt> {
    return (settled ??= told(() => ended ?? settle()));
  }

  function believed(usage: Usage): Usage {
    const { promptTokens: prompt, completionTokens: completion } = usage;
    if (prompt <= most.promptTokens && completion <= most.completionTokens) return usage;
    log.warn('gateway.usage.overstated', {
      request_id: requestId,
      prompt_tokens: prompt,
      completion_tokens: completion,
    });
    return {
      ...usage,
      promptTokens: Math.min(prompt, most.promptTokens),
      completionTokens: Math.min(completion, most.completionTokens),
    };
  }

  function charged(reported: Usage): Settled {
    const usage = believed(reported);
    const price_ = cost(usage, price);
    // Forgotten first: a ledger that cannot be written now throws, and the hold must then end with its lease.
    holds.forget(holdId);
    const owed = maxCost === undefined ? price_.total : minMsat(price_.total, maxCost);
    const result = ledger.settle(holdId, owed);
    if (result.outcome === 'closed') return { receipt: lapsed(usage), durable: undefined };
    const charged = chargedCost(price_, result.charged, msatPerUsd);
    const receipt = makeReceipt(requestId, model, usage, charged, result.available);
    return { receipt, durable: result.durable };
  }

  function freed(): Settled {
    holds.forget(holdId);
    const result = ledger.release(holdId);
    const available = ledger.account(account)?.available ?? ZERO;
    const receipt = makeReceipt(requestId, model, NO_USAGE, NO_COST, available);
    return { receipt, durable: result.outcome === 'settled' ? result.durable : undefined };
  }

  /** The lease ran out although the request lived: the money is free again, and what was served is the node's loss. */
  function lapsed(usage: Usage): Receipt {
    log.error('gateway.hold.lapsed', { request_id: requestId, completion_tokens: usage.completionTokens });
    return makeReceipt(requestId, model, usage, NO_COST, ledger.account(account)?.available ?? ZERO);
  }

  return {
    model,
    end: (usage) => {
      invariant(settled === undefined && ended === undefined, 'a hold ends once');
      return (ended = usage === undefined ? freed() : charged(usage));
    },
    charge: (usage) => once(() => charged(usage)),
    free: () => once(freed),
    estimate: (completionTokens) => ({
      promptTokens: readTokens,
      cachedTokens: 0,
      completionTokens,
      estimated: true,
    }),
  };
}

const NO_USAGE: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, estimated: false };

/** Why an answer that had begun did not come to its end, as one NodeError. */
export const brokenOff = (cause: unknown): NodeError =>
  cause instanceof NodeError
    ? cause
    : new NodeError(
        'upstream_error',
        'The AI server broke off its answer. Only what was delivered is charged.',
        {
          cause,
        },
      );
