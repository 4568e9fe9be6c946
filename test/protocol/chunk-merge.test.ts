import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createChunkMerge } from '../../src/protocol/chunk-merge.ts';

const chunk = (delta: object, more: object = {}, index = 0): object => ({
  id: 'c1',
  object: 'chat.completion.chunk',
  choices: [{ index, delta, finish_reason: null }],
  ...more,
});
const sse = (...values: unknown[]): Buffer =>
  Buffer.from(
    values.map((value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`).join(''),
  );
const merged = (...values: unknown[]) => {
  const merge = createChunkMerge();
  merge.push(sse(...values));
  return merge.take().map(({ d }) => JSON.parse(d));
};

test('texts become one chunk, and the bill stays apart', () => {
  const usage = { id: 'c1', choices: [], usage: { total_tokens: 3 }, cost: { total_msats: 7 } };
  const end = { id: 'c1', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
  const all = [
    chunk({ role: 'assistant', content: '' }),
    chunk({ content: 'a' }),
    chunk({ content: 'b' }),
    end,
    usage,
  ];
  expect(merged(...all, '[DONE]')).toEqual([
    {
      ...chunk({}),
      choices: [{ index: 0, delta: { role: 'assistant', content: 'ab' }, finish_reason: 'stop' }],
    },
    usage,
  ]);
});

test.each([
  ['calls of tools', { tool_calls: [{ index: 0, function: { arguments: '{' } }] }, {}],
  ['errors', { content: 'x' }, { error: { message: 'no' } }],
  ['another answer', { content: 'x' }, { id: 'c2' }],
])('%s are passed on as they are', (_name, delta, more) => {
  const odd = chunk(delta, more);
  expect(merged(chunk({ content: 'a' }), odd, chunk({ content: 'b' }))).toHaveLength(3);
  expect(merged(odd)[0]).toEqual(odd);
});

test('several choices keep their own text, and nothing follows a finished one', () => {
  const out = merged(chunk({ content: 'a' }), chunk({ content: 'x' }, {}, 1), chunk({ content: 'b' }));
  expect(out).toEqual([
    {
      ...chunk({}),
      choices: [
        { index: 0, delta: { content: 'ab' }, finish_reason: null },
        { index: 1, delta: { content: 'x' }, finish_reason: null },
      ],
    },
  ]);
  const end = { id: 'c1', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
  expect(merged(chunk({ content: 'a' }), end, chunk({ content: 'late' }))).toHaveLength(2);
});

test('events with a name keep it, comments are nothing, what is no JSON is text', () => {
  const merge = createChunkMerge();
  merge.push(Buffer.from(': hello\n\nevent: ping\ndata: {"a":1}\n\ndata: plain\n\n: x\n\n'));
  expect(merge.take()).toEqual([{ e: 'ping', d: '{"a":1}' }, { d: 'plain' }]);
  expect(merge.last()).toEqual({ a: 1 });
  expect(merge.take()).toEqual([]);
});

test('however the bytes are cut and whenever one looks, the text read in a row is the same', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '\n', 'é', '🍕', '"', '\\', ' ', 'data: ') });
  fc.assert(
    fc.property(fc.array(text), fc.array(fc.nat(40)), (texts, cuts) => {
      const bytes = sse(...texts.map((content) => chunk({ content })), '[DONE]');
      const merge = createChunkMerge();
      const events: { d: string }[] = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        merge.push(bytes.subarray(at, at + cut));
        at += cut;
        if (cut % 2 === 0) events.push(...merge.take());
      }
      events.push(...merge.take());
      expect(events.map(({ d }) => JSON.parse(d).choices[0].delta.content).join('')).toBe(texts.join(''));
    }),
    { seed: 7, numRuns: 200 },
  );
});

test('a text too long for one frame is cut, between characters, and ends where it ended', () => {
  const long = 'ab🍕'.repeat(9_000);
  const out = merged({
    id: 'c1',
    choices: [{ index: 0, delta: { role: 'assistant', content: long }, finish_reason: 'stop' }],
  });
  expect(out.length).toBeGreaterThan(1);
  expect(out.map(({ choices }) => choices[0].delta.content).join('')).toBe(long);
  for (const { choices } of out) expect(choices[0].delta.content.isWellFormed()).toBe(true);
  expect(out.map(({ choices }) => choices[0].finish_reason).filter(Boolean)).toEqual(['stop']);
});
