import { once } from 'node:events';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { createBuyer } from '../../src/demo/buyer.ts';
import { type TestWorld, bearer, testWorld, until } from './support.ts';
import {
  type ScriptedModel,
  DONE,
  RAW_MODEL,
  completion,
  delta,
  dial,
  parse,
  jsonAnswer,
  scriptedModel,
  sse,
  usageEvent,
} from './wire-kit.ts';

let upstream: ScriptedModel;
let world: TestWorld;
let key: string;
/** Sends its headers byte by byte; waited for at the end, because the node's patience lasts ten seconds. */
let slow: Promise<{ text: string; ms: number }>;
beforeAll(async () => {
  upstream = await scriptedModel();
  world = await testWorld({ mint: { dleq: false }, settings: upstream.settings });
  key = await world.key(500);
  slow = trickle();
});
afterAll(async () => {
  await world.close();
  await upstream.close();
});

async function trickle(): Promise<{ text: string; ms: number }> {
  const socket = await dial(world.url);
  const began = performance.now();
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
  socket.write('GET /v1/info HTTP/1.1\r\nhost: a\r\nx-slow: ');
  const drip = setInterval(() => socket.write('a'), 500);
  await Promise.race([once(socket, 'end'), once(socket, 'close')]);
  clearInterval(drip);
  socket.destroy();
  return { text, ms: performance.now() - began };
}

/** The real SDK with its defaults, and what it put on the wire. */
function sdk(apiKey: string, headers: Record<string, string | null> = {}) {
  const calls: string[] = [];
  const client = new OpenAI({
    apiKey,
    baseURL: `${world.url}/v1`,
    defaultHeaders: headers,
    fetch: (url, init) => {
      calls.push(new Headers(init?.headers).get('x-stainless-retry-count') ?? '');
      return fetch(url, init);
    },
  });
  const ask = (content: string) =>
    client.chat.completions.create({ model: RAW_MODEL, messages: [{ role: 'user', content }] });
  const stream = (content: string) =>
    client.chat.completions.stream({ model: RAW_MODEL, messages: [{ role: 'user', content }] });
  return { client, calls, ask, stream };
}
const byCashu = (token: string) => sdk('unused', { authorization: null, 'x-cashu': token });
const thrown = async (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    () => expect.unreachable('it did not throw'),
    (error: unknown) => error as InstanceType<typeof OpenAI.APIError>,
  );

const answer = (content = 'Hi') => jsonAnswer(200, completion(content));
const spokenStream = [
  ': keepalive\n\n',
  delta({ role: 'assistant', content: 'Hel' }),
  ': keepalive\n\n',
  delta({ content: 'lo' }),
  delta({}, 'stop'),
  usageEvent(10, 2),
  DONE,
];

test('C1 402 is asked once: without payment, with too little, and with a spent limit', async () => {
  upstream.answer(answer());
  const none = sdk('unused', { authorization: null });
  const unpaid = await thrown(none.ask('x'));
  expect([unpaid.status, unpaid.code, unpaid.type]).toEqual([402, 'payment_required', 'insufficient_quota']);
  expect(unpaid.headers?.get('x-cashu')).toMatch(/^creqA/);
  const poor = sdk(await world.key(1));
  const refused = await thrown(poor.ask('word '.repeat(4_000)));
  expect([refused.status, refused.code]).toEqual([402, 'insufficient_balance']);
  expect(refused.message).toContain('Insufficient credits');
  const limited = await world.post('/v1/wallet/create', {
    cashu_token: await world.mint.issue(50),
    balance_limit: 1,
  });
  const capped = sdk(limited.json.api_key as string);
  const beyond = await thrown(capped.ask('x'));
  expect([beyond.status, beyond.code]).toEqual([402, 'balance_limit_exceeded']);
  for (const { calls } of [none, poor, capped]) expect(calls).toEqual(['0']);
});

test.each([
  [429, 429, 'rate_limited'],
  [500, 502, 'upstream_error'],
])('C1 upstream %i is asked three times with a key, and costs nothing', async (theirs, ours, code) => {
  upstream.answer(jsonAnswer(theirs, { error: { message: 'x' } }, { 'retry-after': '0' }));
  const before = await world.balance(key);
  const { ask, calls } = sdk(key);
  const error = await thrown(ask('again'));
  expect([error.status, error.code]).toEqual([ours, code]);
  expect(calls).toEqual(['0', '1', '2']);
  expect(await world.balance(key)).toBe(before);
});

test('C1 401 and 404 are asked once', async () => {
  const stranger = sdk(`sk-${'0'.repeat(64)}`);
  expect((await thrown(stranger.ask('x'))).status).toBe(401);
  const lost = sdk(key);
  expect((await thrown(lost.client.models.retrieve('no/such'))).status).toBe(404);
  expect([stranger.calls.length, lost.calls.length]).toEqual([1, 1]);
});

test('D38 a token as the key survives the retries of the SDK: one credit, one answer', async () => {
  let failures = 2;
  upstream.answer((res) =>
    failures-- > 0 ? jsonAnswer(500, {}, { 'retry-after-ms': '1' })(res) : answer()(res),
  );
  const token = await world.mint.issue(100);
  const { ask, calls } = sdk(token);
  const { usage } = await ask('retry me');
  expect(calls).toEqual(['0', '1', '2']);
  const { cost_msats: cost } = usage as unknown as { cost_msats: number };
  expect(await world.balance(token)).toBe(100_000 - cost);
});

test('C1 an error after a one-shot payment is asked once and brings its value back', async () => {
  upstream.answer(jsonAnswer(500, { error: { message: 'x' } }));
  const { ask, calls } = byCashu(await world.mint.issue(33));
  const error = await thrown(ask('once'));
  expect([error.status, calls.length]).toEqual([502, 1]);
  const buyer = await createBuyer({ mintUrl: world.mint.url });
  expect(await buyer.receive(error.headers?.get('x-cashu') ?? '')).toBe(33);
});

test('C1 C12 409 while the same token pays is asked again and gets the stored answer', async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  upstream.answer(async (res) => {
    await gate;
    answer('stored')(res);
  });
  const asked = upstream.bodies.length;
  const token = await world.mint.issue(50);
  const first = byCashu(token);
  const second = byCashu(token);
  const one = first.ask('the same').withResponse();
  await until('the first request is at the upstream', () => upstream.bodies.length > asked);
  const two = second.ask('the same').withResponse();
  await until('the second was told to wait', () => second.calls.length === 1);
  setTimeout(release, 100);
  const [a, b] = await Promise.all([one, two]);
  expect(b.data).toEqual(a.data);
  expect(b.response.headers.get('idempotent-replayed')).toBe('true');
  expect(b.response.headers.get('x-cashu')).toBe(a.response.headers.get('x-cashu'));
  expect([first.calls.length, second.calls.length, upstream.bodies.length]).toEqual([1, 2, asked + 1]);
});

test('C1 409 for proofs that are claimed already is asked once', async () => {
  upstream.answer(answer());
  const { getDecodedToken, getEncodedToken } = await import('@cashu/cashu-ts');
  const token = await world.mint.issue(16);
  await world.post('/v1/wallet/create', { cashu_token: token });
  const stolen = getEncodedToken({ ...getDecodedToken(token, [world.mint.keyset()]), memo: 'x' });
  const { ask, calls } = byCashu(stolen);
  const error = await thrown(ask('x'));
  expect([error.status, error.code, calls.length]).toEqual([409, 'token_already_claimed', 1]);
});

test('C3 C4 the stream helper reads role, text, finish and bill, with comments in between', async () => {
  upstream.answer(sse(...spokenStream));
  const helper = sdk(key).stream('Say hello');
  const pieces: string[] = [];
  helper.on('content', (piece) => pieces.push(piece));
  const final = await helper.finalChatCompletion();
  expect(pieces).toEqual(['Hel', 'lo']);
  expect(final.choices[0]).toMatchObject({
    finish_reason: 'stop',
    message: { role: 'assistant', content: 'Hello' },
  });
  const usage = final.usage as unknown as { cost: number; cost_msats: number; prompt_tokens: number };
  expect(usage.cost).toBeTypeOf('number');
  expect([usage.prompt_tokens, Number.isInteger(usage.cost_msats)]).toEqual([10, true]);
});

test('the stream helper reads tool calls in pieces', async () => {
  const tool = (fields: object) => delta({ tool_calls: [{ index: 0, ...fields }] });
  upstream.answer(
    sse(
      tool({ id: 'call_1', type: 'function', function: { name: 'add', arguments: '' } }),
      tool({ function: { arguments: '{"a":' } }),
      tool({ function: { arguments: '1}' } }),
      delta({}, 'tool_calls'),
      usageEvent(10, 9),
      DONE,
    ),
  );
  const final = await sdk(key).stream('Add').finalChatCompletion();
  expect(final.choices[0]?.finish_reason).toBe('tool_calls');
  expect(final.choices[0]?.message.tool_calls?.[0]).toMatchObject({
    function: { name: 'add', arguments: '{"a":1}' },
  });
});

test('C2 the SDK throws when the upstream breaks off in the middle, and does not ask again', async () => {
  upstream.answer(sse(delta({ role: 'assistant', content: 'Ha' })));
  const { stream, calls } = sdk(key);
  const error = await thrown(stream('x').finalChatCompletion());
  expect(error).toBeInstanceOf(OpenAI.APIError);
  expect(calls).toEqual(['0']);
});

test('C15 H60 abort() in the middle is charged for what was delivered, and frees the rest', async () => {
  const info = async () =>
    (await world.get('/v1/wallet/info', bearer(key))).json as { balance: number; reserved: number };
  const before = await info();
  upstream.answer(async (res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(delta({ role: 'assistant', content: 'One' }) + delta({ content: ' two' }));
    await new Promise((resolve) => setTimeout(resolve, 300));
    res.end(delta({}, 'stop') + usageEvent(10, 2) + DONE);
  });
  const helper = sdk(key).stream('Count');
  helper.on('content', () => helper.abort());
  expect(await thrown(helper.done())).toBeInstanceOf(OpenAI.APIUserAbortError);
  await until('the hold is settled', async () => (await info()).reserved === 0);
  const after = await info();
  expect(after.balance).toBeLessThan(before.balance);
  expect(before.balance - after.balance).toBeLessThan(before.balance / 10);
});

test('H32 headers that come byte by byte are cut off after ten seconds with 408', async () => {
  expect(LIMITS.http.headersTimeoutMs).toBe(10_000);
  const { text, ms } = await slow;
  expect(ms).toBeGreaterThan(LIMITS.http.headersTimeoutMs / 2);
  const reply = parse(text);
  expect([reply.status, reply.json.error.code]).toEqual([408, 'request_timeout']);
  expect(reply.headers['x-request-id']).toBe(reply.json.request_id);
});
