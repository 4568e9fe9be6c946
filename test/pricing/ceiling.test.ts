import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { msat, ZERO } from '../../src/base/money.ts';
import { ceiling, clampOutput } from '../../src/pricing/ceiling.ts';
import { cost } from '../../src/pricing/cost.ts';
import { publishedPricing, type PricedModel, type PublishedPrices } from '../../src/pricing/published.ts';
import { readChatRequest } from '../../src/protocol/chat-request.ts';

const MODEL: PricedModel = {
  price: { in: 1_000_000, out: 2_000_000, cached: 1_000_000, requestFee: ZERO, minimum: ZERO },
  contextLength: 1_000,
  maxOutputTokens: 500,
};
const chat = (promptTokens: number, maxOutputTokens?: number, choices = 1) => ({
  promptTokens,
  maxOutputTokens,
  choices,
});

test('the hold is prompt and maximum output', () => {
  expect(ceiling(chat(100, 50), MODEL)).toMatchObject({ full: 200, promptCost: 100, maxOutput: 50 });
  const { hold } = ceiling(chat(100, 50), MODEL);
  expect(hold).toBeLessThanOrEqual(200);
  expect(hold).toBeGreaterThanOrEqual(195);
});

test('without a limit the model decides how long the answer can be', () => {
  expect(ceiling(chat(100), MODEL)).toMatchObject({ full: 1_100, maxOutput: 500 });
});

test('a limit above the model is the model', () => {
  expect(ceiling(chat(100, 1_000_000), MODEL).maxOutput).toBe(500);
});

test('several choices are held for each (T4)', () => {
  const one = ceiling(chat(100, 50), MODEL).hold;
  expect(ceiling(chat(100, 50, 8), MODEL).hold).toBe(one + 7 * 100);
});

test('a model that costs nothing holds nothing', () => {
  const free = { ...MODEL, price: { ...MODEL.price, in: 0, out: 0, cached: 0 } };
  expect(ceiling(chat(100), free)).toMatchObject({ hold: 0, full: 0 });
  expect(clampOutput(ZERO, chat(100), free)).toBe(500);
});

test('a model with a price never holds nothing, so that an empty account gets nothing', () => {
  const cheap = { ...MODEL, price: { ...MODEL.price, in: 1, out: 1 } };
  expect(ceiling(chat(1, 1), cheap).hold).toBe(1);
  expect(clampOutput(ZERO, chat(1_000_000, 500), MODEL)).toBe(0);
});

describe('a balance smaller than the ceiling', () => {
  test('pays a shorter answer', () => {
    expect(clampOutput(msat(300), chat(100), MODEL)).toBe(100);
  });
  test('shares what is left among the choices', () => {
    expect(clampOutput(msat(300), chat(100, 500, 4), MODEL)).toBe(25);
  });
  test('that does not cover the prompt pays nothing', () => {
    expect(clampOutput(msat(99), chat(100), MODEL)).toBe(0);
    expect(clampOutput(msat(100), chat(100), MODEL)).toBe(0);
  });
  test('below the minimum charge pays nothing', () => {
    const costly = { ...MODEL, price: { ...MODEL.price, minimum: msat(1_000) } };
    expect(clampOutput(msat(999), chat(1, 1), costly)).toBe(0);
    expect(ceiling(chat(1, 1), costly).required).toBe(1_000);
    expect(clampOutput(msat(1_000), chat(1, 1), costly)).toBe(1);
  });
});

/** What the newest Routstr client expects to be held, from what it reads in /v1/models. In msat. */
function clientGate(
  body: unknown,
  maxTokens: number | undefined,
  sats: PublishedPrices,
  top: { context: number; output: number },
): number {
  const characters = (value: unknown): number => {
    if (typeof value === 'string') return value.length;
    if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + characters(item), 0);
    if (typeof value === 'object' && value !== null) {
      return Object.entries(value).reduce((sum, [key, item]) => sum + key.length + characters(item), 0);
    }
    return 0;
  };
  const promptTokens = Math.floor(characters(body) / 3);
  const promptBudgetTokens = Math.max(0, top.context - top.output);
  let gate = Math.max(1, Math.floor(sats.max_cost * 0.99 * 1000));
  gate -= Math.max(0, promptBudgetTokens * sats.prompt * 0.99 - promptTokens * sats.prompt) * 1000;
  if (maxTokens !== undefined) {
    gate -= Math.max(0, sats.max_completion_cost * 0.99 - maxTokens * sats.completion) * 1000;
  }
  return gate;
}

const perMillion = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_000_000_000 }));
const models = fc.record({
  price: fc.record({
    in: perMillion,
    out: perMillion,
    cached: perMillion,
    requestFee: fc.oneof(fc.constant(0), fc.nat(100_000)).map(msat),
    minimum: fc.oneof(fc.constant(0), fc.nat(100_000)).map(msat),
  }),
  contextLength: fc.integer({ min: 1, max: 2_000_000 }),
  maxOutputTokens: fc.integer({ min: 1, max: 2_000_000 }),
});
const messages = fc.array(
  fc.record({
    role: fc.constantFrom('user', 'system'),
    content: fc.oneof(fc.string(), fc.string({ minLength: 200 })),
  }),
  { maxLength: 5 },
);
const limits = fc.option(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 4_000_000 })), {
  nil: undefined,
});

/** Keys that poison prototypes are refused before anything is reckoned. */
const harmlessJson = fc
  .jsonValue()
  .filter((value) => !/"(?:__proto__|constructor|prototype)"/.test(JSON.stringify(value)));

test('property: the hold is never above what a Routstr client brings', () => {
  fc.assert(
    fc.property(models, messages, limits, harmlessJson, (model, list, maxTokens, extra) => {
      const body = { model: 'm', messages: list, metadata: extra, max_tokens: maxTokens };
      const facts = readChatRequest(Buffer.from(JSON.stringify(body)));
      const { sats_pricing: sats } = publishedPricing(model, 1_000_000);
      const gate = clientGate(JSON.parse(JSON.stringify(body)), maxTokens, sats, {
        context: model.contextLength,
        output: model.maxOutputTokens,
      });
      const { hold } = ceiling(chat(facts.promptTokens, facts.maxTokens), model);
      expect(hold).toBeLessThanOrEqual(Math.max(1, gate));
      expect(hold).toBeLessThanOrEqual(sats.max_cost * 1000);
    }),
    { numRuns: 500 },
  );
});

test('property: a balance that covers the hold is served in full where prompt and output have room of their own', () => {
  fc.assert(
    fc.property(
      models,
      fc.nat(3_000_000),
      limits,
      fc.integer({ min: 1, max: 8 }),
      (any, prompt, max, choices) => {
        const price = { ...any.price, minimum: ZERO };
        const model = { ...any, price, contextLength: any.contextLength + any.maxOutputTokens };
        const request = chat(prompt, max, choices);
        const { hold, maxOutput } = ceiling(request, model);
        expect(clampOutput(hold, request, model)).toBe(maxOutput);
      },
    ),
  );
});

test('property: a clamped answer never costs more than the balance', () => {
  fc.assert(
    fc.property(models, fc.nat(2_000_000), limits, fc.nat(1_000_000_000), (model, prompt, max, balance) => {
      const request = chat(prompt, max);
      const room = Math.max(model.contextLength - model.maxOutputTokens, 0) || model.contextLength;
      const output = clampOutput(msat(balance), request, model);
      const { full, maxOutput } = ceiling(request, model);
      if (output === 0 || output === maxOutput) return;
      const usage = {
        promptTokens: Math.min(prompt, room),
        completionTokens: output,
        cachedTokens: 0,
        estimated: false,
      };
      expect(cost(usage, model.price).total).toBeLessThanOrEqual(Math.max(balance + 1, full / 100));
    }),
  );
});
