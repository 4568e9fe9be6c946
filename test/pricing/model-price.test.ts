import { describe, expect, test } from 'vitest';
import { msat, ZERO } from '../../src/base/money.ts';
import { perMillion, readDecimal } from '../../src/pricing/decimal.ts';
import { modelPrice, type PricingConfig } from '../../src/pricing/model-price.ts';
import { maxCosts, publishedPricing } from '../../src/pricing/published.ts';

const plain: PricingConfig = {
  mode: 'model',
  btc_usd: 'auto',
  exchange_fee_percent: 0,
  margin_percent: 0,
  node_fee_percent: 0,
  request_fee_msats: 0,
  minimum_charge_msats: 0,
};
/** 100,000 USD a bitcoin. */
const RATE = 1_000_000;
const usd = { input: 0.15, output: 0.6 };

test('a price is USD per million tokens times the rate', () => {
  expect(modelPrice(usd, RATE, plain)).toEqual({
    in: 150_000,
    out: 600_000,
    cached: 150_000,
    requestFee: 0,
    minimum: 0,
  });
});

test('fees multiply, exactly where floats would not', () => {
  const fees = { ...plain, exchange_fee_percent: 0.5, margin_percent: 10, node_fee_percent: 2.1 };
  // 0.1 x 1e6 x 1.005 x 1.1 x 1.021 = 112871.55 without any rounding before the last.
  expect(modelPrice({ input: 0.1, output: '0.1' }, RATE, fees)).toMatchObject({ in: 112_872, out: 112_872 });
});

test('the smallest price is rounded up, a price of zero stays zero', () => {
  expect(modelPrice({ input: '0.0000000001', output: 0 }, RATE, plain)).toMatchObject({ in: 1, out: 0 });
});

test('cached tokens and requests have prices of their own if the upstream names them', () => {
  expect(modelPrice({ ...usd, cached: '0.075', request: '0.00001' }, RATE, plain)).toMatchObject({
    cached: 75_000,
    requestFee: 10,
  });
});

describe('modes', () => {
  test('token: one price for all models', () => {
    const config = {
      ...plain,
      mode: 'token' as const,
      input_usd_per_million: 1,
      output_usd_per_million: '2',
    };
    expect(modelPrice(undefined, RATE, config)).toMatchObject({ in: 1_000_000, out: 2_000_000 });
    expect(modelPrice(usd, RATE, config)).toMatchObject({ in: 1_000_000, out: 2_000_000 });
  });
  test('request: flat, without any rate', () => {
    const config = { ...plain, mode: 'request' as const, request_fee_msats: 3_000 };
    expect(modelPrice(usd, undefined, config)).toMatchObject({ in: 0, out: 0, cached: 0, requestFee: 3_000 });
  });
});

test('no rate is no price, and an unreadable price is none (bitrouter #463)', () => {
  expect(modelPrice(usd, undefined, plain)).toBeUndefined();
  expect(modelPrice(undefined, RATE, plain)).toBeUndefined();
  for (const input of [-1, NaN, Infinity, '', 'free', '1e300', '0x10']) {
    expect(modelPrice({ input, output: 1 }, RATE, plain)).toBeUndefined();
  }
});

test('decimals keep their digits', () => {
  expect(readDecimal('12.50')).toEqual({ digits: 1250n, scale: 2 });
  expect(readDecimal(1e-7)).toEqual({ digits: 1n, scale: 7 });
  expect(readDecimal('2e3')).toEqual({ digits: 2000n, scale: 0 });
  expect(readDecimal(perMillion('0.0000025'))).toEqual({ digits: 25n, scale: 1 });
  expect(readDecimal(perMillion(2.5e-7))).toEqual({ digits: 25n, scale: 2 });
});

describe('published prices', () => {
  const price = { in: 1_000_000, out: 2_000_000, cached: 500_000, requestFee: msat(1_000), minimum: ZERO };

  test('are numbers per token in USD and sat', () => {
    const { pricing, sats_pricing: sats } = publishedPricing(
      { price, contextLength: 1_000, maxOutputTokens: 500 },
      RATE,
    );
    expect(sats).toMatchObject({ prompt: 0.001, completion: 0.002, request: 1, input_cache_read: 0.0005 });
    expect(sats).toMatchObject({ max_prompt_cost: 1, max_completion_cost: 1, max_cost: 2.5 });
    expect(pricing).toMatchObject({ prompt: 1e-6, completion: 2e-6, request: 0.001, max_cost: 0.0025 });
  });

  test.each([
    ['room of its own for the output', 1_000, 500, 500 * 1 + 500 * 2, 1_000, 1_000],
    ['output that can fill the context', 1_000, 1_000, 1_000 * 2, 1_000, 2_000],
    ['more output than context', 1_000, 9_000, 1_000 * 2, 1_000, 2_000],
  ])('largest cost with %s', (_what, contextLength, maxOutputTokens, max, maxPrompt, maxCompletion) => {
    const free = { ...price, requestFee: ZERO };
    expect(maxCosts({ price: free, contextLength, maxOutputTokens })).toMatchObject({
      maxCost: max,
      maxPromptCost: maxPrompt,
      maxCompletionCost: maxCompletion,
    });
  });

  test('a free model has a largest cost above 0, because clients take 0 for unknown', () => {
    const free = { in: 0, out: 0, cached: 0, requestFee: ZERO, minimum: ZERO };
    const { sats_pricing: sats } = publishedPricing(
      { price: free, contextLength: 9, maxOutputTokens: 3 },
      RATE,
    );
    expect(sats.max_cost).toBeGreaterThan(0);
  });

  test('without a rate the numbers in USD are 0, never NaN', () => {
    const { pricing } = publishedPricing({ price, contextLength: 9, maxOutputTokens: 3 }, undefined);
    expect(Object.values(pricing).every((value) => value === 0)).toBe(true);
  });
});
