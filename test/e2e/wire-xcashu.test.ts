import { getDecodedToken, getEncodedToken } from '@cashu/cashu-ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBuyer, type Buyer } from '../../src/demo/buyer.ts';
import { type Reply, type TestWorld, MODEL, bearer, chat, events, testWorld, until } from './support.ts';

let world: TestWorld;
let buyer: Buyer;
beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false } });
  buyer = await createBuyer({ mintUrl: world.mint.url });
});
afterAll(() => world.close());

const pay = (
  token: string,
  content = 'hi',
  extra: Record<string, unknown> = {},
  headers = {},
): Promise<Reply> =>
  world.post('/v1/chat/completions', chat(content, extra), { 'x-cashu': token, ...headers });
const claim = (token: string, path = '/v1/wallet/refund'): Promise<Reply> =>
  world.post(path, '', { 'x-cashu': token });
const costOf = ({ text, json }: Reply): number => (json ?? events(text).at(-1)).cost.total_msats as number;

test('F45 change is value less cost, in the unit and of the mint of the token, for JSON and for streams', async () => {
  for (const stream of [false, true]) {
    const answer = await pay(await world.mint.issue(100), 'one two', { stream });
    const change = answer.headers.get('x-cashu') ?? '';
    const { mint, unit } = getDecodedToken(change, [world.mint.keyset()]);
    expect([mint, unit]).toEqual([world.mint.url, 'sat']);
    expect((await world.get('/v1/info')).json.mints).toContain(mint);
    expect(await buyer.receive(change)).toBe(100 - Math.ceil(costOf(answer) / 1_000));
    expect(answer.headers.get('access-control-expose-headers')).toContain('x-cashu');
  }
});

test('F45 without change there is no header', async () => {
  const answer = await pay(await world.mint.issue(1), 'one two three four five');
  expect(answer.status).toBe(200);
  expect(costOf(answer)).toBeGreaterThan(0);
  expect(answer.headers.get('x-cashu')).toBeNull();
  expect(await (await claim('cashuBnone')).json.detail).toBe('Refund not found');
});

test('C12 a token that paid for another request is spent, and told truly whether change waits', async () => {
  for (const [sats, waits] of [
    [1, false],
    [20, true],
  ] as const) {
    const token = await world.mint.issue(sats);
    expect((await pay(token, 'one two three four five')).status).toBe(200);
    for (let again = 0; again < 2; again++) {
      const { status, json, headers } = await pay(token, 'something else');
      expect([status, json.error.code]).toEqual([400, 'token_already_spent']);
      expect(json.error.metadata).toEqual({ refund_available: waits });
      expect(headers.get('x-cashu')).toBeNull();
    }
    const same = await pay(token, 'one two three four five');
    expect([same.status, same.headers.get('idempotent-replayed')]).toEqual([200, 'true']);
  }
});

test('F49 the change of a large token is a short header', async () => {
  const token = await world.mint.issue(999_999);
  const change = (await pay(token)).headers.get('x-cashu') ?? '';
  expect(change).toMatch(/^cashuB/);
  expect(change.length).toBeLessThan(8_192);
  const { proofs } = getDecodedToken(change, [world.mint.keyset()]);
  expect(proofs.reduce((sum, { amount }) => sum + Number(amount), 0)).toBeGreaterThan(999_900);
});

test.each<[string, (token: string) => Promise<Reply>, number, string]>([
  ['an unknown model', (token) => pay(token, 'x', { model: 'no/such' }), 404, 'model_not_found'],
  [
    'a broken body',
    (token) => world.post('/v1/chat/completions', '{', { 'x-cashu': token }),
    400,
    'invalid_json',
  ],
  ['a wrong field', (token) => pay(token, 'x', { max_tokens: -1 }), 400, 'invalid_max_tokens'],
  [
    'an unknown path',
    (token) => world.post('/v1/nothing', chat('x'), { 'x-cashu': token }),
    404,
    'not_found',
  ],
  [
    'another method',
    (token) => world.get('/v1/chat/completions', { 'x-cashu': token }),
    405,
    'method_not_allowed',
  ],
  [
    'another type',
    (token) => pay(token, 'x', {}, { 'content-type': 'text/plain' }),
    415,
    'unsupported_media_type',
  ],
  ['too little value', (token) => pay(token, 'word '.repeat(9_000)), 402, 'insufficient_balance'],
])(
  'F46 D36 D37 refused for %s, the token is untouched and no header is sent',
  async (_what, send, status, code) => {
    const token = await world.mint.issue(5);
    const reply = await send(token);
    expect([reply.status, reply.json.error.code]).toEqual([status, code]);
    expect(reply.headers.get('x-cashu')).toBeNull();
    expect(await buyer.receive(token)).toBe(5);
  },
);

test('F48 a token that is too small is told what would be enough', async () => {
  const { json, headers } = await pay(await world.mint.issue(1), 'word '.repeat(9_000));
  expect(json.error.type).toBe('insufficient_quota');
  expect(json.error.message).toContain('Insufficient credits');
  expect(json.error.metadata).toMatchObject({
    available_msats: 1_000,
    max_affordable_tokens: 0,
    accepted_mints: [world.mint.url],
  });
  const needed = json.error.metadata.required_msats as number;
  expect(headers.get('x-should-retry')).toBe('false');
  const enough = await pay(await world.mint.issue(Math.ceil(needed / 1_000)), 'word '.repeat(9_000));
  expect(enough.status).toBe(200);
});

test.each([['status-500'], ['status-401'], ['status-429'], ['status-400'], ['html-200']] as const)(
  'F46 after redemption a failure (%s) brings everything back in the header, which is good money',
  async (fault) => {
    world.model.failNext(fault);
    const { status, headers } = await pay(await world.mint.issue(21));
    expect(status).toBeGreaterThanOrEqual(400);
    expect(headers.get('x-should-retry')).toBe('false');
    expect(await buyer.receive(headers.get('x-cashu') ?? '')).toBe(21);
  },
);

test('F47 a token that is spent elsewhere is refused without a header', async () => {
  const token = await world.mint.issue(5);
  await buyer.receive(token);
  const { status, json, headers } = await pay(token);
  expect([status, json.error.type, json.error.code]).toEqual([
    400,
    'token_already_spent',
    'token_already_spent',
  ]);
  expect(headers.get('x-cashu')).toBeNull();
});

test('F50 change is claimed with the original token, with either family of paths, also beside a bearer', async () => {
  const token = await world.mint.issue(30);
  const answer = await pay(token);
  const change = answer.headers.get('x-cashu');
  const replies = [
    await claim(token),
    await claim(token, '/v1/balance/refund'),
    await claim(token, '/wallet/refund/'),
    await world.post('/v1/wallet/refund', '', { 'x-cashu': token, ...bearer(await world.key(2)) }),
    await claim(`cashu:${token}`),
  ];
  for (const { status, json, headers } of replies) {
    expect([status, json.token, headers.get('x-cashu')]).toEqual([200, change, change]);
    expect(json.sats).toBe(String(30 - Math.ceil(costOf(answer) / 1_000)));
  }
  await buyer.receive(change ?? '');
  expect((await claim(token)).status).toBe(410);
});

test('F50 what is not ours, not paid or still running cannot be claimed', async () => {
  const unseen = await claim(await world.mint.issue(3));
  expect([unseen.status, unseen.json.detail]).toEqual([404, 'Refund not found']);
  const junk = await claim('junk');
  expect(junk.status).toBeGreaterThanOrEqual(400);
  expect(junk.status).toBeLessThan(500);
  const token = await world.mint.issue(30);
  world.model.pause();
  const running = pay(token, 'slow');
  await until('it is at the upstream', () => world.model.stats.open > 0);
  const early = await claim(token);
  const again = await pay(token, 'slow');
  const other = await pay(token, 'something else');
  world.model.resume();
  expect([early.status, early.json.error.code, early.headers.get('retry-after')]).toEqual([
    425,
    'refund_pending',
    '2',
  ]);
  expect([again.status, again.json.error.code, again.headers.get('retry-after')]).toEqual([
    409,
    'token_in_use',
    '1',
  ]);
  // Nobody is told that a token is spent before it is.
  expect([other.status, other.json.error.code]).toEqual([409, 'token_in_use']);
  expect((await running).status).toBe(200);
});

test('F51 a client that leaves before the headers finds its change with the original token', async () => {
  const token = await world.mint.issue(30);
  const gone = new AbortController();
  world.model.pause();
  const request = fetch(`${world.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-cashu': token },
    body: JSON.stringify(chat('leave', { stream: true })),
    signal: gone.signal,
  });
  await until('it is at the upstream', () => world.model.stats.open > 0);
  gone.abort();
  await expect(request).rejects.toThrow();
  await until('the upstream is let go', () => world.model.stats.open === 0);
  world.model.resume();
  await until('the change can be claimed', async () => (await claim(token)).status === 200);
  expect(await buyer.receive((await claim(token)).json.token as string)).toBe(30);
});

test('F52 live with X-Cashu-Change: claim: no header, change in the last chunk and by the original token', async () => {
  const token = await world.mint.issue(40);
  const live = await pay(token, 'live', { stream: true }, { 'x-cashu-change': 'claim' });
  expect(live.headers.get('x-cashu')).toBeNull();
  const { change } = events(live.text).at(-1).metadata.routstr;
  expect((await claim(token)).json.token).toBe(change);
  const again = await pay(token, 'live', { stream: true }, { 'x-cashu-change': 'claim' });
  expect([again.headers.get('idempotent-replayed'), again.text]).toEqual(['true', live.text]);
  expect(await buyer.receive(change as string)).toBe(40 - Math.ceil(costOf(live) / 1_000));
});

test('C12 T19 the same proofs in another spelling are not the same token', async () => {
  const token = await world.mint.issue(30);
  const first = await pay(token);
  expect((await pay(token)).text).toBe(first.text);
  const decoded = getDecodedToken(token, [world.mint.keyset()]);
  const other = await pay(getEncodedToken({ ...decoded, memo: 'x' }));
  expect([other.status, other.json.error.code]).toEqual([409, 'token_already_claimed']);
  expect((await claim(getEncodedToken({ ...decoded, memo: 'x' }))).status).toBe(404);
});

test('X-Cashu wins over Authorization, whose key is not touched', async () => {
  const key = await world.key(9);
  const answer = await pay(await world.mint.issue(20), 'hi', {}, bearer(key));
  expect([answer.status, answer.json.model]).toEqual([200, MODEL]);
  expect(answer.headers.get('x-cashu')).toMatch(/^cashuB/);
  expect(await world.balance(key)).toBe(9_000);
});

test('after all of it the books balance to the msat', () => {
  expect(world.node.totals().drift).toBe(0);
});
