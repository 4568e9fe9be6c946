import { describe, expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { readCompletion } from '../../src/protocol/completion.ts';

const answer = (message: unknown, more: object = {}) => ({
  id: 'c1',
  object: 'chat.completion',
  choices: [{ index: 0, message, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 },
  ...more,
});
const read = (value: unknown) => readCompletion(Buffer.from(JSON.stringify(value)));

test('an answer is read for its usage and written with its cost', () => {
  const given = answer({ role: 'assistant', content: 'hello' }, { service_tier: 'default', x_unknown: [1] });
  const completion = read(given);
  expect(completion).toMatchObject({ empty: false, usage: { promptTokens: 10, completionTokens: 2 } });
  const written: unknown = JSON.parse(
    completion.withFields({ cost: { total_msats: 5 } }, { cost: 0.001, cost_msats: 5 }).toString(),
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
  expect(JSON.parse(completion.withFields({}, { prompt_tokens: 1 }).toString())).toMatchObject({
    usage: { prompt_tokens: 1 },
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
