/** Lightning in and out of a whole node: an invoice becomes balance, a balance becomes a payment. */
import { expect, onTestFinished, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { type TestAddress, createTestAddress } from '../../src/demo/address.ts';
import { bearer, chat, testWorld, until } from './support.ts';

async function lightningWorld(settings: Record<string, unknown> = {}) {
  const address = await createTestAddress();
  onTestFinished(() => address.close());
  const world = await testWorld({
    mint: { autoPay: false, feePpk: 100 },
    settings: { lightning: { allow_private: true }, ...settings },
  });
  onTestFinished(() => world.close());
  return { world, address };
}
type LightningWorld = Awaited<ReturnType<typeof lightningWorld>>['world'];

const statusOf = async (world: LightningWorld, id: string, headers: Record<string, string> = {}) =>
  (await world.get(`/lightning/invoice/${id}/status`, headers)).json;

test('an invoice is paid and becomes a key, although nobody asks for its status', async () => {
  const { world } = await lightningWorld();
  const { json: made } = await world.post('/lightning/invoice', { amount_sats: 1_000 });
  expect(made).toMatchObject({ amount_sats: 1_000, payment_hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(await statusOf(world, made.invoice_id)).toMatchObject({ status: 'pending', paid_at: null });

  world.mint.payQuote(made.bolt11);
  await until('credited', () => world.node.totals().liabilities['avail'] === 1_000_000);
  const paid = await statusOf(world, made.invoice_id, { 'x-claim-secret': made.claim_secret });
  expect(paid).toMatchObject({ status: 'paid', api_key: expect.stringMatching(/^sk-[0-9a-f]{64}$/) });
  expect(paid.paid_at).toBeGreaterThan(0);

  expect(await world.balance(paid.api_key)).toBe(1_000_000);
  const answer = await world.post('/v1/chat/completions', chat('hello'), bearer(paid.api_key));
  expect(answer.status).toBe(200);
  expect(world.node.totals().drift).toBe(0);
  expect(world.logged()).not.toContain(made.claim_secret);
  expect(world.logged()).not.toContain(paid.api_key);
});

test('the key goes to whoever proves the claim secret; without one it is handed out once', async () => {
  const { world } = await lightningWorld();
  const { json: made } = await world.post('/v1/balance/lightning/invoice', { amount_sats: 10 });
  world.mint.payQuote(made.bolt11);
  await until('credited', () => world.node.totals().liabilities['avail'] === 10_000);

  expect(await statusOf(world, made.invoice_id, { 'x-claim-secret': 'guess' })).not.toHaveProperty('api_key');
  const { api_key: key } = await statusOf(world, made.invoice_id);
  expect(key).toMatch(/^sk-/);
  expect(await statusOf(world, made.invoice_id)).not.toHaveProperty('api_key');
  const { json: seen } = await world.post('/v2/lightning/recover', { bolt11: made.bolt11 });
  expect(seen).toMatchObject({ status: 'paid', amount_sats: 10 });
  expect(seen).not.toHaveProperty('api_key');
  const { json: mine } = await world.post('/v2/lightning/recover', {
    bolt11: made.bolt11.toUpperCase(),
    claim_secret: made.claim_secret,
  });
  expect(mine.api_key).toBe(key);
});

test('who brought a claim hash gets the key by the secret only', async () => {
  const { world } = await lightningWorld();
  const { sha256Hex } = await import('../../src/base/id.ts');
  const { json: made } = await world.post('/v2/lightning/invoice', {
    amount_sats: 10,
    claim_hash: sha256Hex('mine'),
  });
  expect(made).not.toHaveProperty('claim_secret');
  world.mint.payQuote(made.bolt11);
  await until('credited', () => world.node.totals().liabilities['avail'] === 10_000);
  expect(await statusOf(world, made.invoice_id)).not.toHaveProperty('api_key');
  expect(await statusOf(world, made.invoice_id, { 'x-claim-secret': 'mine' })).toHaveProperty('api_key');
});

test('a key is topped up, and terms go with a new one', async () => {
  const { world } = await lightningWorld();
  const key = await world.key(100);
  const before = await world.balance(key);
  const { json: made } = await world.post(
    '/v1/lightning/invoice',
    { amount_sats: 50, purpose: 'topup' },
    bearer(key),
  );
  world.mint.payQuote(made.bolt11);
  await until('credited', async () => (await world.balance(key)) === before + 50_000);
  expect(await statusOf(world, made.invoice_id, bearer(key))).toMatchObject({ status: 'paid', api_key: key });
  // Whoever saw the invoice, or asks first, must not get an account that has money of its own.
  const { bolt11, invoice_id, claim_secret } = made;
  for (const seen of [
    await statusOf(world, invoice_id),
    await statusOf(world, invoice_id, { 'x-claim-secret': claim_secret }),
    (await world.post('/v2/lightning/recover', { bolt11 })).json,
    (await world.post('/v2/lightning/recover', { bolt11, claim_secret })).json,
  ]) {
    expect(seen).toMatchObject({ status: 'paid', amount_sats: 50 });
    expect(seen).not.toHaveProperty('api_key');
  }

  const { json: limited } = await world.post('/lightning/invoice', { amount_sats: 5, balance_limit: 3_000 });
  world.mint.payQuote(limited.bolt11);
  await until('credited', async () => (await statusOf(world, limited.invoice_id)).status === 'paid');
  const { api_key: fresh } = await statusOf(world, limited.invoice_id, {
    'x-claim-secret': limited.claim_secret,
  });
  const { json: info } = await world.get('/v1/wallet/info', bearer(fresh));
  expect(info).toMatchObject({ balance: 5_000, balance_limit: 3_000 });
});

test('what is not an invoice request is refused in plain words', async () => {
  const { world } = await lightningWorld();
  const refused = async (body: unknown, headers: Record<string, string> = {}) => {
    const { status, json } = await world.post('/lightning/invoice', body, headers);
    return [status, json.error.code];
  };
  for (const amount of [0, -1, 1.5, 1_000_001, '10', null])
    expect(await refused({ amount_sats: amount })).toEqual([400, 'invalid_amount']);
  expect(await refused({ amount_sats: 1, purpose: 'gift' })).toEqual([400, 'invalid_request']);
  expect(await refused({ amount_sats: 1, purpose: 'topup' })).toEqual([401, 'missing_api_key']);
  expect(await refused({ amount_sats: 1, purpose: 'topup' }, bearer(`sk-${'0'.repeat(64)}`))).toEqual([
    401,
    'invalid_api_key',
  ]);
  expect((await world.get('/lightning/invoice/op_unknown/status')).json.detail).toBe('Invoice not found');
  expect((await world.post('/lightning/recover', { bolt11: 'lnbc1' })).status).toBe(404);
  expect((await world.get('/lightning/invoice')).status).toBe(405);
});

test('a network that asks for many invoices waits, and others do not', async () => {
  const { world } = await lightningWorld({ listen: { host: '127.0.0.1', port: 0, trust_proxy: true } });
  const asked = (from: string) =>
    world.post('/lightning/invoice', { amount_sats: 1 }, { 'x-forwarded-for': from });
  for (let i = 0; i < LIMITS.invoice.sourceBurst; i++) expect((await asked('8.8.4.4')).status).toBe(200);
  const { status, json, headers } = await asked('8.8.4.4');
  expect([status, json.error.code]).toEqual([429, 'rate_limited']);
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await asked('9.9.9.9')).status).toBe(200);
});

const refund = (world: LightningWorld, key: string, body: unknown = {}, headers = {}) =>
  world.post('/v1/wallet/refund', body, { ...bearer(key), ...headers });

test('a refund goes to a Lightning address, once, and unspent fees come back', async () => {
  const { world, address } = await lightningWorld();
  const key = await world.key(1_000);
  const before = await world.balance(key);
  const { json: sent } = await refund(world, key, { lightning_address: address.address, amount_sats: 100 });
  expect(sent).toMatchObject({ recipient: address.address, sats: '100', status: 'paid' });
  expect(sent).not.toHaveProperty('token');
  expect(await world.balance(key)).toBe(before - 100_000 - sent.fee_msats);

  const again = await refund(world, key, { lightning_address: address.address, amount_sats: 100 });
  expect(again.json.refund_id).toBe(sent.refund_id);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  expect(world.mint.meltQuotes().filter(({ state }) => state === 'PAID')).toHaveLength(1);
  expect(world.node.totals()).toMatchObject({ drift: 0, equity: { losses: 0 } });
});

test('a key with a refund address is refunded there; a token is made when the client asks for one', async () => {
  const { world, address } = await lightningWorld();
  const token = await world.mint.issue(500);
  const { json } = await world.post('/v1/balance/create', {
    cashu_token: token,
    refund_address: address.address,
  });
  const all = await refund(world, json.api_key);
  expect(all.json).toMatchObject({ recipient: address.address });
  expect(Number(all.json.sats)).toBeGreaterThan(480);
  expect((await refund(world, json.api_key)).json.refund_id).toBe(all.json.refund_id);
  const rest = await refund(world, json.api_key, { lightning_address: null });
  expect(rest.json.token).toMatch(/^cashuB/);
  expect(world.node.totals().drift).toBe(0);
});

test('Idempotency-Keys tell payments apart, and never meet across tokens and payments', async () => {
  const { world, address } = await lightningWorld();
  const key = await world.key(1_000);
  const pay = (id: string, sats: number) =>
    refund(world, key, { lightning_address: address.address, amount_sats: sats }, { 'idempotency-key': id });
  const one = await pay('one', 10);
  const two = await pay('two', 10);
  expect(two.json.refund_id).not.toBe(one.json.refund_id);
  expect((await pay('one', 10)).json.refund_id).toBe(one.json.refund_id);
  expect((await pay('one', 11)).json.error.code).toBe('idempotency_key_reused');
  const token = await refund(world, key, { amount_sats: 10 }, { 'idempotency-key': 'token' });
  expect(token.json.token).toMatch(/^cashuB/);
  expect((await pay('token', 10)).json.error.code).toBe('idempotency_key_reused');
  const crossed = await refund(world, key, { amount_sats: 10 }, { 'idempotency-key': 'one' });
  expect(crossed.json.error.code).toBe('idempotency_key_reused');
  expect(world.node.totals().drift).toBe(0);
});

test('two refunds at once to one address are one payment', async () => {
  const { world, address } = await lightningWorld();
  const key = await world.key(1_000);
  address.pause();
  const body = { lightning_address: address.address, amount_sats: 100 };
  const both = [refund(world, key, body), refund(world, key, body)];
  address.resume();
  const [one, two] = await Promise.all(both);
  expect(one?.json.refund_id).toBe(two?.json.refund_id);
  expect(world.mint.meltQuotes().filter(({ state }) => state === 'PAID')).toHaveLength(1);
});

const codeOf = async (world: LightningWorld, key: string, address: TestAddress): Promise<string> =>
  (await refund(world, key, { lightning_address: address.address, amount_sats: 10 })).json.error.code;

test('a payment that fails gives everything back; an invoice for something else is not paid', async () => {
  const { world, address } = await lightningWorld();
  const { playInvoice } = await import('../../src/demo/mint.ts');
  const key = await world.key(1_000);
  const before = await world.balance(key);
  world.mint.meltNext('failed');
  expect(await codeOf(world, key, address)).toBe('payment_failed');
  expect(await world.balance(key)).toBe(before);

  address.nextInvoice((msat) => playInvoice(msat + 1_000));
  expect(await codeOf(world, key, address)).toBe('invalid_address');
  address.setAnswer({ minSendable: 20_000 });
  expect(await codeOf(world, key, address)).toBe('invalid_address');
  address.setAnswer({ callback: 'http://user:pw@127.0.0.1/' });
  expect(await codeOf(world, key, address)).toBe('invalid_address');
  address.setAnswer({ metadata: '[["text/plain","another"]]' });
  expect(await codeOf(world, key, address)).toBe('invalid_address');
  address.setAnswer({});
  address.nextReply((response) => response.writeHead(302, { location: '/elsewhere' }).end());
  expect(await codeOf(world, key, address)).toBe('address_unreachable');
  expect(await world.balance(key)).toBe(before);
  expect((await refund(world, key, { lightning_address: address.address, amount_sats: 5_000 })).status).toBe(
    402,
  );
  expect(world.node.totals().drift).toBe(0);
});
