/** Cost of one answer in msat, exact and rounded up once. */
import { add, maxMsat, mulDivCeil, sub, type Msat, msat } from '../base/money.ts';
import type { Usage } from '../protocol/openai.ts';

/** Integer prices. 0 is a valid price; a price that is not known is `undefined` instead of a ModelPrice. */
export interface ModelPrice {
  /** Msat per 1,000,000 prompt tokens. */
  in: number;
  /** Msat per 1,000,000 completion tokens. */
  out: number;
  /** Msat per 1,000,000 prompt tokens that the upstream read from its cache. */
  cached: number;
  /** Once per answered request. */
  requestFee: Msat;
  /** Least that an answer with any tokens costs, fee included. */
  minimum: Msat;
}

/** `input + output + base = total`, always. `base` is the request fee and what lifts the sum to the minimum. */
export interface CostBreakdown {
  input: Msat;
  output: Msat;
  base: Msat;
  total: Msat;
}

export const TOKENS_PER_PRICE = 1_000_000;

export function cost(usage: Usage, price: ModelPrice): CostBreakdown {
  const cached = Math.min(usage.cachedTokens, usage.promptTokens);
  const prompt: TokenCount[] = [
    [usage.promptTokens - cached, price.in],
    [cached, price.cached],
  ];
  const tokens = priceOfTokens([...prompt, [usage.completionTokens, price.out]]);
  // The sum is rounded, not its parts: the part of a msat that both sides share falls to the input.
  const input = priceOfTokens(prompt);
  const nothingUsed = usage.promptTokens === 0 && usage.completionTokens === 0 && !usage.estimated;
  const least = add(tokens, price.requestFee);
  const total = nothingUsed ? least : maxMsat(least, price.minimum);
  return { input, output: sub(tokens, input), base: sub(total, tokens), total };
}

/** Number of tokens and their price per million. */
export type TokenCount = readonly [tokens: number, price: number];

/** Price of tokens of several classes together: ceil(sum of tokens x price / 1e6), exact at any size. */
export function priceOfTokens(counts: readonly TokenCount[]): Msat {
  let sum = 0;
  for (const [tokens, price] of counts) sum += tokens * price;
  if (Number.isSafeInteger(sum)) return mulDivCeil(sum, 1, TOKENS_PER_PRICE);
  let exact = 0n;
  for (const [tokens, price] of counts) exact += BigInt(tokens) * BigInt(price);
  const divisor = BigInt(TOKENS_PER_PRICE);
  return msat(Number((exact + divisor - 1n) / divisor));
}
