import { decodePaymentRequest } from '@cashu/cashu-ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestWorld, MODEL, bearer, chat, testWorld } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false } });
});
afterAll(() => world.close());

const quote = (body: unknown, headers: Record<string, string> = {}) => world.post('/v1/quote', body, headers);

test('a quote tells what a request can cost, to whoever asks, and moves nothing', async () => {
  const { sequence: before } = (await world.get('/readyz')).json;
  const body = chat('word '.repeat(400), { max_tokens: 500 });
  const { status, headers, json } = await quote(body);
  expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
  expect(json).toMatchObject({
    object: 'quote',
    model: MODEL,
    max_output_tokens: 500,
    accepted_mints: [world.mint.url],
  });
  const { required_msats: least, expected_cost_msats: expected, max_cost_msats: most } = json;
  expect(least).toBeGreaterThan(0);
  expect(expected).toBeGreaterThan(least);
  expect(most).toBeGreaterThanOrEqual(expected);
  expect((await world.get('/readyz')).json.sequence).toBe(before);

  // It is what the paid request asks for, and it pays for an answer that is not cut short.
  const unpaid = await world.post('/v1/chat/completions', body);
  expect(unpaid.headers.get('x-cashu')).toBe(json.payment_request);
  const sats = decodePaymentRequest(json.payment_request as string).amount?.toNumber() ?? 0;
  const token = await world.mint.issue(sats);
  const paid = await world.post('/v1/chat/completions', body, { 'x-cashu': token });
  expect([paid.status, paid.json.choices[0].finish_reason]).toEqual([200, 'stop']);
  expect(paid.json.cost.total_msats).toBeLessThanOrEqual(most);
});

test('a limit as high as the quote is enough, and so is a balance of the least for a short answer', async () => {
  const body = chat('one two three', { max_tokens: 40 });
  const { json } = await quote(body);
  const key = await world.key(100);
  const capped = { ...bearer(key), 'x-max-cost-msats': String(json.max_cost_msats) };
  expect((await world.post('/v1/chat/completions', body, capped)).json.choices[0].finish_reason).toBe('stop');
  const less = { ...bearer(key), 'x-max-cost-msats': String(json.required_msats - 1) };
  expect((await world.post('/v1/chat/completions', body, less)).json.error.code).toBe(
    'balance_limit_exceeded',
  );
});

test('more choices cost more', async () => {
  const one = (await quote(chat('x'))).json;
  const three = (await quote(chat('x', { n: 3 }))).json;
  expect(three.max_output_tokens).toBe(3 * one.max_output_tokens);
  expect(three.max_cost_msats).toBeGreaterThan(2 * one.max_cost_msats);
});

test.each<[string, unknown, number, string]>([
  ['an unknown model', chat('x', { model: 'no/such' }), 404, 'model_not_found'],
  ['a broken body', '{', 400, 'invalid_json'],
  ['no body', '', 400, 'invalid_json'],
  ['a wrong limit', chat('x', { max_tokens: -1 }), 400, 'invalid_max_tokens'],
])('%s is refused as a paid request would be', async (_what, body, status, code) => {
  const refused = await quote(body);
  expect([refused.status, refused.json.error.code]).toEqual([status, code]);
  expect((await world.get('/v1/quote')).json.error.code).toBe('method_not_allowed');
});
