/** Bill: what an answer cost, in every form that clients read (PROTOCOL.md §1, Cost). */
import type { RequestId } from '../base/id.ts';
import { type Msat, ZERO, minMsat, msat, sub } from '../base/money.ts';
import type { Usage } from '../protocol/openai.ts';
import type { Cost, Receipt } from './request.ts';

export const NO_COST: Cost = { base: ZERO, input: ZERO, output: ZERO, total: ZERO, totalUsd: 0 };

/** The cost as it was charged: what the balance could not pay is struck off the output first. */
export function chargedCost(
  cost: { base: Msat; input: Msat; output: Msat; total: Msat },
  charged: Msat,
  msatPerUsd: number | undefined,
): Cost {
  let missing = sub(cost.total, charged);
  const strike = (part: Msat): Msat => {
    const struck = minMsat(part, missing);
    missing = sub(missing, struck);
    return sub(part, struck);
  };
  const output = strike(cost.output);
  const input = strike(cost.input);
  const base = strike(cost.base);
  return { base, input, output, total: charged, totalUsd: usd(charged, msatPerUsd) };
}

/** Dollars for display, to a hundredth of a micro-dollar. */
const usd = (amount: Msat, msatPerUsd: number | undefined): number =>
  msatPerUsd === undefined ? 0 : Math.round((amount / msatPerUsd) * 1e8) / 1e8;

/** Extra keys of `usage`: `cost` is a number in USD because OpenRouter-shaped clients refuse anything else. */
export function usageFields({ cost }: Receipt): Record<string, unknown> {
  return {
    cost: cost.totalUsd,
    cost_msats: cost.total,
    cost_sats: cost.total / 1000,
    cost_details: {
      base_msats: cost.base,
      input_msats: cost.input,
      output_msats: cost.output,
      total_msats: cost.total,
    },
  };
}

/** Extra top-level keys: `cost` and `metadata.routstr`. */
export function answerFields(receipt: Receipt): Record<string, unknown> {
  const cost = costObject(receipt.cost, receipt.usage);
  return {
    cost,
    metadata: {
      routstr: {
        request_id: receipt.requestId,
        cost,
        ...(receipt.usage.estimated ? { usage_estimated: true } : {}),
        ...(receipt.change
          ? { change: receipt.change.reveal() }
          : { remaining_balance_msats: receipt.balance }),
      },
    },
  };
}

function costObject(cost: Cost, usage: Usage): Record<string, unknown> {
  return {
    base_msats: cost.base,
    input_msats: cost.input,
    output_msats: cost.output,
    total_msats: cost.total,
    total_usd: cost.totalUsd,
    input_tokens: usage.promptTokens,
    output_tokens: usage.completionTokens,
    cache_read_input_tokens: usage.cachedTokens,
  };
}

/** `usage` in the OpenAI shape with our keys; for streams whose upstream sent none, and for the last chunk of all. */
export function usageObject(
  receipt: Receipt,
  upstream: Record<string, unknown> | undefined,
): Record<string, unknown> {
  const { usage } = receipt;
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    ...upstream,
    ...usageFields(receipt),
  };
}

export function makeReceipt(
  requestId: RequestId,
  model: string,
  usage: Usage,
  settled: { cost: Cost; balance: Msat },
): Receipt {
  return { requestId, model, usage, cost: settled.cost, balance: msat(settled.balance) };
}
