/** Quote: what a request would cost, told before anybody pays for it. */
import { type Msat, minMsat } from '../base/money.ts';
import { ceiling } from '../pricing/ceiling.ts';
import { cost } from '../pricing/cost.ts';
import { readChatRequest } from '../protocol/chat-request.ts';
import type { Catalogue } from '../upstream/catalogue.ts';
import type { Wallet } from '../wallet/wallet.ts';
import { ceilingRequest } from './ask.ts';
import { leastCost, mostCost } from './holds.ts';
import { pricedOffers } from './serve.ts';
import { acceptedMints } from './shelves.ts';

export interface Quote {
  model: string;
  /** Estimate from the size of the body. */
  promptTokens: number;
  /** Of all choices together. */
  maxOutputTokens: number;
  /** Less than this pays for no answer at all. */
  least: Msat;
  expected: Msat;
  /** Prompt and the longest answer; a limit of this height makes it binding, because the prompt is an estimate. */
  most: Msat;
  /** For `most`, as the 402 of the same request would carry it. */
  paymentRequest: string;
  mints: string[];
}

/** Tokens that a usual answer has. */
const USUAL_ANSWER = 500;

/** Of the body of a paid request. Throws what such a request throws before it is paid for. */
export function createQuotes(parts: { catalogue: Catalogue; wallet: Wallet }): (body: Buffer) => Quote {
  const { catalogue, wallet } = parts;
  return (body) => {
    const facts = readChatRequest(body);
    const { first } = pricedOffers(catalogue, facts.model);
    const asked = ceilingRequest(facts);
    const { maxOutput } = ceiling(asked, first);
    const most = mostCost(asked, first);
    const usual = {
      promptTokens: Math.min(asked.promptTokens, first.contextLength),
      cachedTokens: 0,
      completionTokens: Math.min(maxOutput, USUAL_ANSWER) * asked.choices,
      estimated: true,
    };
    return {
      model: first.modelId,
      promptTokens: asked.promptTokens,
      maxOutputTokens: maxOutput * asked.choices,
      least: leastCost(asked, first),
      expected: minMsat(cost(usual, first.price).total, most),
      most,
      paymentRequest: wallet.paymentRequest(most),
      mints: acceptedMints(wallet),
    };
  };
}
