import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBuyer } from '../../src/demo/buyer.ts';
import { type TestWorld, bearer, chat, events, testWorld, until } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld();
});
afterAll(() => world.close());

const info = async (key: string) =>
  (await world.get('/v1/wallet/info', bearer(key))).json as {
    balance: number;
    reserved: number;
  };

test.each([
  ['status-401', 502],
  ['status-402', 502],
  ['status-500', 502],
  ['status-429', 429],
  ['status-400', 400],
  ['html-200', 502],
  ['cut', 502],
] as const)(
  'an upstream that fails with %s costs nothing and frees the hold at once',
  async (kind, status) => {
    const key = await world.key(20);
    for (const stream of [false, true]) {
      if (kind === 'cut' && stream) continue;
      world.model.failNext(kind);
      const answer = await world.post('/v1/chat/completions', chat('fail', { stream }), bearer(key));
      expect(answer.status).toBe(status);
      expect(answer.json.error.code).toBeTypeOf('string');
      expect(await info(key)).toMatchObject({ balance: 20_000, reserved: 0 });
    }
  },
);

test('an empty answer costs nothing', async () => {
  const key = await world.key(20);
  for (const stream of [false, true]) {
    world.model.failNext('empty');
    const answer = await world.post('/v1/chat/completions', chat('nothing', { stream }), bearer(key));
    expect(answer.status).toBe(200);
    expect(await info(key)).toMatchObject({ balance: 20_000, reserved: 0 });
  }
});

test('a failure after an X-Cashu payment was redeemed brings the whole value back in the header', async () => {
  const buyer = await createBuyer({ mintUrl: world.mint.url });
  for (const [kind, stream] of [
    ['status-500', false],
    ['cut', true],
    ['truncate', true],
  ] as const) {
    const token = await world.mint.issue(77);
    world.model.failNext(kind);
    const answer = await world.post('/v1/chat/completions', chat('x', { stream }), { 'x-cashu': token });
    expect(answer.status).toBe(502);
    expect(await buyer.receive(answer.headers.get('x-cashu') ?? '')).toBe(77);
  }
});

test('a stream that breaks off ends with an error frame, never as if it were complete, and costs what came', async () => {
  for (const kind of ['truncate', 'cut', 'error-frame'] as const) {
    const key = await world.key(20);
    world.model.failNext(kind);
    const { text } = await world.post(
      '/v1/chat/completions',
      chat('break off please', { stream: true }),
      bearer(key),
    );
    const chunks = events(text);
    expect(chunks.some((chunk) => chunk.error !== undefined)).toBe(true);
    expect(chunks.some((chunk) => chunk.choices?.[0]?.finish_reason === 'stop')).toBe(false);
    const { balance, reserved } = await info(key);
    expect(reserved).toBe(0);
    expect(balance).toBe(20_000 - (chunks.at(-1).usage.cost_msats as number));
  }
});

test('an upstream without usage is billed by an estimate that says so', async () => {
  const key = await world.key(20);
  world.model.failNext('no-usage');
  const { json } = await world.post('/v1/chat/completions', chat('estimate me'), bearer(key));
  expect(json.metadata.routstr.usage_estimated).toBe(true);
  expect(json.cost.total_msats).toBeGreaterThan(0);
  expect(await world.balance(key)).toBe(20_000 - json.cost.total_msats);
});

test('absurd usage never takes more than the balance, and never less than nothing', async () => {
  const key = await world.key(20);
  world.model.failNext('bad-usage', 2);
  for (const stream of [false, true]) {
    await world.post('/v1/chat/completions', chat('lie', { stream }), bearer(key));
    const { balance, reserved } = await info(key);
    expect(balance).toBeGreaterThanOrEqual(0);
    expect(balance).toBeLessThanOrEqual(20_000);
    expect(reserved).toBe(0);
  }
});

test('a client that leaves before any output pays nothing and its hold is free', async () => {
  const key = await world.key(20);
  world.model.pause();
  const gone = new AbortController();
  const request = fetch(`${world.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(key) },
    body: JSON.stringify(chat('never mind', { stream: true })),
    signal: gone.signal,
  });
  await until('the request holds money', async () => (await info(key)).reserved > 0);
  gone.abort();
  await expect(request).rejects.toThrow();
  await until('the hold is free', async () => (await info(key)).reserved === 0);
  world.model.resume();
  expect((await info(key)).balance).toBe(20_000);
  await until('the upstream call is closed', () => world.model.stats.open === 0);
  expect(world.logged()).not.toContain('http.request.failed');
});

test('a client that leaves in the middle of a stream pays for what was produced', async () => {
  const key = await world.key(20);
  world.model.chunkDelay(20);
  const gone = new AbortController();
  const answer = await fetch(`${world.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(key) },
    body: JSON.stringify(chat('one two three four five six seven eight nine ten', { stream: true })),
    signal: gone.signal,
  });
  const reader = answer.body?.getReader();
  await reader?.read();
  await reader?.read();
  gone.abort();
  await until('the hold is settled', async () => (await info(key)).reserved === 0);
  world.model.chunkDelay(0);
  const { balance } = await info(key);
  expect(balance).toBeLessThan(20_000);
  // The rest was read to its usage event, so the bill is exact: the same as for a client that stayed.
  const other = await world.key(20);
  await world.post(
    '/v1/chat/completions',
    chat('one two three four five six seven eight nine ten', { stream: true }),
    bearer(other),
  );
  expect(balance).toBe(await world.balance(other));
});

test('a mint that is away refuses new tokens untouched, while keys go on working', async () => {
  const key = await world.key(20);
  const token = await world.mint.issue(30);
  world.mint.failNext('drop-before', { path: '/v1/swap', times: 2 });
  const created = await world.post('/v1/balance/create', { cashu_token: token });
  expect([200, 503]).toContain(created.status);
  const paid = await world.post('/v1/chat/completions', chat('still here'), bearer(key));
  expect(paid.status).toBe(200);
  await until('the token is credited once', async () => {
    const again = await world.post('/v1/balance/create', { cashu_token: token });
    return again.status === 200 && again.json.balance === 30_000;
  });
});

test('an answer of the mint that was lost is found again and credited once', async () => {
  const token = await world.mint.issue(30);
  world.mint.failNext('drop-after', { path: '/v1/swap' });
  const created = await world.post('/v1/balance/create', { cashu_token: token });
  expect(created.status).toBe(200);
  expect(created.json.balance).toBe(30_000);
});

test('after everything the books balance to the msat', () => {
  expect(world.node.totals().drift).toBe(0);
});
