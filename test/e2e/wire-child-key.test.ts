import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Json, type TestWorld, bearer, chat, read, testWorld } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld({
    mint: { dleq: false },
    settings: { pricing: { btc_usd: 100_000, child_key_cost_msats: 100 } },
  });
});
afterAll(() => world.close());

const ask = (key: string, content: string, headers: Record<string, string> = {}) =>
  world.post('/v1/chat/completions', chat(content), { ...bearer(key), ...headers });
const info = async (key: string): Promise<Json> => (await world.get('/v1/wallet/info', bearer(key))).json;
const make = (key: string, body: unknown, headers: Record<string, string> = {}) =>
  world.post('/v1/balance/child-key', body, { ...bearer(key), ...headers });
const remove = async (key: string, path: string) =>
  read(await fetch(world.url + path, { method: 'DELETE', headers: bearer(key) }));

test('C25 child keys spend what is their parent’s, within their limit, until they are revoked', async () => {
  const parent = await world.key(100);
  const { status, json } = await make(parent, { count: 2, balance_limit: 3_000 });
  expect([status, json]).toMatchObject([
    200,
    { count: 2, cost_msats: 200, cost_sats: 0.2, parent_balance: 99_800, parent_balance_sats: 99 },
  ]);
  expect((await world.get('/v1/info')).json.child_key_cost_msats).toBe(100);
  const [child, other] = json.api_keys as [string, string];
  const paid = await ask(child, 'hello');
  expect(paid.status).toBe(200);
  const cost = paid.json.cost.total_msats as number;
  expect(await world.balance(parent)).toBe(99_800 - cost);
  expect(await info(child)).toMatchObject({
    api_key: child,
    is_child: true,
    balance: 3_000 - cost,
    total_spent: cost,
    balance_limit: 3_000,
    parent_key_preview: expect.stringMatching(/^[0-9a-f]{8}\.\.\.$/),
  });
  const seen = await info(parent);
  expect(seen.child_keys).toMatchObject([
    { id: json.child_keys[0].id, total_spent: cost },
    { total_spent: 0 },
  ]);
  expect(JSON.stringify([seen.child_keys, await info(child)])).not.toContain(parent);

  const gone = await remove(parent, `/v1/wallet/child-key/${json.child_keys[1].id}`);
  expect([gone.status, gone.json.deleted]).toEqual([200, true]);
  expect((await ask(other, 'still?')).json.error.code).toBe('invalid_api_key');
  expect((await info(parent)).child_keys).toHaveLength(1);
});

test('C25 a spent limit is told apart from an empty balance, a reset counts anew, expiry and models bind', async () => {
  const parent = await world.key(100);
  const make1 = async (terms: Json) => (await make(parent, terms)).json.api_keys[0] as string;
  const poor = await make1({ balance_limit: 1 });
  expect((await ask(poor, 'x')).json.error).toMatchObject({ code: 'balance_limit_exceeded' });
  const narrow = await make1({ models: ['demo/echo-large'] });
  const refused = await ask(narrow, 'x');
  expect([refused.status, refused.json.error.code]).toEqual([403, 'model_not_allowed']);
  const late = await make1({ validity_date: 1 });
  const expired = await ask(late, 'x');
  expect([expired.status, expired.json.error.code]).toEqual([403, 'key_expired']);

  const child = await make1({ balance_limit: 5_000 });
  const { total_msats: cost } = (await ask(child, 'spend')).json.cost;
  const reset = await world.post('/v1/balance/child-key/reset', { child_key: child }, bearer(parent));
  expect(reset.json).toEqual({ success: true, message: 'Child key balance reset successfully.' });
  expect(await info(child)).toMatchObject({ balance: 5_000, total_spent: cost });
});

test('a child key refunds nothing, makes no keys, sees no history, and what it tops up is its parent’s', async () => {
  const parent = await world.key(50);
  const child = (await make(parent, {})).json.api_keys[0] as string;
  for (const refused of [
    await world.post('/v1/wallet/refund', '', bearer(child)),
    await make(child, { count: 1 }),
    await world.get('/v1/balance/history', bearer(child)),
    await world.post('/v1/balance/child-key/reset', { child_key: child }, bearer(child)),
  ])
    expect([refused.status, refused.json.error.code]).toEqual([400, 'child_key_not_allowed']);
  const top = await world.post('/v1/wallet/topup', { cashu_token: await world.mint.issue(7) }, bearer(child));
  expect(top.json).toEqual({ msats: 7_000 });
  expect(await world.balance(parent)).toBe(56_900);
});

test('I1 the same child keys again for the same Idempotency-Key, paid for once', async () => {
  const parent = await world.key(10);
  const first = await make(parent, { count: 3 }, { 'idempotency-key': 'k' });
  const again = await make(parent, { count: 3 }, { 'idempotency-key': 'k' });
  expect(again.json).toEqual(first.json);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  expect(await world.balance(parent)).toBe(9_700);
  const other = await make(parent, { count: 2 }, { 'idempotency-key': 'k' });
  expect([other.status, other.json.error.code]).toEqual([409, 'idempotency_key_reused']);
});

test('R7 what cannot be made is refused, and costs nothing', async () => {
  const parent = await world.key(1);
  for (const body of [
    { count: 0 },
    { count: 51 },
    { count: 1.5 },
    { count: '2' },
    { balance_limit: -1 },
    { balance_limit: 0 },
    { balance_limit_reset: 'hourly' },
    { validity_date: 'soon' },
    { models: [] },
    { models: [7] },
    { models: 'demo/echo' },
  ])
    expect([body, (await make(parent, body)).status]).toEqual([body, 400]);
  const dear = await make(parent, { count: 50 });
  expect([dear.status, dear.json.error.code]).toEqual([402, 'insufficient_balance']);
  expect(await world.balance(parent)).toBe(1_000);
  expect((await make(`sk-${'0'.repeat(64)}`, {})).status).toBe(401);
});

test('two tenants: nobody reaches anything by the ids of somebody else', async () => {
  const [mine, theirs] = [await world.key(60), await world.key(60)];
  const child = (await make(mine, {})).json.child_keys[0] as { id: string; api_key: string };
  const request = (await ask(mine, 'private')).headers.get('x-request-id')!;
  const refund = await world.post('/v1/wallet/refund', { amount_sats: 2 }, bearer(mine));
  const operation = refund.json.operation_id as string;
  const pages = [`/v1/ops/${operation}`, `/v1/generation?id=${request}`];
  for (const page of pages) {
    expect((await world.get(page, bearer(mine))).status).toBe(200);
    expect((await world.get(page, bearer(theirs))).json.error.code).toBe('not_found');
    expect((await world.get(page, bearer(child.api_key))).status).toBe(404);
    expect((await world.get(page)).status).toBe(401);
    expect((await world.get(page, bearer(`sk-${'1'.repeat(64)}`))).status).toBe(401);
  }
  const token = await world.mint.issue(3);
  for (const page of pages) expect((await world.get(page, { 'x-cashu': token })).status).toBe(401);
  expect((await remove(theirs, `/v1/balance/child-key/${child.id}`)).status).toBe(404);
  const reset = { child_key: child.api_key };
  expect((await world.post('/v1/balance/child-key/reset', reset, bearer(theirs))).status).toBe(404);
  expect((await ask(child.api_key, 'alive')).status).toBe(200);
  const history = await world.get('/v1/wallet/history', bearer(theirs));
  expect(history.json.transactions).toHaveLength(1);
  const forged = await world.get('/v1/wallet/history?cursor=3.5000', bearer(theirs));
  for (const line of forged.json.transactions as Json[])
    expect(history.json.transactions[0].id).toBe(line.id);
});
