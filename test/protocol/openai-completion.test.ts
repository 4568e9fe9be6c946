import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { type Members, readCompletion } from '../../src/protocol/completion.ts';

const answer = (message: unknown, more: object = {}) => ({
  id: 'c1',
  object: 'chat.completion',
  choices: [{ index: 0, message, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 },
  ...more,
});
const members = (object: object): Members => ({
  names: Object.keys(object),
  text: JSON.stringify(object).slice(1, -1),
});
const read = (value: unknown) => readCompletion(Buffer.from(JSON.stringify(value)));

test('an answer is read for its usage and written with its cost', () => {
  const given = answer({ role: 'assistant', content: 'hello' }, { service_tier: 'default', x_unknown: [1] });
  const completion = read(given);
  expect(completion).toMatchObject({ empty: false, usage: { promptTokens: 10, completionTokens: 2 } });
  const written: unknown = JSON.parse(
    String(
      completion.withMembers(members({ cost: { total_msats: 5 } }), members({ cost: 0.001, cost_msats: 5 })),
    ),
  );
  expect(written).toEqual({
    ...given,
    cost: { total_msats: 5 },
    usage: { ...given.usage, cost: 0.001, cost_msats: 5 },
  });
});

test('an answer without usage is estimated, and gets the usage it lacks', () => {
  const completion = read(answer({ content: 'a'.repeat(400) }, { usage: null }));
  expect(completion.usage).toBeUndefined();
  expect(completion.estimate).toBe(100);
  const written = String(completion.withMembers(members({ cost: 1 }), members({ prompt_tokens: 1 })));
  expect(JSON.parse(written)).toMatchObject({ usage: { prompt_tokens: 1 }, cost: 1 });
});

describe('the cost is added to the text as it came', () => {
  const extra = members({ cost: { total_msats: 5 } });
  const billed = members({ cost: 0.5 });
  const add = (text: string): string => String(readCompletion(Buffer.from(text)).withMembers(extra, billed));

  test.each([
    [
      '{ "usage" : { "prompt_tokens": 1.0, "completion_tokens": 1 } , "choices":[{"message":{"content":"é \\"usage\\": {}"}}] }\n',
      '{ "usage" : { "prompt_tokens": 1.0, "completion_tokens": 1 ,"cost":0.5} , "choices":[{"message":{"content":"é \\"usage\\": {}"}}] ,"cost":{"total_msats":5}}',
    ],
    [
      '{"a":{"usage":{"x":1}},"usage":{ }}',
      '{"a":{"usage":{"x":1}},"usage":{ "cost":0.5},"cost":{"total_msats":5}}',
    ],
  ])('%s', (text, written) => {
    expect(add(text)).toBe(written);
    JSON.parse(written);
  });

  test.each([
    ['a name that is taken at the top', '{"cost":9,"usage":{"a":1},"id":"x"}'],
    ['a name that is taken in usage', '{"usage":{"a":1,"cost":9},"id":"x"}'],
    ['usage written twice', '{"usage":{"z":1},"id":"x","usage":{"a":1}}'],
    ['usage with an escaped name', '{"us\\u0061ge":{"a":1},"id":"x"}'],
  ])('or the answer is written anew: %s', (_what, text) => {
    expect(JSON.parse(add(text))).toEqual({ id: 'x', usage: { a: 1, cost: 0.5 }, cost: { total_msats: 5 } });
    expect(add(text).match(/"cost"/g)).toHaveLength(2);
  });

  test('whatever else it holds', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.jsonValue(),
        fc.nat(3),
        (rest, counts, space) => {
          const text = JSON.stringify({ ...rest, usage: counts }, undefined, space);
          // As read back: JSON has no -0.
          const given = JSON.parse(text) as Record<string, unknown>;
          if ('error' in given) return;
          const { usage } = given;
          const before = typeof usage === 'object' && usage !== null && !Array.isArray(usage) ? usage : {};
          const written: unknown = JSON.parse(add(text));
          expect(written).toEqual({ ...given, usage: { ...before, cost: 0.5 }, cost: { total_msats: 5 } });
        },
      ),
    );
  });
});

describe('an answer is empty', () => {
  test.each([
    ['without choices', { ...answer({}), choices: [] }],
    ['with choices that are none', { ...answer({}), choices: 'x' }],
    ['without content', answer({ role: 'assistant', content: '' })],
    ['with null for content', answer({ role: 'assistant', content: null, tool_calls: [] })],
  ])('%s', (_what, value) => {
    expect(read(value)).toMatchObject({ empty: true, estimate: 0 });
  });
});

test.each([
  [
    'a tool call',
    { content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '' } }] },
  ],
  ['reasoning', { content: '', reasoning_content: 'hm' }],
  ['a refusal', { content: null, refusal: 'no' }],
  ['parts', { content: [{ type: 'text', text: 'x' }] }],
])('%s is output', (_what, message) => {
  expect(read(answer(message)).empty).toBe(false);
});

test.each(['', 'nonsense', '<html></html>', '[]', 'null', '7', '{"error":{"message":"sk-secret"}}'])(
  '%j is no answer',
  (text) => {
    expect(() => readCompletion(Buffer.from(text))).toThrow(NodeError);
    try {
      readCompletion(Buffer.from(text));
    } catch (error) {
      expect((error as NodeError).code).toBe('upstream_error');
      expect((error as NodeError).message).not.toContain('sk-secret');
    }
  },
);
