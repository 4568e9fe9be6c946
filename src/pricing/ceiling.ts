/**
 * Ceiling: how much to hold for a request before its cost is known, and how much output a balance can pay.
 *
 * Routstr clients compute for themselves what a node will hold (their gate) and bring exactly that much. A node
 * that holds more sends them into a loop of top-ups, so the hold is the cost of prompt and maximum output, but never
 * more than their gate. What the hold does not cover is taken from the free balance when the cost is known.
 */
import { add, maxMsat, minMsat, msat, type Msat, ZERO } from '../base/money.ts';
import { priceOfTokens, TOKENS_PER_PRICE, type ModelPrice } from './cost.ts';
import { maxCosts, type MaxCosts, type PricedModel } from './published.ts';

export type { PricedModel };

export interface CeilingRequest {
  /** Estimate from the size of the body; see `readChatRequest`. */
  promptTokens: number;
  /** As the client asked; undefined means as much as the model gives. */
  maxOutputTokens: number | undefined;
  /** Answers asked for at once (`n`). */
  choices: number;
}

export interface Ceiling {
  /** To be held. Never above the clients' own estimate nor, for one choice, above the published `max_cost`. */
  hold: Msat;
  /** What a balance must show before the request is served in full: the hold, or the operator's minimum charge. */
  required: Msat;
  /** Price of the prompt alone, request fee included. */
  promptCost: Msat;
  /** Price of prompt and maximum output of all choices, fees included. */
  full: Msat;
  /** Output tokens per choice that `full` pays. */
  maxOutput: number;
}

export function ceiling(request: CeilingRequest, model: PricedModel): Ceiling {
  const { price } = model;
  const longest = Math.min(model.maxOutputTokens, model.contextLength);
  const maxOutput = Math.min(request.maxOutputTokens ?? longest, longest);
  const prompt = Math.min(request.promptTokens, promptRoom(model));
  const costs = maxCosts(model);
  const one = minMsat(most(prompt, maxOutput, price), costs.maxCost);
  const further = priceOfTokens([[maxOutput * (request.choices - 1), price.out]]);
  // The clients' gate knows one choice only; further ones are held on top of it.
  const hold = add(minMsat(one, gate(request, model, costs)), further);
  return {
    hold,
    required: maxMsat(hold, price.minimum),
    promptCost: add(priceOfTokens([[prompt, price.in]]), price.requestFee),
    full: add(one, further),
    maxOutput,
  };
}

/** No answer uses more than the context for its prompt, nor, for each choice, than the output that was allowed. */
export function mostUsage(
  { maxOutputTokens, choices }: Pick<CeilingRequest, 'maxOutputTokens' | 'choices'>,
  { contextLength }: Pick<PricedModel, 'contextLength'>,
): { promptTokens: number; completionTokens: number } {
  const output = Math.min(maxOutputTokens ?? contextLength, contextLength);
  return { promptTokens: contextLength, completionTokens: output * choices };
}

const most = (prompt: number, output: number, price: ModelPrice): Msat => {
  const tokens = priceOfTokens([
    [prompt, price.in],
    [output, price.out],
  ]);
  return maxMsat(add(tokens, price.requestFee), price.minimum);
};

/**
 * Output tokens per choice that `available` can pay after the prompt; 0 means that it cannot pay the request.
 * A shortage of a hundredth is overlooked: it is what the clients' gate leaves out on purpose.
 */
export function clampOutput(available: Msat, request: CeilingRequest, model: PricedModel): number {
  const { promptCost, full, maxOutput } = ceiling(request, model);
  if (available < model.price.minimum) return 0;
  if (available + Math.floor(full / 100) + OVERLOOKED >= full) return maxOutput;
  const left = available - promptCost;
  if (left < 0) return 0;
  const perToken = model.price.out * request.choices;
  return perToken === 0 ? maxOutput : Math.min(maxOutput, affordable(left, perToken));
}

/** floor(left x 1e6 / perToken), exact also where the product passes 2^53. */
function affordable(left: number, perToken: number): number {
  const product = left * 1_000_000;
  if (Number.isSafeInteger(product)) return Math.floor(product / perToken);
  return Number((BigInt(left) * 1_000_000n) / BigInt(perToken));
}

/** Tokens that can be prompt: what the context leaves beside the maximum output, as clients reckon. */
const promptRoom = (model: PricedModel): number =>
  model.contextLength > model.maxOutputTokens
    ? model.contextLength - model.maxOutputTokens
    : model.contextLength;

/** Clients round down and work in floats; two msat less than the exact value is at or below all of them. */
const GATE_SLACK = 2;
/** Room for the roundings between hold and full price, so that a balance that covers the hold is never clamped. */
const OVERLOOKED = 2 * GATE_SLACK + 1;
const TOLERANCE = 0.99;

/**
 * Lower bound of the clients' gate. It is worked out in floats: amounts up to 1e13 msat keep their error far below
 * `GATE_SLACK`, and the result only ever lowers an amount that was computed exactly.
 */
function gate(request: CeilingRequest, model: PricedModel, max: MaxCosts): Msat {
  const { price } = model;
  if (max.free) return ZERO;
  const budget = Math.max(0, model.contextLength - model.maxOutputTokens);
  const unusedPrompt = ((budget * TOLERANCE - request.promptTokens) * price.in) / TOKENS_PER_PRICE;
  const unusedOutput =
    request.maxOutputTokens === undefined
      ? 0
      : max.maxCompletionCost * TOLERANCE - (request.maxOutputTokens * price.out) / TOKENS_PER_PRICE;
  const value = max.maxCost * TOLERANCE - Math.max(0, unusedPrompt) - Math.max(0, unusedOutput);
  // A client that pays at all brings at least one sat, so one msat is never above its estimate.
  return maxMsat(msat(1), msat(Math.floor(value) - GATE_SLACK));
}
