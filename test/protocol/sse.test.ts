import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createChatStream } from '../../src/protocol/sse.ts';

const chunk = (delta: unknown, finish: string | null = null, more: object = {}): object => ({
  id: 'c1',
  object: 'chat.completion.chunk',
  created: 17,
  model: 'up',
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more,
});
const data = (value: unknown, feed = '\n'): string => `data: ${JSON.stringify(value)}${feed}${feed}`;
const DONE = 'data: [DONE]\n\n';
const USAGE = { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 };
const usageChunk = (usage: unknown): object => ({ ...chunk({}), choices: [], usage });

function run(parts: readonly (string | Buffer)[], options?: { choices?: number }) {
  const stream = createChatStream(options);
  const out: Buffer[] = [];
  for (const part of parts) out.push(...stream.push(Buffer.from(part as string)));
  const { rest, ...facts } = stream.end();
  return { out: Buffer.concat([...out, ...rest]).toString('utf8'), facts };
}

const FIRST = data(chunk({ role: 'assistant', content: '' }));
const HELLO = data(chunk({ content: 'Hällo 😀' }));
const STOP = data(chunk({}, 'stop'));

describe('a stream as it should be', () => {
  const whole = [FIRST, HELLO, STOP, data(usageChunk(USAGE)), DONE];

  test('passes byte for byte; the usage event and [DONE] are kept back', () => {
    const { out, facts } = run(whole);
    expect(out).toBe(FIRST + HELLO + STOP);
    expect(facts).toMatchObject({
      complete: true,
      finishSeen: true,
      doneSeen: true,
      errorSeen: false,
      empty: false,
      usage: { promptTokens: 10, completionTokens: 2, cachedTokens: 0, estimated: false },
      rawUsage: USAGE,
      id: 'c1',
      created: 17,
      model: 'up',
    });
  });

  test('a chunk of whole events goes through as the very same buffer', () => {
    const stream = createChatStream();
    const bytes = Buffer.from(FIRST + HELLO + STOP);
    expect(stream.push(bytes)[0]).toBe(bytes);
  });

  test('comments pass, and CR LF stays CR LF', () => {
    const text = `: keepalive\r\n\r\n${data(chunk({ role: 'assistant', content: 'x' }), '\r\n')}: OPENROUTER PROCESSING\n\n`;
    expect(run([text]).out).toBe(text);
  });

  test('delivered says when the client begins to owe', () => {
    const stream = createChatStream();
    stream.push(Buffer.from(FIRST));
    expect(stream.delivered()).toBe(false);
    stream.push(Buffer.from(HELLO));
    expect(stream.delivered()).toBe(true);
  });
});

describe('what OpenAI clients cannot bear', () => {
  test('event, id and retry lines never pass', () => {
    const text = `event: message\nid: 7\nretry: 10\n${FIRST}event: ping\n\nid: 9\n: note\n\ndata:\n\nunknown: x\n\n${HELLO}`;
    expect(run([text]).out).toBe(`${FIRST}: note\n\n${HELLO}`);
  });

  test('a first delta without a role gets one', () => {
    const { out } = run([data(chunk({ content: 'a' })), data(chunk({ content: 'b' }))]);
    expect(out).toBe(data(chunk({ content: 'a', role: 'assistant' })) + data(chunk({ content: 'b' })));
  });

  test('each of several choices begins with a role', () => {
    const other = chunk({ content: 'b' }, null, {
      choices: [{ index: 1, delta: { content: 'b' }, finish_reason: null }],
    });
    const { out } = run([FIRST, HELLO, data(other), data(other)], { choices: 2 });
    expect(out.match(/"role":"assistant"/g)).toHaveLength(2);
    expect(out.endsWith(data(other))).toBe(true);
  });

  test('an error is told in our words, alone in its frame, and nothing follows', () => {
    const leak = data({ error: { message: 'org-1 sk-proj-abcdef is over its quota' } });
    const { out, facts } = run([FIRST, HELLO, leak, HELLO, DONE]);
    expect(out.startsWith(FIRST + HELLO)).toBe(true);
    const frame = JSON.parse(out.slice((FIRST + HELLO).length + 6)) as Record<string, unknown>;
    expect(Object.keys(frame)).toEqual(['error']);
    expect(out).not.toContain('sk-proj');
    expect(facts).toMatchObject({ errorSeen: true, complete: false, doneSeen: false, empty: false });
  });

  test('`error: null` is no error', () => {
    const text = data(chunk({ role: 'assistant', content: 'x' }, null, { error: null }));
    expect(run([text])).toMatchObject({ out: text, facts: { errorSeen: false } });
  });

  test('a page that is no stream is an error', () => {
    expect(run(['data: <html>\n\n']).facts).toMatchObject({ errorSeen: true, empty: true, complete: false });
  });
});

describe('where usage stands', () => {
  test('on an event with choices: passed on and remembered', () => {
    const last = data(chunk({}, 'stop', { usage: USAGE }));
    expect(run([FIRST, HELLO, last])).toMatchObject({
      out: FIRST + HELLO + last,
      facts: { usage: { completionTokens: 2 }, finishSeen: true },
    });
  });

  test('`usage: null` in every chunk is no usage', () => {
    const text = FIRST + data(chunk({ content: 'a' }, null, { usage: null }));
    const { out, facts } = run([text]);
    expect(out).toBe(text);
    expect(facts.usage).toBeUndefined();
  });

  test('the words inside of a text are text', () => {
    const text = data(
      chunk({ content: '"usage":{"prompt_tokens":1} "error":1 "finish_reason":"stop" [DONE]' }),
    );
    const more = data(chunk({ content: 'usage' })) + data(chunk({ content: 'error' }));
    const { out, facts } = run([FIRST + text + more]);
    expect(out).toBe(FIRST + text + more);
    expect(facts).toMatchObject({ finishSeen: false, errorSeen: false });
    expect(facts.usage).toBeUndefined();
  });

  test('the last of several wins', () => {
    const more = { prompt_tokens: 10, completion_tokens: 9 };
    expect(run([FIRST, HELLO, data(usageChunk(USAGE)), data(usageChunk(more))]).facts.usage).toMatchObject({
      completionTokens: 9,
    });
  });

  test.each([
    ['negative', { prompt_tokens: 10, completion_tokens: -5 }],
    ['absurd', { prompt_tokens: 1e308, completion_tokens: 1 }],
    ['text', { prompt_tokens: '10', completion_tokens: '2' }],
    ['empty', {}],
  ])('a usage that is %s is taken as absent, and does not reach the client', (_kind, usage) => {
    const { out, facts } = run([FIRST, HELLO, STOP, data(usageChunk(usage)), DONE]);
    expect(out).toBe(FIRST + HELLO + STOP);
    expect(facts.usage).toBeUndefined();
    expect(facts.estimate).toBeGreaterThan(0);
  });

  test('zeros are believed', () => {
    const zero = { prompt_tokens: 0, completion_tokens: 0 };
    expect(run([FIRST, data(usageChunk(zero))]).facts.usage).toMatchObject({
      promptTokens: 0,
      completionTokens: 0,
    });
  });
});

describe('ends', () => {
  test('a stream that breaks off is not complete', () => {
    expect(run([FIRST, HELLO]).facts).toMatchObject({ complete: false, finishSeen: false, empty: false });
  });

  test('half an event is never passed on', () => {
    expect(run([FIRST, HELLO.slice(0, 30)]).out).toBe(FIRST);
    expect(run([FIRST, HELLO.slice(0, 30) + '\n']).out).toBe(FIRST);
  });

  test('a last event without its blank line is an event', () => {
    expect(run([FIRST + HELLO, STOP.trimEnd()]).out).toBe(FIRST + HELLO + STOP);
    expect(run([FIRST + HELLO, STOP.slice(0, -1)]).out).toBe(FIRST + HELLO + STOP);
    expect(run([FIRST, HELLO, 'data: [DONE]']).facts).toMatchObject({ doneSeen: true, complete: true });
  });

  test('a choice that never finished leaves the stream unfinished', () => {
    const two = chunk({}, null, {
      choices: [0, 1].map((index) => ({
        index,
        delta: { role: 'assistant', content: 'x' },
        finish_reason: null,
      })),
    });
    const { facts } = run([data(two), STOP], { choices: 2 });
    expect(facts.finishSeen).toBe(false);
    expect(facts.endings).toEqual([{ index: 1, delta: {} }]);
    expect(run([FIRST, HELLO, STOP]).facts.endings).toEqual([]);
    expect(run([DONE]).facts.endings).toEqual([{ index: 0, delta: { role: 'assistant', content: '' } }]);
  });

  test('an answer without any output is empty', () => {
    expect(run([FIRST, STOP, DONE]).facts).toMatchObject({ empty: true, estimate: 0, complete: true });
  });

  test('a tool call is output', () => {
    const call = data(chunk({ tool_calls: [{ index: 0, function: { name: 'f', arguments: '' } }] }));
    expect(run([FIRST, call]).facts.empty).toBe(false);
  });

  test('an event without end is refused before it fills the memory', () => {
    const stream = createChatStream();
    const piece = Buffer.alloc(64 * 1024, 0x61);
    expect(() => {
      for (let i = 0; i <= LIMITS.upstream.eventBytesMax / piece.length; i++) stream.push(piece);
    }).toThrow(NodeError);
  });
});

describe('the estimate for upstreams that report no usage', () => {
  test('counts at least one token for each event', () => {
    const words = Array.from({ length: 50 }, () => data(chunk({ content: 'a' })));
    expect(run([FIRST, ...words]).facts.estimate).toBe(50);
  });
  test('counts four characters as a token where an event carries many', () => {
    const { facts } = run([
      FIRST,
      data(chunk({ content: 'a'.repeat(400) })),
      data(chunk({ content: 'b'.repeat(400) })),
    ]);
    expect(facts.estimate).toBe(200);
  });
});

describe('however the bytes are split', () => {
  const text = [
    `event: x\r\n${data(chunk({ content: 'ohne Rolle 😀' }), '\r\n')}`,
    ': wait\n\n',
    data(chunk({ content: 'äöü"usage"\n' })),
    '\n',
    'data: {"id":"c1","choices":[{"index":0,\ndata: "delta":{"content":"two lines"}}]}\n\n',
    data(chunk({ content: 'y' }, null, { usage: null }), '\r\n'),
    data(chunk({}, 'stop', { usage: { prompt_tokens: 3, completion_tokens: 4 } })),
    data(usageChunk(USAGE), '\r\n'),
    DONE,
    HELLO,
  ].join('');
  const bytes = Buffer.from(text);
  const expected = run([bytes]);

  test('byte by byte the output and the facts are the same (T9)', () => {
    const single = Array.from(bytes, (byte) => Buffer.from([byte]));
    expect(run(single)).toEqual(expected);
    expect(expected.facts).toMatchObject({ complete: true, usage: { promptTokens: 10 } });
    expect(expected.out).not.toMatch(/^(event|id|retry):/m);
  });

  test('property: any split gives the same', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), fc.nat(bytes.length), (cuts, end) => {
        const input = bytes.subarray(0, end);
        const borders = [0, ...cuts.filter((cut) => cut < end).sort((a, b) => a - b), end];
        const parts = borders.slice(1).map((to, i) => input.subarray(borders[i], to));
        expect(run(parts)).toEqual(run([input]));
      }),
      { numRuns: 300 },
    );
  });

  test('property: no bytes whatever bring it down or let a foreign field through', () => {
    const line = fc.oneof(
      fc.constantFrom(
        'data: ',
        'data:',
        'event: a',
        'id: 1',
        ': c',
        '',
        '\r',
        '{"choices":[]}',
        '[DONE]',
        '"usage"',
        'x',
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', ''))), (lines) => {
        const { out } = run([lines.map(([a, b]) => a + b).join('')]);
        for (const each of out.split(/\r\n|\r|\n/)) expect(each === '' || /^(data:|:)/.test(each)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
