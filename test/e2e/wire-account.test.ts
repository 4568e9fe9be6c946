import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBuyer, type Buyer } from '../../src/demo/buyer.ts';
import { type TestWorld, bearer, chat, testWorld } from './support.ts';

let world: TestWorld;
let buyer: Buyer;
beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false } });
  buyer = await createBuyer({ mintUrl: world.mint.url });
});
afterAll(() => world.close());

const info = async (credential: string) => (await world.get('/v1/wallet/info', bearer(credential))).json;
const refund = (credential: string, body: unknown = '', headers: Record<string, string> = {}) =>
  world.post('/v1/wallet/refund', body, { ...bearer(credential), ...headers });
const topUp = (credential: string, token: string, headers: Record<string, string> = {}) =>
  world.post('/v1/wallet/topup', { cashu_token: token }, { ...bearer(credential), ...headers });
const UNKNOWN = `sk-${'0'.repeat(64)}`;

test('C15 C16 C17 info redeems an unseen token once, also when asked many times at once', async () => {
  const token = await world.mint.issue(40);
  const replies = await Promise.all(Array.from({ length: 10 }, () => info(token)));
  for (const reply of replies) expect(reply).toEqual(replies[0]);
  expect(replies[0]).toMatchObject({
    api_key: expect.stringMatching(/^sk-[0-9a-f]{64}$/),
    balance: 40_000,
    reserved: 0,
    is_child: false,
    total_requests: 0,
    total_spent: 0,
    balance_limit: null,
    balance_limit_reset: null,
    validity_date: null,
  });
  const { json } = await world.post('/v1/chat/completions', chat('x'), bearer(token));
  expect(await info(replies[0].api_key as string)).toMatchObject({
    balance: 40_000 - json.cost.total_msats,
    total_requests: 1,
    total_spent: json.cost.total_msats,
  });
});

test('C18 only a well-formed unknown key is told dead in the words on which clients drop it', async () => {
  const dead = await world.get('/v1/wallet/info', bearer(UNKNOWN));
  expect([dead.status, dead.json.error.code]).toEqual([401, 'invalid_api_key']);
  expect(dead.json.error.message).toContain('Key not found');
  expect(dead.json.error.message).toContain('proofs already spent');
  for (const junk of [
    'sk-short',
    `sk-${'z'.repeat(64)}`,
    "sk-' OR 1=1--",
    `sk-${'a'.repeat(15_000)}`,
    'null',
    'undefined',
    '[object Object]',
    'npub1aaaa',
    `nsec1${'q'.repeat(58)}`,
    '../x!y:z',
  ]) {
    const { status, json, text } = await world.get('/v1/wallet/info', bearer(junk));
    expect([junk, status, json.error.code]).toEqual([junk, 401, 'invalid_api_key']);
    expect(text).not.toMatch(/not found|already spent|nsec1/);
  }
  expect(world.logged()).not.toContain('nsec1qqq');
});

test('A2 only Bearer with one space is a credential; x-api-key is one, too', async () => {
  const key = await world.key(5);
  for (const value of [`bearer ${key}`, `BEARER ${key}`]) {
    expect((await world.get('/v1/wallet/info', { authorization: value })).status).toBe(200);
  }
  for (const value of [
    'Basic c2s6eA==',
    `Bearer  ${key}`,
    `Bearer\t${key}`,
    'Bearer',
    'Bearer ',
    key,
    `Bearer ${key} x`,
  ]) {
    const { status, json } = await world.get('/v1/wallet/info', { authorization: value });
    expect([status, json.error.code]).toEqual([401, 'invalid_api_key']);
  }
  expect((await world.get('/v1/wallet/info', { 'x-api-key': key })).json.balance).toBe(5_000);
});

test('C20 create by GET, by POST and by both names is one handler', async () => {
  const created = [
    await world.get(`/v1/balance/create?initial_balance_token=${await world.mint.issue(3)}`),
    await world.get(`/v1/wallet/create?cashu_token=${await world.mint.issue(3)}`),
    await world.post('/v1/balance/create', { initial_balance_token: await world.mint.issue(3) }),
    await world.post('/v1/wallet/create', { cashu_token: await world.mint.issue(3) }),
    await world.post('/wallet/create', { cashu_token: `cashu:${await world.mint.issue(3)}` }),
    await world.post('/v1/wallet/create', { cashu_token: ` web+cashu://${await world.mint.issue(3)}\n` }),
  ];
  for (const { status, json, headers } of created) {
    expect([status, json]).toEqual([200, { api_key: expect.stringMatching(/^sk-/), balance: 3_000 }]);
    expect(headers.get('cache-control')).toBe('no-store');
  }
  expect(new Set(created.map(({ json }) => json.api_key as string)).size).toBe(created.length);
  expect(world.logged()).not.toContain('cashuB');
});

test('C15 the terms of a key come back from info; wrong ones are refused and redeem nothing', async () => {
  const { json } = await world.post('/v1/wallet/create', {
    cashu_token: await world.mint.issue(9),
    balance_limit: 5_000,
    balance_limit_reset: 'daily',
    validity_date: 4_000_000_000,
  });
  expect(await info(json.api_key as string)).toMatchObject({
    balance_limit: 5_000,
    balance_limit_reset: 'daily',
    validity_date: 4_000_000_000,
  });
  const token = await world.mint.issue(9);
  const swaps = world.mint.stats.swaps;
  for (const terms of [
    { balance_limit: -1 },
    { balance_limit: 1.5 },
    { balance_limit_reset: 'hourly' },
    { validity_date: 'soon' },
  ]) {
    const refused = await world.post('/v1/wallet/create', { cashu_token: token, ...terms });
    expect([refused.status, refused.json.error.param]).toEqual([400, Object.keys(terms)[0]]);
  }
  expect(world.mint.stats.swaps).toBe(swaps);
});

test('A5 C21 top-up by query with an empty JSON body, and without a content type', async () => {
  const key = await world.key(1);
  const byQuery = await world.post(
    `/v1/wallet/topup?cashu_token=${await world.mint.issue(2)}`,
    '',
    bearer(key),
  );
  expect([byQuery.status, byQuery.json]).toEqual([200, { msats: 2_000 }]);
  const plain = await fetch(`${world.url}/v1/balance/topup?cashu_token=${await world.mint.issue(4)}`, {
    method: 'POST',
    headers: bearer(key),
  });
  expect(await plain.json()).toEqual({ msats: 4_000 });
  const large = await world.mint.issue(110, { amounts: Array.from({ length: 110 }, () => 1) });
  expect(large.length).toBeGreaterThan(10_000);
  const long = await world.post(`/v1/wallet/topup?cashu_token=${large}`, '', bearer(key));
  expect([long.status, long.json]).toEqual([200, { msats: 110_000 }]);
  expect(await world.balance(key)).toBe(117_000);
  expect(world.logged()).not.toContain('cashu_token');
});

test('I1 I4 the same top-up again is replayed; an Idempotency-Key must be readable', async () => {
  const key = await world.key(1);
  const token = await world.mint.issue(8);
  const first = await topUp(key, token, { 'idempotency-key': 'top-1' });
  const again = await topUp(key, token, { 'idempotency-key': 'top-1' });
  expect([first.json, first.headers.get('idempotent-replayed')]).toEqual([{ msats: 8_000 }, null]);
  expect([again.json, again.headers.get('idempotent-replayed')]).toEqual([{ msats: 8_000 }, 'true']);
  for (const bad of ['x'.repeat(256), '', 'a\tb']) {
    for (const send of [
      topUp(key, token, { 'idempotency-key': bad }),
      refund(key, '', { 'idempotency-key': bad }),
    ]) {
      const { status, json } = await send;
      expect([status, json.error.code]).toEqual([400, 'invalid_idempotency_key']);
    }
  }
  expect(await world.balance(key)).toBe(9_000);
});

test('C22 a top-up that is refused leaves its token to its owner', async () => {
  const key = await world.key(1);
  for (const junk of ['hello', 'lnbc1', '', 7, ['cashuB']]) {
    const { status, json } = await world.post('/v1/wallet/topup', { cashu_token: junk }, bearer(key));
    expect([status, json.detail]).toEqual([400, 'Invalid token format']);
  }
  const token = await world.mint.issue(6);
  expect((await topUp(UNKNOWN, token)).status).toBe(401);
  expect((await world.post('/v1/wallet/topup', { cashu_token: token })).json.error.code).toBe(
    'missing_api_key',
  );
  expect(await buyer.receive(token)).toBe(6);
  const spent = await topUp(key, token);
  expect([spent.status, spent.json.error.code]).toEqual([400, 'token_already_spent']);
  expect(await world.balance(key)).toBe(1_000);
});
