import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Reply, type TestWorld, bearer, chat, events, testWorld } from './support.ts';
import {
  type ScriptedModel,
  DONE,
  RAW_MODEL,
  completion,
  delta,
  expectCleanFrames,
  expectWhole,
  jsonAnswer,
  scriptedModel,
  spoken,
  sse,
  tokens,
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
test('D28 a stream has the headers that proxies and clients need, and none of the upstream', async () => {
  upstream.answer(async (res) => {
    res.setHeader('set-cookie', 'session=1');
    res.setHeader('x-upstream-account', 'org-1');
    res.setHeader('openai-organization', 'org-1');
    await sse(delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(5, 1), DONE)(res);
  });
  const { status, headers } = await ask();
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(headers.get('cache-control')).toBe('no-cache, no-transform');
  expect(headers.get('x-accel-buffering')).toBe('no');
  expect(headers.get('content-length')).toBeNull();
  expect(headers.get('x-request-id')).toMatch(/^req_/);
  for (const name of ['set-cookie', 'x-upstream-account', 'openai-organization'])
    expect(headers.get(name)).toBeNull();
});

test('no credential or tracking header of the client goes to the upstream', async () => {
  await ask(
    {},
    {
      cookie: 'a=b',
      'x-title': 'App',
      'http-referer': 'https://app',
      'x-stainless-os': 'Linux',
      'x-forwarded-for': '10.0.0.1',
    },
  );
  const sent = upstream.headers.at(-1) ?? {};
  for (const name of [
    'authorization',
    'x-cashu',
    'cookie',
    'x-title',
    'http-referer',
    'x-stainless-os',
    'x-forwarded-for',
  ])
    expect(sent[name]).toBeUndefined();
  expect(sent['content-type']).toBe('application/json');
});

test('C5 no event, id or retry line of an upstream passes; comments do', async () => {
  upstream.answer(
    sse(
      ': opening\n\n',
      'retry: 100\n\n',
      `id: 7\nevent: message\n${delta({ role: 'assistant', content: 'A' })}`,
      'event: ping\n\n',
      'event: ping\ndata: {"type":"ping"}\n\n',
      ': keepalive\n\n',
      `event: cost\ndata: {"cost":{"total_msats":1}}\n\n`,
      `${delta({ content: 'B' }).trimEnd()}\nid: 8\n\n`,
      delta({}, 'stop'),
      usageEvent(5, 2),
      DONE,
    ),
  );
  const { text } = await ask();
  expectCleanFrames(text);
  expect(text).toContain(': keepalive\n\n');
  expect(spoken(events(text))).toBe('AB');
});

test('C4 the bill is a number in USD and whole msats, in the last chunk before [DONE]', async () => {
  upstream.answer(
    sse(delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(1_000, 100), DONE),
  );
  const before = await world.balance(key);
  const { text } = await ask();
  expectCleanFrames(text);
  const { usage, cost, metadata } = expectWhole(events(text));
  expect(usage).toMatchObject({ prompt_tokens: 1_000, completion_tokens: 100, total_tokens: 1_100 });
  expect(usage.cost).toBeTypeOf('number');
  expect(usage.cost).toBeGreaterThan(0);
  expect(Number.isInteger(usage.cost_msats)).toBe(true);
  expect(usage.cost_sats).toBe(usage.cost_msats / 1_000);
  expect(cost.total_msats).toBe(usage.cost_msats);
  expect(cost.base_msats + cost.input_msats + cost.output_msats).toBe(cost.total_msats);
  expect(cost.total_usd).toBe(usage.cost);
  expect(metadata.routstr.cost).toEqual(cost);
  // Straight after the last byte: the balance is final and nothing is reserved any more.
  const info = (await world.get('/v1/wallet/info', bearer(key))).json;
  expect([info.balance, info.reserved]).toEqual([before - (cost.total_msats as number), 0]);
});

test('include_usage:false keeps the bill out of the stream, but usage is asked for and charged', async () => {
  upstream.answer(
    sse(delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(50, 1), DONE),
  );
  const before = await world.balance(key);
  const { text } = await ask({ stream_options: { include_usage: false } });
  expect(upstream.bodies.at(-1).stream_options).toEqual({ include_usage: true });
  expectCleanFrames(text);
  const chunks = events(text);
  expect(chunks.some((chunk) => chunk.usage)).toBe(false);
  expect(chunks.at(-1).choices[0].finish_reason).toBe('stop');
  expect(await world.balance(key)).toBeLessThan(before);
});

test('other stream options and unknown fields reach the upstream untouched', async () => {
  await ask({
    stream_options: { include_usage: true, x: 1 },
    seed: 7,
    tools: [],
    user: 'u',
    metadata: { a: 'b' },
  });
  expect(upstream.bodies.at(-1)).toMatchObject({
    stream_options: { include_usage: true, x: 1 },
    seed: 7,
    tools: [],
    user: 'u',
    metadata: { a: 'b' },
  });
});

test('an error before the first event is a plain refusal with its status, not a stream', async () => {
  upstream.answer(jsonAnswer(500, { error: { message: 'x' } }));
  const { status, headers, json } = await ask();
  expect([status, json.error.code]).toEqual([502, 'upstream_error']);
  expect(headers.get('content-type')).toContain('application/json');
});

test('D27 C14 a JSON answer has the same bill in usage, cost, metadata and headers, and costs what a stream costs', async () => {
  const before = await world.balance(key);
  upstream.answer(jsonAnswer(200, completion('Hi', { ...tokens(1_000, 100), extra: 1 })));
  const { json, headers } = await ask({ stream: false });
  expect(json.id).toBeTypeOf('string');
  expect(json.usage).toMatchObject({ ...tokens(1_000, 100), extra: 1, cost: json.cost.total_usd });
  const { total_msats: total, base_msats: base, input_msats: input, output_msats: output } = json.cost;
  expect([json.usage.cost_msats, json.usage.cost_sats]).toEqual([total, total / 1_000]);
  expect(json.metadata.routstr.cost).toEqual(json.cost);
  expect(headers.get('x-routstr-cost-msats')).toBe(String(total));
  expect(headers.get('x-routstr-input-cost-msats')).toBe(String(base + input));
  expect(headers.get('x-routstr-output-cost-msats')).toBe(String(output));
  expect(Number(headers.get('x-routstr-cost-usd'))).toBe(json.cost.total_usd);
  expect(await world.balance(key)).toBe(before - total);
  upstream.answer(
    sse(delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(1_000, 100), DONE),
  );
  expect(expectWhole(events((await ask()).text)).cost.total_msats).toBe(total);
});
