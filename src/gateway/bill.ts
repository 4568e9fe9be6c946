/** Bill: what an answer cost, in every form that clients read. */
import type { RequestId } from '../base/id.ts';
import { type Msat, ZERO, minMsat, msat, sub } from '../base/money.ts';
import { type Members, without } from '../protocol/completion.ts';
import { appendMembers } from '../protocol/json-scan.ts';
import type { JsonObject, Usage } from '../protocol/openai.ts';
import type { Cost, Receipt } from './request.ts';

export const NO_COST: Cost = { base: ZERO, input: ZERO, output: ZERO, total: ZERO, totalUsd: 0 };

/** The cost as it was charged: what the balance could not pay is struck off the output first. */
export function chargedCost(
  cost: { base: Msat; input: Msat; output: Msat; total: Msat },
  charged: Msat,
  msatPerUsd: number | undefined,
): Cost {
  if (charged === cost.total) {
    const { base, input, output, total } = cost;
    return { base, input, output, total, totalUsd: usd(charged, msatPerUsd) };
  }
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

const USAGE_NAMES = ['cost', 'cost_msats', 'cost_sats', 'cost_details'];
const FULL_USAGE_NAMES = ['prompt_tokens', 'completion_tokens', 'total_tokens', ...USAGE_NAMES];
const ANSWER_NAMES = ['cost', 'metadata'];

/** Extra members of `usage`: `cost` is a number in USD because OpenRouter-shaped clients refuse anything else. */
export function usageMembers({ cost }: Receipt): Members {
  const { base, input, output, total, totalUsd } = cost;
  return {
    names: USAGE_NAMES,
    text:
      `"cost":${totalUsd},"cost_msats":${total},"cost_sats":${total / 1000},` +
      `"cost_details":{"base_msats":${base},"input_msats":${input},"output_msats":${output},"total_msats":${total}}`,
  };
}

/** All of `usage` in the OpenAI shape, for answers whose upstream sent none that can be believed. */
export function fullUsageMembers(receipt: Receipt): Members {
  const { promptTokens, completionTokens } = receipt.usage;
  return {
    names: FULL_USAGE_NAMES,
    text:
      `"prompt_tokens":${promptTokens},"completion_tokens":${completionTokens},` +
      `"total_tokens":${promptTokens + completionTokens},${usageMembers(receipt).text}`,
  };
}

/** `usage` of the last chunk of a stream: what the upstream reported, or our count, and the cost. */
export function usageText(receipt: Receipt, upstream: JsonObject = {}): string {
  const { promptTokens, completionTokens } = receipt.usage;
  const members = usageMembers(receipt);
  const tokens = {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...without(upstream, members),
  };
  return appendMembers(JSON.stringify(tokens), members.text);
}

/** Extra top-level members: `cost` and `metadata.routstr`. */
export function answerMembers(receipt: Receipt): Members {
  const cost = costText(receipt.cost, receipt.usage);
  const estimated = receipt.usage.estimated ? ',"usage_estimated":true' : '';
  const rest = receipt.change
    ? `"change":${JSON.stringify(receipt.change.reveal())}`
    : `"remaining_balance_msats":${receipt.balance}`;
  return {
    names: ANSWER_NAMES,
    text: `"cost":${cost},"metadata":{"routstr":{"request_id":"${receipt.requestId}","cost":${cost}${estimated},${rest}}}`,
  };
}

const costText = (cost: Cost, usage: Usage): string =>
  `{"base_msats":${cost.base},"input_msats":${cost.input},"output_msats":${cost.output},` +
  `"total_msats":${cost.total},"total_usd":${cost.totalUsd},"input_tokens":${usage.promptTokens},` +
  `"output_tokens":${usage.completionTokens},"cache_read_input_tokens":${usage.cachedTokens}}`;

export function makeReceipt(
  requestId: RequestId,
  model: string,
  usage: Usage,
  cost: Cost,
  balance: Msat,
): Receipt {
  return { requestId, model, usage, cost, balance: msat(balance) };
}
