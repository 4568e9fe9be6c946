/** A buyer without a key: requests signed by a Nostr key pay from the account of that key. */
import { getToken } from 'nostr-tools/nip98';
import { type EventTemplate, finalizeEvent } from 'nostr-tools/pure';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newSecret, signed } from './signed.ts';
import { type Reply, type TestWorld, bearer, chat, testWorld, until } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false } });
});
afterAll(() => world.close());

function signer(secret = newSecret()) {
  const get = (path: string, headers: Record<string, string> = {}): Promise<Reply> =>
    world.get(path, { ...headers, ...signed(secret, { url: world.url + path }) });
  const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply> => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const auth = signed(secret, { url: world.url + path, method: 'POST', body: text });
    return world.post(path, text, { ...headers, ...auth });
  };
  return {
    secret,
    get,
    post,
    deposit: async (sats: number) => post('/v1/wallet/topup', { cashu_token: await world.mint.issue(sats) }),
    balance: async (): Promise<number> => (await get('/v1/wallet/info')).json.balance as number,
  };
}

test('a public key tops up, asks, streams, looks up what it paid and takes the rest back', async () => {
  const alice = signer();
  expect((await alice.get('/v1/wallet/info')).json).toMatchObject({ balance: 0, total_requests: 0 });
  const broke = await alice.post('/v1/chat/completions', chat('hello'));
  expect([broke.status, broke.json.error.code]).toEqual([402, 'payment_required']);
  expect(broke.headers.get('x-cashu')).toMatch(/^creqA/);

  expect((await alice.deposit(100)).json).toEqual({ msats: 100_000 });
  const whole = await alice.post('/v1/chat/completions', chat('hello'));
  expect(whole.status).toBe(200);
  const cost = whole.json.cost.total_msats as number;
  const stream = await alice.post('/v1/chat/completions', chat('hello', { stream: true }));
  expect(stream.text).toContain('data: [DONE]');
  expect(await alice.balance()).toBeLessThan(100_000 - cost);

  const id = whole.headers.get('x-request-id') ?? '';
  expect((await alice.get(`/v1/generation?id=${id}`)).json.data).toMatchObject({ cost_msats: cost });
  expect((await alice.get('/v1/wallet/history?limit=10')).json.transactions).toHaveLength(3);
  const operation = (await alice.get('/v1/wallet/history')).json.transactions.at(-1).id as string;
  expect((await alice.get(`/v1/ops/${operation}`)).json).toMatchObject({ status: 'done', purpose: 'topup' });
  const refund = await alice.post('/v1/wallet/refund', {});
  expect(refund.json.token).toMatch(/^cashu/);
  expect(await alice.balance()).toBeLessThan(1_000);
  expect(world.node.totals().drift).toBe(0);
});

test('the header that stock nostr-tools makes is taken', async () => {
  const secret = newSecret();
  const sign = (event: EventTemplate) => finalizeEvent(event, secret);
  const authorization = await getToken(`${world.url}/v1/wallet/info`, 'GET', sign, true);
  expect((await world.get('/v1/wallet/info', { authorization })).status).toBe(200);
  const body = { amount_sats: 5 };
  const post = await getToken(`${world.url}/v1/lightning/invoice`, 'POST', sign, true, body);
  const made = await world.post('/v1/lightning/invoice', body, { authorization: post });
  expect(made.json.bolt11).toMatch(/^ln/);
});

test('what the account is called is no credential, and another key does not reach it', async () => {
  const [alice, bob] = [signer(), signer()];
  await alice.deposit(10);
  const { api_key: name } = (await alice.get('/v1/wallet/info')).json as { api_key: string };
  expect((await world.get('/v1/wallet/info', bearer(name))).status).toBe(401);
  const operation = (await alice.get('/v1/wallet/history')).json.transactions[0].id as string;
  expect((await bob.get(`/v1/ops/${operation}`)).status).toBe(404);
  expect((await bob.post('/v1/wallet/refund', {})).json.detail).toBe('No balance to refund');
  expect(await alice.balance()).toBe(10_000);
});

test('X-Cashu wins over a signature, and a signature that was not looked at stays good', async () => {
  const alice = signer();
  await alice.deposit(10);
  const body = JSON.stringify(chat('hello'));
  const url = `${world.url}/v1/chat/completions`;
  const headers = signed(alice.secret, { url, method: 'POST', body });
  const once = { ...headers, 'x-cashu': await world.mint.issue(50) };
  const paid = await world.post('/v1/chat/completions', body, once);
  expect([paid.status, paid.headers.get('x-cashu')?.slice(0, 5)]).toEqual([200, 'cashu']);
  expect(await alice.balance()).toBe(10_000);
  expect((await world.post('/v1/chat/completions', body, headers)).status).toBe(200);
});

test('a signed request is charged once with an Idempotency-Key, and makes child keys', async () => {
  const alice = signer();
  await alice.deposit(100);
  const key = { 'idempotency-key': 'mine' };
  const first = await alice.post('/v1/chat/completions', chat('hello'), key);
  const again = await alice.post('/v1/chat/completions', chat('hello'), key);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  expect(again.text).toBe(first.text);
  const made = await alice.post('/v1/wallet/child-key', { count: 1 });
  const child = made.json.api_keys[0] as string;
  expect((await world.post('/v1/chat/completions', chat('hi'), bearer(child))).status).toBe(200);
  expect((await alice.get('/v1/wallet/info')).json.child_keys).toHaveLength(1);
});

test('an invoice for a signed request tops up its key', async () => {
  const alice = signer();
  const made = await alice.post('/v1/lightning/invoice', { amount_sats: 21 });
  expect(made.json.bolt11).toMatch(/^ln/);
  world.mint.payQuote(made.json.bolt11 as string);
  await until('the payment is credited', async () => (await alice.balance()) > 0);
  expect(await alice.balance()).toBe(21_000);
  const status = await alice.get(`/v1/lightning/invoice/${made.json.invoice_id}/status`);
  expect(status.json.status).toBe('paid');
  expect(status.json).not.toHaveProperty('api_key');
});

test('a signed request whose body is too large, or encoded, is refused as any other', async () => {
  const { status, json } = await signer().post('/v1/wallet/topup', '{"a":1}', { 'content-encoding': 'gzip' });
  expect([status, json.error.code]).toEqual([415, 'unsupported_encoding']);
});
