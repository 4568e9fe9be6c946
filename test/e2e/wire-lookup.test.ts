import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Json, type TestWorld, bearer, chat, testWorld, until } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false } });
});
afterAll(() => world.close());

const ask = (key: string, body: unknown, headers: Record<string, string> = {}) =>
  world.post('/v1/chat/completions', body, { ...bearer(key), ...headers });

test('history shows deposit, cost and refund with the balance after each, in pages, also after a restart', async () => {
  const key = await world.key(50);
  const paid = await ask(key, chat('hello'));
  await world.post('/v1/wallet/topup', { cashu_token: await world.mint.issue(5) }, bearer(key));
  const refund = await world.post('/v1/wallet/refund', { amount_sats: 3 }, bearer(key));
  const { transactions, next_cursor: end } = (await world.get('/v1/balance/history', bearer(key))).json;
  const cost = paid.json.cost.total_msats as number;
  expect(transactions).toMatchObject([
    { type: 'out', source: 'refund', amount_msats: -3_000, balance_msats: 52_000 - cost, collected: true },
    {
      type: 'in',
      source: 'topup',
      amount_msats: 5_000,
      balance_msats: 55_000 - cost,
      mint_url: world.mint.url,
    },
    {
      type: 'out',
      source: 'request',
      id: paid.headers.get('x-request-id'),
      amount_msats: -cost,
      unit: 'msat',
    },
    { type: 'in', source: 'create', amount: 50_000, balance_msats: 50_000 },
  ]);
  expect(end).toBeNull();
  expect(transactions[0].balance_msats).toBe(await world.balance(key));
  const page = (cursor: string) => world.get(`/v1/wallet/transactions?limit=3${cursor}`, bearer(key));
  const first = (await page('')).json;
  expect(first.transactions).toEqual(transactions.slice(0, 3));
  expect((await page(`&cursor=${first.next_cursor}`)).json.transactions).toEqual(transactions.slice(3));
  for (const bad of ['limit=0', 'limit=1000', 'cursor=x', 'cursor=1.-5'])
    expect((await world.get(`/v1/wallet/history?${bad}`, bearer(key))).status).toBe(400);

  await world.node.stop();
  await world.reopen().start();
  expect((await world.get('/v1/balance/history', bearer(key))).json.transactions).toEqual(transactions);
  const operation = (await world.get(`/v1/ops/${refund.json.operation_id}`, bearer(key))).json;
  expect(operation).toMatchObject({ status: 'done', kind: 'send', amount_msats: 3_000 });
  const request = paid.headers.get('x-request-id');
  const { data } = (await world.get(`/v1/generation?id=${request}`, bearer(key))).json;
  expect(data).toMatchObject({ id: request, status: 'done', cost_msats: cost });
});

test('an operation is asked about by whoever it belongs to, a one-shot token included', async () => {
  const key = await world.key(20);
  const { operation_id: id } = (await world.post('/v1/wallet/refund', { amount_sats: 4 }, bearer(key))).json;
  const done = (await world.get(`/v1/ops/${id}`, bearer(key))).json;
  expect(done).toMatchObject({ id, status: 'done', kind: 'send', purpose: 'refund', amount_msats: 4_000 });
  expect(done).not.toHaveProperty('token');
  const once = { 'x-cashu': await world.mint.issue(9) };
  const answer = await world.post('/v1/chat/completions', chat('once'), once);
  const { json } = await world.get(`/v1/generation?id=${answer.headers.get('x-request-id')}`, once);
  expect(json.data.cost_msats).toBe(answer.json.cost.total_msats);
  expect((await world.get('/v1/ops/op_0', bearer(key))).status).toBe(404);
  expect((await world.get('/v1/generation', bearer(key))).status).toBe(400);
});

test('I1 I2 a paid request with an Idempotency-Key is charged once, streams too, also after a restart', async () => {
  const key = await world.key(50);
  const keyed = { 'idempotency-key': 'chat-1' };
  const first = await ask(key, chat('hello'), keyed);
  const left = await world.balance(key);
  const again = await ask(key, chat('hello'), keyed);
  expect([again.text, again.headers.get('idempotent-replayed')]).toEqual([first.text, 'true']);
  const stream = chat('streamed', { stream: true });
  const live = await ask(key, stream, { 'idempotency-key': 'chat-2' });
  const after = await world.balance(key);
  expect((await ask(key, stream, { 'idempotency-key': 'chat-2' })).text).toBe(live.text);
  const other = await ask(key, chat('other'), keyed);
  expect([other.status, other.json.error.code]).toEqual([409, 'idempotency_key_reused']);
  expect(await world.balance(key)).toBe(after);
  expect((await ask(await world.key(5), chat('other'), keyed)).status).toBe(200);
  expect((await ask(key, chat('hello'), { 'idempotency-key': 'x'.repeat(256) })).json.error.code).toBe(
    'invalid_idempotency_key',
  );

  await world.node.stop();
  await world.reopen().start();
  const late = await ask(key, chat('hello'), keyed);
  expect([late.status, late.json.error.code]).toEqual([409, 'already_charged']);
  expect(late.json.error.metadata).toEqual({
    charged_msats: 50_000 - left,
    request_id: first.headers.get('x-request-id'),
  });
  expect(await world.balance(key)).toBe(after);
});

test('I3 a request that is still running is not run again; one that failed may be', async () => {
  const key = await world.key(50);
  const keyed = { 'idempotency-key': 'running' };
  world.model.pause();
  const running = ask(key, chat('slow'), keyed);
  await until(
    'money is reserved',
    async () => ((await world.get('/v1/wallet/info', bearer(key))).json.reserved as number) > 0,
  );
  const second = await ask(key, chat('slow'), keyed);
  world.model.resume();
  expect([second.status, second.json.error.code, second.headers.get('retry-after')]).toEqual([
    409,
    'operation_in_progress',
    '1',
  ]);
  expect((await running).status).toBe(200);
  const failing = { 'idempotency-key': 'failing' };
  world.model.failNext('status-500');
  expect((await ask(key, chat('try'), failing)).status).toBe(502);
  expect((await ask(key, chat('try'), failing)).status).toBe(200);
});

test('a program that repeats itself is stopped at the eighth request', async () => {
  const key = await world.key(100);
  const replies: Json[] = [];
  for (let i = 0; i < 8; i++) replies.push(await ask(key, chat('again')));
  expect(replies.map(({ status }) => status as number)).toEqual([200, 200, 200, 200, 200, 200, 200, 429]);
  expect(replies[7].json.error.code).toBe('loop_detected');
  expect(Number(replies[7].headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await ask(key, chat('something else'))).status).toBe(200);
});

test('Key-Expiry-Time and Refund-LNURL as old clients send them, and the same as fields', async () => {
  const create = async (fields: Json, headers: Record<string, string> = {}) =>
    world.post('/v1/wallet/create', { cashu_token: await world.mint.issue(6), ...fields }, headers);
  const expiry = { 'key-expiry-time': '1700000000', 'refund-lnurl': 'me@example.com' };
  const byHeader = await create({}, expiry);
  const byField = await create({ key_expiry: 1_700_000_000, refund_address: 'me@example.com' });
  for (const { json } of [byHeader, byField]) {
    const key = json.api_key as string;
    expect((await ask(key, chat('x'))).json.error.code).toBe('key_expired');
    const asToken = { lightning_address: null };
    expect((await world.post('/v1/wallet/refund', asToken, bearer(key))).json.sats).toBe('6');
  }
  for (const [fields, headers] of [
    [{}, { ...expiry, 'key-expiry-time': 'abc' }],
    [{}, { 'key-expiry-time': '1700000000' }],
    [{ refund_address: 'http://localhost/x' }, {}],
  ] as [Json, Record<string, string>][])
    expect((await create(fields, headers)).status).toBe(400);
});
