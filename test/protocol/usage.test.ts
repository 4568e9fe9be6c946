import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readUsage } from '../../src/protocol/usage.ts';

const counts = (promptTokens: number, completionTokens: number, cachedTokens = 0) => ({
  promptTokens,
  completionTokens,
  cachedTokens,
  estimated: false,
});

test.each([
  ['OpenAI', { prompt_tokens: 10, completion_tokens: 2 }, counts(10, 2)],
  [
    'OpenAI with cached tokens',
    { prompt_tokens: 10, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 4 } },
    counts(10, 2, 4),
  ],
  [
    'Responses (T17)',
    { input_tokens: 100, output_tokens: 5, input_tokens_details: { cached_tokens: 80 } },
    counts(100, 5, 80),
  ],
  [
    'Anthropic, whose input excludes the cache',
    { input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 80, cache_creation_input_tokens: 7 },
    counts(97, 5, 80),
  ],
  ['DeepSeek', { prompt_tokens: 10, completion_tokens: 2, prompt_cache_hit_tokens: 6 }, counts(10, 2, 6)],
  ['embeddings', { prompt_tokens: 8, total_tokens: 8 }, counts(8, 0)],
  [
    'nulls beside the counts',
    { prompt_tokens: 8, completion_tokens: 1, prompt_tokens_details: null },
    counts(8, 1),
  ],
  ['zeros, which are believed', { prompt_tokens: 0, completion_tokens: 0 }, counts(0, 0)],
])('usage of %s', (_who, raw, usage) => {
  expect(readUsage(raw)).toEqual(usage);
});

describe('what cannot be true is taken as absent', () => {
  const bad = [-1, 1.5, NaN, Infinity, 1e308, 2 ** 53, 100_000_001, '10', true, {}, []];
  test.each(bad)('%j as count', (value) => {
    expect(readUsage({ prompt_tokens: value, completion_tokens: 1 })).toBeUndefined();
    expect(readUsage({ prompt_tokens: 1, completion_tokens: value })).toBeUndefined();
  });
  test.each(bad)('%j as cached tokens is none', (value) => {
    const raw = { prompt_tokens: 10, completion_tokens: 1, prompt_tokens_details: { cached_tokens: value } };
    expect(readUsage(raw)).toEqual(counts(10, 1, 0));
  });
  test.each([undefined, null, 7, 'x', [], {}, { completion_tokens: 5 }, { prompt_tokens: 5 }])(
    '%j',
    (raw) => {
      expect(readUsage(raw)).toBeUndefined();
    },
  );
  test('more cached than prompt tokens are the prompt', () => {
    const raw = { prompt_tokens: 10, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 99 } };
    expect(readUsage(raw)?.cachedTokens).toBe(10);
  });
});

test('property: whatever comes, counts are whole, not negative and bounded', () => {
  const value = fc.oneof(fc.double(), fc.integer(), fc.string(), fc.constant(null), fc.object());
  const keys = [
    'prompt_tokens',
    'completion_tokens',
    'input_tokens',
    'output_tokens',
    'total_tokens',
    'cache_read_input_tokens',
  ];
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...keys), value), (raw) => {
      const usage = readUsage(raw);
      if (usage === undefined) return;
      for (const count of [usage.promptTokens, usage.completionTokens, usage.cachedTokens]) {
        expect(Number.isSafeInteger(count) && count >= 0 && count <= 100_000_000).toBe(true);
      }
      expect(usage.cachedTokens).toBeLessThanOrEqual(usage.promptTokens);
    }),
  );
});
