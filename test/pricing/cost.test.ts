import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { msat, ZERO } from '../../src/base/money.ts';
import { cost, type ModelPrice } from '../../src/pricing/cost.ts';
import type { Usage } from '../../src/protocol/openai.ts';

const usage = (promptTokens: number, completionTokens: number, rest: Partial<Usage> = {}): Usage => ({
  promptTokens,
  completionTokens,
  cachedTokens: 0,
  estimated: false,
  ...rest,
});
const price = (rest: Partial<ModelPrice> = {}): ModelPrice => ({
  in: 1_000_000,
  out: 2_000_000,
  cached: 1_000_000,
  requestFee: ZERO,
  minimum: ZERO,
  ...rest,
});

test('an answer costs its tokens at their prices', () => {
  expect(cost(usage(100, 50), price())).toEqual({ input: 100, output: 100, base: 0, total: 200 });
});

test('the request fee is the base', () => {
  expect(cost(usage(100, 50), price({ requestFee: msat(7) }))).toEqual({
    input: 100,
    output: 100,
    base: 7,
    total: 207,
  });
});

test('cached tokens have a price of their own', () => {
  const breakdown = cost(usage(100, 0, { cachedTokens: 80 }), price({ cached: 100_000 }));
  expect(breakdown.total).toBe(20 + 8);
});

test('the sum is rounded up once, not each part', () => {
  // 0.4 msat of input and 0.4 msat of output are one msat together, not two.
  const breakdown = cost(usage(1, 1), price({ in: 400_000, out: 400_000 }));
  expect(breakdown).toEqual({ input: 1, output: 0, base: 0, total: 1 });
  expect(cost(usage(1, 1), price({ in: 700_000, out: 700_000 })).total).toBe(2);
});

describe('a price of 0 is a price (T16)', () => {
  test('an embedding model without output price costs its input', () => {
    expect(cost(usage(100, 0), price({ out: 0 })).total).toBe(100);
  });
  test('a free model costs nothing', () => {
    expect(cost(usage(1_000, 1_000), price({ in: 0, out: 0, cached: 0 })).total).toBe(0);
  });
});

test('a measured usage of zero is believed and costs the request fee only', () => {
  const fees = price({ requestFee: msat(5), minimum: msat(1_000) });
  expect(cost(usage(0, 0), fees)).toEqual({ input: 0, output: 0, base: 5, total: 5 });
});

test('any used token costs at least the minimum', () => {
  const fees = price({ requestFee: msat(5), minimum: msat(1_000) });
  expect(cost(usage(1, 1), fees)).toEqual({ input: 1, output: 2, base: 997, total: 1_000 });
});

test('property: exact against whole-number arithmetic, and the parts add up', () => {
  const tokens = fc.integer({ min: 0, max: 100_000_000 });
  const perMillion = fc.integer({ min: 0, max: 1_000_000_000 });
  fc.assert(
    fc.property(
      tokens,
      tokens,
      tokens,
      fc.boolean(),
      perMillion,
      perMillion,
      perMillion,
      fc.nat(10_000),
      (promptTokens, completionTokens, cachedTokens, estimated, input, output, cached, fee) => {
        const result = cost(
          { promptTokens, completionTokens, cachedTokens, estimated },
          { in: input, out: output, cached, requestFee: msat(fee), minimum: ZERO },
        );
        const read = BigInt(Math.min(cachedTokens, promptTokens));
        const exact =
          (BigInt(promptTokens) - read) * BigInt(input) +
          read * BigInt(cached) +
          BigInt(completionTokens) * BigInt(output);
        const rounded = exact / 1_000_000n + (exact % 1_000_000n === 0n ? 0n : 1n);
        expect(BigInt(result.total)).toBe(rounded + BigInt(fee));
        expect(result.input + result.output + result.base).toBe(result.total);
        expect(Math.min(result.input, result.output, result.base)).toBeGreaterThanOrEqual(0);
      },
    ),
  );
});
