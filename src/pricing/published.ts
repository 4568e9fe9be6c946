/** Published prices: the `pricing` and `sats_pricing` objects of `/v1/models`, and the largest possible costs. */
import { add, maxMsat, msat, type Msat } from '../base/money.ts';
import { priceOfTokens, TOKENS_PER_PRICE, type ModelPrice } from './cost.ts';

/** What of a model matters for its price. */
export interface PricedModel {
  price: ModelPrice;
  contextLength: number;
  maxOutputTokens: number;
}

/** Numbers per token (or per request), as Routstr clients expect them; none of them is a string or null. */
export interface PublishedPrices {
  prompt: number;
  completion: number;
  request: number;
  image: number;
  web_search: number;
  internal_reasoning: number;
  input_cache_read: number;
  input_cache_write: number;
  max_prompt_cost: number;
  max_completion_cost: number;
  max_cost: number;
}

/** `pricing` is in USD, `sats_pricing` in sat; all fees are included. Without a rate the USD numbers are 0. */
export function publishedPricing(
  model: PricedModel,
  msatPerUsd: number | undefined,
): { pricing: PublishedPrices; sats_pricing: PublishedPrices } {
  return {
    pricing: inCurrency(model, msatPerUsd ?? Infinity),
    sats_pricing: inCurrency(model, 1_000),
  };
}

function inCurrency(model: PricedModel, msatPerCoin: number): PublishedPrices {
  const { price } = model;
  const max = maxCosts(model);
  const perToken = (perMillion: number) => perMillion / (TOKENS_PER_PRICE * msatPerCoin);
  const whole = (amount: Msat) => amount / msatPerCoin;
  return {
    prompt: perToken(price.in),
    completion: perToken(price.out),
    request: whole(price.requestFee),
    image: 0,
    web_search: 0,
    internal_reasoning: 0,
    input_cache_read: perToken(price.cached),
    input_cache_write: perToken(price.in),
    max_prompt_cost: whole(max.maxPromptCost),
    max_completion_cost: whole(max.maxCompletionCost),
    max_cost: whole(max.maxCost),
  };
}

export interface MaxCosts {
  maxPromptCost: Msat;
  maxCompletionCost: Msat;
  /** Request fee included; at least the minimum charge, and at least 1 msat because clients take 0 for unknown. */
  maxCost: Msat;
  /** Nothing of this model costs anything. */
  free: boolean;
}

const known = new WeakMap<PricedModel, MaxCosts>();

/**
 * Largest costs of one answer. Prompt and output share the context: where the output can fill all of it, the dearer
 * of the two prices decides.
 */
export function maxCosts(model: PricedModel): MaxCosts {
  const before = known.get(model);
  if (before !== undefined) return before;
  const { price, contextLength, maxOutputTokens } = model;
  const shared = contextLength <= maxOutputTokens;
  const tokens = shared
    ? priceOfTokens([[contextLength, Math.max(price.in, price.out)]])
    : priceOfTokens([
        [contextLength - maxOutputTokens, price.in],
        [maxOutputTokens, price.out],
      ]);
  const most = maxMsat(add(tokens, price.requestFee), price.minimum);
  const costs = {
    maxPromptCost: priceOfTokens([[contextLength, price.in]]),
    maxCompletionCost: priceOfTokens([[shared ? contextLength : maxOutputTokens, price.out]]),
    maxCost: maxMsat(most, msat(1)),
    free: most === 0,
  };
  known.set(model, costs);
  return costs;
}
