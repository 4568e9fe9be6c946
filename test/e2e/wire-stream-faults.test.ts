import { EventEmitter, once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Reply, type TestWorld, bearer, chat, events, testWorld } from './support.ts';
import {
  type ScriptedModel,
  RAW_MODEL,
  DONE,
  delta,
  expectCleanFrames,
  expectWhole,
  jsonAnswer,
  scriptedModel,
  spoken,
  sse,
  usageEvent,
} from './wire-kit.ts';

let upstream: ScriptedModel;
let world: TestWorld;
let key: string;
beforeAll(async () => {
  upstream = await scriptedModel();
  world = await testWorld({ mint: { dleq: false }, settings: upstream.settings });
  key = await world.key(500);
});
afterAll(async () => {
  await world.close();
  await upstream.close();
});

const ask = (extra: Record<string, unknown> = {}, headers: Record<string, string> = {}): Promise<Reply> =>
  world.post('/v1/chat/completions', chat('hello', { model: RAW_MODEL, stream: true, ...extra }), {
    ...bearer(key),
    ...headers,
  });
test.each<[string, string[]]>([
  ['a first delta without a role', [delta({ content: 'Hi' }), delta({}, 'stop'), usageEvent(5, 1), DONE]],
  ['no [DONE]', [delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(5, 1)]],
  ['no finish_reason', [delta({ role: 'assistant', content: 'Hi' }), usageEvent(5, 1), DONE]],
  ['no usage', [delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), DONE]],
  [
    'usage before the end',
    [
      usageEvent(5, 0),
      delta({ role: 'assistant', content: 'Hi' }),
      delta({}, 'stop'),
      usageEvent(5, 1),
      DONE,
    ],
  ],
  [
    'no blank line at the end',
    [delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(5, 1), 'data: [DONE]'],
  ],
  [
    'events after [DONE]',
    [
      delta({ role: 'assistant', content: 'Hi' }),
      delta({}, 'stop'),
      usageEvent(5, 1),
      DONE,
      delta({ content: 'more' }),
    ],
  ],
  [
    'data without a space',
    [delta({ role: 'assistant', content: 'Hi' }).replace('data: ', 'data:'), delta({}, 'stop'), DONE],
  ],
  [
    'error:null in each chunk',
    [
      delta({ role: 'assistant', content: 'Hi' }).replace('"object"', '"error":null,"object"'),
      delta({}, 'stop'),
      DONE,
    ],
  ],
])('D28 an upstream with %s still becomes a stream in good order', async (_what, pieces) => {
  upstream.answer(sse(...pieces));
  const { text } = await ask();
  expect(text.endsWith(DONE)).toBe(true);
  const chunks = events(text.replaceAll('data:{', 'data: {')).map(({ error: _null, ...chunk }) => chunk);
  const last = expectWhole(chunks);
  expect(spoken(chunks)).toBe('Hi');
  expect(last.usage.completion_tokens).toBeGreaterThan(0);
  expect(last.usage.cost_msats).toBeGreaterThan(0);
});

test('every choice ends once, also those that the upstream left without finish_reason', async () => {
  const choice = (index: number, fields: object, finish: string | null = null): string =>
    delta({}).replace(
      /"choices":.*\]/,
      `"choices":${JSON.stringify([{ index, delta: fields, finish_reason: finish }])}`,
    );
  const said = (index: number): string => choice(index, { role: 'assistant', content: `${index}` });
  upstream.answer(sse(said(0), said(1), said(2), choice(1, {}, 'length'), usageEvent(5, 3), DONE));
  const { text } = await ask({ n: 3 });
  expectCleanFrames(text);
  const ends = events(text)
    .flatMap(({ choices }) => choices as { index: number; finish_reason: string | null }[])
    .filter(({ finish_reason: reason }) => reason !== null);
  expect(ends.map(({ index, finish_reason }) => [index, finish_reason])).toEqual([
    [1, 'length'],
    [0, 'stop'],
    [2, 'stop'],
  ]);
  upstream.answer(sse(DONE));
  const nothing = expectWhole(events((await ask()).text));
  expect(nothing.usage.cost_msats).toBe(0);
});

test('D28 bytes may be split anywhere and lines may end with CR LF: the text is the same', async () => {
  const said = 'Grüße, 世界 🌍!';
  const whole = [
    delta({ role: 'assistant', content: '' }),
    delta({ content: said }),
    delta({}, 'stop'),
    usageEvent(5, 3),
    DONE,
  ].join('');
  for (const bytes of [Buffer.from(whole), Buffer.from(whole.replaceAll('\n', '\r\n'))]) {
    upstream.answer(sse(...Array.from(bytes, (byte) => Buffer.from([byte]))));
    const chunks = events((await ask()).text.replaceAll('\r\n', '\n'));
    expect(spoken(chunks)).toBe(said);
    expect(expectWhole(chunks).usage.completion_tokens).toBe(3);
  }
});

test('C2 an upstream that breaks off is told as an error, never as an end', async () => {
  for (const pieces of [
    [delta({ role: 'assistant', content: 'Ha' })],
    [delta({ role: 'assistant', content: 'Ha' }), 'data: {"choices":[{"index":0,"del'],
    [
      delta({ role: 'assistant', content: 'Ha' }),
      'data: {"error":{"message":"boom at host-1","code":529}}\n\n',
    ],
  ]) {
    upstream.answer(sse(...pieces));
    const { status, text } = await ask();
    expect(status).toBe(200);
    expectCleanFrames(text);
    const chunks = events(text);
    const failed = chunks.find((chunk) => chunk.error);
    expect(Object.keys(failed)).toEqual(['error']);
    expect(failed.error).toMatchObject({
      message: expect.any(String),
      type: expect.any(String),
      code: expect.any(String),
    });
    expect(chunks.some((chunk) => chunk.choices?.[0]?.finish_reason)).toBe(false);
    expect(text).not.toContain('host-1');
  }
});

test.each([
  ['a connection that breaks', (res: ServerResponse) => void setImmediate(() => res.socket?.destroy())],
  ['a connection that stays open', () => undefined],
])('after [DONE] %s changes nothing', async (_what, end) => {
  const whole = [delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(5, 1), DONE];
  upstream.answer((res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(whole.join(''), () => end(res));
  });
  const body = chat('x', { model: RAW_MODEL, stream: true });
  const { text } = await world.post('/v1/chat/completions', body, bearer(key));
  expectCleanFrames(text);
  expectWhole(events(text));
  const token = await world.mint.issue(64);
  const held = await world.post('/v1/chat/completions', body, { 'x-cashu': token });
  expectWhole(events(held.text));
});

test('a stream whose AI server thinks for long begins without it; what comes of it follows, or an error frame', async () => {
  const signals = new EventEmitter();
  const released = once(signals, 'released');
  upstream.answer(async (res, { messages }) => {
    await released;
    if (messages[0].content === 'fail') jsonAnswer(500, {})(res);
    else
      await sse(delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(5, 1), DONE)(res);
  });
  const before = await world.balance(key);
  const begun = (content: string): Promise<Response> =>
    fetch(`${world.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(key) },
      body: JSON.stringify(chat(content, { model: RAW_MODEL, stream: true })),
    });
  // Their heads come although nothing has come from the AI server.
  const [answer, failing] = await Promise.all([begun('think'), begun('fail')]);
  expect([answer.status, failing.status]).toEqual([200, 200]);
  signals.emit('released');
  const [text, failure] = [await answer.text(), await failing.text()];
  expectCleanFrames(text);
  expectCleanFrames(failure);
  const { usage } = expectWhole(events(text));
  expect(events(failure)).toMatchObject([{ error: { code: 'upstream_error', metadata: { status: 502 } } }]);
  const { balance, reserved } = (await world.get('/v1/wallet/info', bearer(key))).json;
  expect([balance, reserved]).toEqual([before - usage.cost_msats, 0]);
});
