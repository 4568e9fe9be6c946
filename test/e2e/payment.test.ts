import { decodePaymentRequest, getDecodedToken, getEncodedToken } from '@cashu/cashu-ts';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBuyer } from '../../src/demo/buyer.ts';
import { type TestWorld, MODEL, bearer, chat, events, testWorld } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld();
});
afterAll(() => world.close());

const total = (text: string): number => events(text).at(-1)?.usage.cost_msats as number;

test('the openai SDK pays a chat with a token as its key, and the bill is the difference of the balance', async () => {
  const token = await world.mint.issue(500);
  const client = new OpenAI({ apiKey: token, baseURL: `${world.url}/v1` });
  const answer = await client.chat.completions.create({
    model: MODEL,
    messages: [{ role: 'user', content: 'Hi' }],
  });
  const usage = answer.usage as unknown as { cost: number; cost_msats: number };
  expect(answer.choices[0]?.message.content).toContain('Hi');
  expect(usage.cost).toBeTypeOf('number');
  expect(usage.cost_msats).toBeGreaterThan(0);
  expect(await world.balance(token)).toBe(500_000 - usage.cost_msats);
});

test('a streamed answer carries its bill in the last chunk, also for a client that did not ask for usage', async () => {
  const key = await world.key(500);
  const answer = await world.post(
    '/v1/chat/completions',
    chat('Tell me more', { stream: true }),
    bearer(key),
  );
  expect(answer.headers.get('content-type')).toContain('text/event-stream');
  expect(answer.text.endsWith('data: [DONE]\n\n')).toBe(true);
  const chunks = events(answer.text);
  expect(chunks[0].choices[0].delta.role).toBe('assistant');
  const last = chunks.at(-1);
  expect(last.choices).toEqual([]);
  expect(last.cost.total_msats).toBe(last.usage.cost_msats);
  expect(last.cost.base_msats + last.cost.input_msats + last.cost.output_msats).toBe(last.cost.total_msats);
  expect(last.metadata.routstr.remaining_balance_msats).toBe(500_000 - last.cost.total_msats);
  expect(await world.balance(key)).toBe(500_000 - last.cost.total_msats);
});

test('the bill of a JSON answer stands in body and headers alike', async () => {
  const key = await world.key(100);
  const { headers, json } = await world.post('/chat/completions', chat('Hello'), bearer(key));
  expect(headers.get('x-routstr-cost-msats')).toBe(String(json.cost.total_msats));
  expect(json.usage.cost_msats).toBe(json.cost.total_msats);
  expect(headers.get('x-request-id')).toBe(json.metadata.routstr.request_id);
  expect(headers.get('access-control-expose-headers')).toContain('x-cashu');
});

test('fifty first requests with one token give one credit and one key', async () => {
  const token = await world.mint.issue(2_000);
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) => world.post('/v1/chat/completions', chat(`n ${i}`), bearer(token))),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  const spent = answers.reduce((sum, { json }) => sum + (json.cost.total_msats as number), 0);
  const info = (await world.get('/v1/wallet/info', bearer(token))).json;
  expect(info.balance).toBe(2_000_000 - spent);
  expect(info.reserved).toBe(0);
  expect(info.total_requests).toBe(50);
  const again = await world.post('/v1/balance/create', { cashu_token: token });
  expect(again.json).toEqual({ api_key: info.api_key, balance: info.balance });
  expect(again.headers.get('idempotent-replayed')).toBe('true');
});

test('a thief who writes the same proofs down anew gets a conflict and no access', async () => {
  const token = await world.mint.issue(64);
  const owner = await world.post('/v1/balance/create', { cashu_token: token });
  const decoded = getDecodedToken(token, [world.mint.keyset()]);
  const stolen = getEncodedToken({ ...decoded, memo: 'mine now' });
  expect(stolen).not.toBe(token);
  for (const attempt of [
    world.post('/v1/balance/create', { cashu_token: stolen }),
    world.post('/v1/chat/completions', chat('give'), bearer(stolen)),
    world.post('/v1/chat/completions', chat('give'), { 'x-cashu': stolen }),
  ]) {
    const { status, json } = await attempt;
    expect([status, json.error.code]).toEqual([409, 'token_already_claimed']);
  }
  expect(await world.balance(owner.json.api_key as string)).toBe(64_000);
});

test('fifty requests at once on a small key never overspend it', async () => {
  const key = await world.key(2);
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      world.post('/v1/chat/completions', chat(String(i).padEnd(300, 'x'), { max_tokens: 50 }), bearer(key)),
    ),
  );
  const paid = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status === 402);
  expect(paid.length + refused.length).toBe(50);
  expect(paid.length).toBeGreaterThan(0);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused[0]?.json.error).toMatchObject({ type: 'insufficient_quota', code: 'insufficient_balance' });
  expect(refused[0]?.headers.get('x-should-retry')).toBe('false');
  const spent = paid.reduce((sum, { json }) => sum + (json.cost.total_msats as number), 0);
  expect(await world.balance(key)).toBe(2_000 - spent);
});

test('one payment by X-Cashu brings its change in the header, for JSON and for streams', async () => {
  const buyer = await createBuyer({ mintUrl: world.mint.url });
  for (const stream of [false, true]) {
    const token = await world.mint.issue(100);
    const answer = await world.post('/v1/chat/completions', chat('once', { stream }), { 'x-cashu': token });
    expect(answer.status).toBe(200);
    const cost = stream ? total(answer.text) : (answer.json.cost.total_msats as number);
    const change = answer.headers.get('x-cashu') ?? '';
    expect(change.length).toBeLessThan(8_192);
    expect(await buyer.receive(change)).toBe(Math.floor((100_000 - cost) / 1000));
    const refund = await world.post('/v1/wallet/refund', '', { 'x-cashu': token });
    expect([refund.status, refund.json.error.code]).toEqual([410, 'refund_swept']);
  }
});

test('change that nobody fetched is claimed with the original token, again and again', async () => {
  const token = await world.mint.issue(100);
  const answer = await world.post('/v1/chat/completions', chat('lost'), { 'x-cashu': token });
  const change = answer.headers.get('x-cashu');
  const first = await world.post('/v1/wallet/refund', '', { 'x-cashu': token });
  const second = await world.post('/v1/balance/refund', '', { 'x-cashu': token });
  expect(first.json.token).toBe(change);
  expect(second.json).toEqual(first.json);
  expect(first.headers.get('x-cashu')).toBe(change);
  expect(first.json.sats).toBe(String(Math.floor((100_000 - answer.json.cost.total_msats) / 1000)));
});

test('with X-Cashu-Change: claim the answer streams live and the change is in the last chunk', async () => {
  const buyer = await createBuyer({ mintUrl: world.mint.url });
  const token = await world.mint.issue(100);
  const answer = await world.post('/v1/chat/completions', chat('live', { stream: true }), {
    'x-cashu': token,
    'x-cashu-change': 'claim',
  });
  expect(answer.headers.get('x-cashu')).toBeNull();
  const last = events(answer.text).at(-1);
  const change = last.metadata.routstr.change as string;
  expect(await buyer.receive(change)).toBe(Math.floor((100_000 - last.cost.total_msats) / 1000));
});

test('the same token with the same body gets the stored answer; with another body it is spent', async () => {
  const token = await world.mint.issue(100);
  const first = await world.post('/v1/chat/completions', chat('same'), { 'x-cashu': token });
  const again = await world.post('/v1/chat/completions', chat('same'), { 'x-cashu': token });
  expect(again.text).toBe(first.text);
  expect(again.headers.get('x-cashu')).toBe(first.headers.get('x-cashu'));
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  const other = await world.post('/v1/chat/completions', chat('other'), { 'x-cashu': token });
  expect([other.status, other.json.error.code]).toEqual([400, 'token_already_spent']);
  expect(other.json.error.metadata.refund_available).toBe(true);
  expect(other.headers.get('x-cashu')).toBeNull();
});

test('a top-up adds exactly what it says, by body and by query, and its repetition adds nothing', async () => {
  const key = await world.key(10);
  const token = await world.mint.issue(32);
  const byBody = await world.post('/v1/balance/topup', { cashu_token: token }, bearer(key));
  expect(byBody.json).toEqual({ msats: 32_000 });
  const again = await world.post('/v1/balance/topup', { cashu_token: token }, bearer(key));
  expect(again.json).toEqual({ msats: 32_000 });
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  const query = await world.mint.issue(7);
  const byQuery = await world.post(`/v1/wallet/topup?cashu_token=${query}`, '', bearer(key));
  expect(byQuery.json).toEqual({ msats: 7_000 });
  expect(await world.balance(key)).toBe(49_000);
});

test('a refund empties the key in whole sats, is repeatable, and never gives an old token after new money', async () => {
  const buyer = await createBuyer({ mintUrl: world.mint.url });
  const key = await world.key(50);
  const { json: answer } = await world.post('/v1/chat/completions', chat('spend'), bearer(key));
  const left = 50_000 - (answer.cost.total_msats as number);
  const refund = await world.post('/v1/wallet/refund', '', bearer(key));
  expect(refund.json.sats).toBe(String(Math.floor(left / 1000)));
  expect(await world.balance(key)).toBe(left % 1000);
  const again = await world.post('/v1/wallet/refund', '', bearer(key));
  expect(again.json.token).toBe(refund.json.token);
  await world.post('/v1/wallet/topup', { cashu_token: await world.mint.issue(20) }, bearer(key));
  const newer = await world.post('/v1/wallet/refund', '', bearer(key));
  expect(newer.json.token).not.toBe(refund.json.token);
  expect(await buyer.receive(refund.json.token as string)).toBe(Math.floor(left / 1000));
  expect(await buyer.receive(newer.json.token as string)).toBe(20);
  const empty = await world.post('/v1/wallet/refund', '', bearer(key));
  expect([empty.status, empty.json.detail]).toEqual([400, 'No balance to refund']);
});

test('a part of the balance can be refunded, but not more than there is', async () => {
  const key = await world.key(40);
  const part = await world.post('/v1/balance/refund', { amount_sats: 15 }, bearer(key));
  expect(part.json.sats).toBe('15');
  expect(await world.balance(key)).toBe(25_000);
  const much = await world.post('/v1/balance/refund', { amount_sats: 26 }, bearer(key));
  expect([much.status, much.json.error.code]).toEqual([402, 'insufficient_balance']);
});

test('a balance that pays the prompt but not the whole output gets a shorter answer instead of a refusal', async () => {
  const key = await world.key(5);
  const words = 'word '.repeat(400);
  const { status, json } = await world.post(
    '/v1/chat/completions',
    chat(words, { max_tokens: 4_000 }),
    bearer(key),
  );
  expect(status).toBe(200);
  expect(json.choices[0].finish_reason).toBe('length');
  expect(await world.balance(key)).toBeGreaterThanOrEqual(0);
});

test('without a credential the answer is 402 with a payment request that a wallet can read', async () => {
  const body = chat('word '.repeat(400), { max_tokens: 500 });
  const { status, headers, json } = await world.post('/v1/chat/completions', body);
  expect([status, json.error.type, json.error.code]).toEqual([402, 'insufficient_quota', 'payment_required']);
  expect(json.error.message).toContain('Insufficient credits');
  expect(json.error.metadata).toMatchObject({
    available_msats: 0,
    max_affordable_tokens: 0,
    accepted_mints: [world.mint.url],
  });
  expect(headers.get('x-should-retry')).toBe('false');
  // NUT-24: amount, unit and mints, and no transport: the token comes with the same request.
  const request = decodePaymentRequest(headers.get('x-cashu') ?? '');
  expect(request).toMatchObject({ unit: 'sat', mints: [world.mint.url] });
  expect(request.transport).toBeUndefined();
  const { required_msats: least, max_cost_msats: most } = json.error.metadata;
  expect(most).toBeGreaterThan(least as number);
  expect(request.amount?.toNumber()).toBe(Math.ceil(most / 1_000));
  // So much pays for an answer that is not cut short, and the rest comes back.
  const token = await world.mint.issue(request.amount?.toNumber() ?? 0);
  const paid = await world.post('/v1/chat/completions', body, { 'x-cashu': token });
  expect([paid.status, paid.json.choices[0].finish_reason]).toEqual([200, 'stop']);
  expect(paid.headers.get('x-cashu')).toMatch(/^cashuB/);
});

test('after everything the books balance to the msat', () => {
  expect(world.node.totals().drift).toBe(0);
});
