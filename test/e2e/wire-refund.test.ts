import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBuyer, type Buyer } from '../../src/demo/buyer.ts';
import { type Json, type TestWorld, bearer, chat, testWorld, until } from './support.ts';

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
const UNKNOWN = `sk-${'0'.repeat(64)}`;

test('E39 a refund is a token of whole sats from a listed mint, as a text', async () => {
  const key = await world.key(20);
  await world.post('/v1/chat/completions', chat('spend a little'), bearer(key));
  const left = await world.balance(key);
  const { status, json, headers } = await refund(key);
  expect(status).toBe(200);
  expect(json).toMatchObject({
    token: expect.stringMatching(/^cashuB/),
    sats: String(Math.floor(left / 1_000)),
  });
  expect((await world.get('/v1/info')).json.mints).toContain(json.mint);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(await buyer.receive(json.token as string)).toBe(Number(json.sats));
  const dust = await refund(key);
  expect([dust.status, typeof dust.json.detail]).toEqual([400, 'string']);
});

test('E41 the refusals that old clients compare word by word', async () => {
  const empty = await world.key(4);
  await buyer.receive((await refund(empty)).json.token as string);
  const nothing = await refund(empty);
  expect([nothing.status, nothing.json.detail]).toEqual([400, 'No balance to refund']);
  const unknown = await refund(UNKNOWN);
  expect([unknown.status, unknown.json.detail.error.code]).toEqual([401, 'invalid_api_key']);
  expect(unknown.json.error.message).toContain('Key not found');
  const unseen = await world.mint.issue(4);
  expect((await refund(unseen)).status).toBe(401);
  expect(await buyer.receive(unseen)).toBe(4);
  const busy = await world.key(30);
  world.model.pause();
  const running = world.post('/v1/chat/completions', chat('wait'), bearer(busy));
  await until('money is reserved', async () => ((await info(busy)).reserved as number) > 0);
  const refused = await refund(busy);
  world.model.resume();
  expect([refused.status, refused.json.detail]).toEqual([
    400,
    'Cannot refund key. There are ongoing requests for this api key.',
  ]);
  expect((await running).status).toBe(200);
});

test('I1 I2 R3 a refund with an Idempotency-Key is made once, whatever happened since', async () => {
  const key = await world.key(20);
  const part = await refund(key, { amount_sats: 15 }, { 'idempotency-key': 'part' });
  const again = await refund(key, { amount_sats: 15 }, { 'idempotency-key': 'part' });
  expect([again.status, again.json.token]).toEqual([200, part.json.token]);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  const other = await refund(key, { amount_sats: 3 }, { 'idempotency-key': 'part' });
  expect([other.status, other.json.error.code]).toEqual([409, 'idempotency_key_reused']);
  const rest = await refund(key, '', { 'idempotency-key': 'rest' });
  expect(rest.json.sats).toBe('5');
  const late = await refund(key, { amount_sats: 15 }, { 'idempotency-key': 'part' });
  expect(late.json.token).toBe(part.json.token);
  const stranger = await world.key(7);
  expect((await refund(stranger, '', { 'idempotency-key': 'part' })).json.sats).toBe('7');
});

test('R4 a refund of anything but a whole number of sats is refused', async () => {
  const key = await world.key(3);
  for (const amount of [-1, 0, 1.5, '5', 1e300, true]) {
    const { status, json } = await refund(key, { amount_sats: amount });
    expect([amount, status, json.error.code]).toEqual([amount, 400, 'invalid_amount']);
  }
});

test('E43 a refund to an address that cannot be paid is refused rather than made in another way', async () => {
  const key = await world.key(30);
  for (const address of ['me@127.0.0.1:80', 'me@[::1]', 'me@10.0.0.1', 'me@hidden.onion', 'nobody']) {
    const { status, json } = await refund(key, { lightning_address: address });
    expect([address, status, json.error.code, json.error.param]).toEqual([
      address,
      400,
      'invalid_address',
      'lightning_address',
    ]);
  }
  expect(await world.balance(key)).toBe(30_000);
});

test('R5 a refund whose answer was lost is given again by the id that the history has', async () => {
  const key = await world.key(20);
  const lost = (await refund(key, { amount_sats: 5 })).json;
  await refund(key, { amount_sats: 3 });
  const { transactions } = (await world.get('/v1/wallet/history', bearer(key))).json;
  const { id } = (transactions as Json[]).find(({ amount_msats: moved }) => moved === -5_000) ?? {};
  const again = await refund(key, { operation_id: id });
  expect([again.status, again.json.token, again.headers.get('idempotent-replayed')]).toEqual([
    200,
    lost.token,
    'true',
  ]);
  expect(await world.balance(key)).toBe(12_000);
  expect((await refund(await world.key(4), { operation_id: id })).status).toBe(404);
});
