import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Buyer, createBuyer } from '../../src/demo/buyer.ts';
import { type Reply, type TestWorld, chat, events, testWorld, until } from './support.ts';

let world: TestWorld;
let buyer: Buyer;
beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false } });
  buyer = await createBuyer({ mintUrl: world.mint.url });
});
afterAll(() => world.close());

const CLAIM = { 'x-cashu-change': 'claim' };
const live = (token: string, content: string, extra: Record<string, unknown> = {}): Promise<Reply> =>
  world.post('/v1/chat/completions', chat(content, { stream: true, ...extra }), {
    'x-cashu': token,
    ...CLAIM,
  });
const claim = (token: string): Promise<Reply> => world.post('/v1/wallet/refund', '', { 'x-cashu': token });

test('F52 a live stream that breaks off has its change behind the error, less what was delivered', async () => {
  for (const fault of ['truncate', 'cut', 'error-frame'] as const) {
    const token = await world.mint.issue(60);
    world.model.failNext(fault);
    const { status, headers, text } = await live(token, 'one two three four');
    expect([status, headers.get('x-cashu')]).toEqual([200, null]);
    const chunks = events(text);
    expect(chunks.some(({ error }) => error)).toBe(true);
    const { cost, metadata } = chunks.at(-1);
    expect((await claim(token)).json.token).toBe(metadata.routstr.change);
    const back = await buyer.receive(metadata.routstr.change as string);
    expect(back).toBe(60 - Math.ceil(cost.total_msats / 1_000));
  }
});

test('F46 a live request that fails before its first byte brings everything back in the header', async () => {
  world.model.failNext('status-500');
  const { status, headers } = await live(await world.mint.issue(21), 'x');
  expect([status, headers.get('x-should-retry')]).toEqual([502, 'false']);
  expect(await buyer.receive(headers.get('x-cashu') ?? '')).toBe(21);
});

test('F52 where no usage is wanted, change is claimed with the original token', async () => {
  const token = await world.mint.issue(30);
  const { text } = await live(token, 'quiet', { stream_options: { include_usage: false } });
  expect(text).not.toContain('cashu');
  const { status, json } = await claim(token);
  expect(status).toBe(200);
  expect(await buyer.receive(json.token as string)).toBe(Number(json.sats));
});

test('F51 a client that leaves in the middle finds its change with the original token, which pays for nothing more', async () => {
  const token = await world.mint.issue(50);
  world.model.chunkDelay(20);
  const gone = new AbortController();
  const body = JSON.stringify(chat('one two three four five six seven eight', { stream: true }));
  const answer = await fetch(`${world.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-cashu': token, ...CLAIM },
    body,
    signal: gone.signal,
  });
  const reader = answer.body?.getReader();
  for (let heard = ''; !heard.includes('two');)
    heard += Buffer.from((await reader?.read())?.value ?? []).toString();
  gone.abort();
  world.model.chunkDelay(0);
  await until('the change can be claimed', async () => (await claim(token)).status === 200);
  const again = await world.post('/v1/chat/completions', body, { 'x-cashu': token, ...CLAIM });
  expect([again.status, again.json.error.code]).toEqual([400, 'token_already_spent']);
  expect(again.json.error.metadata).toEqual({ refund_available: true });
  const back = await buyer.receive((await claim(token)).json.token as string);
  expect(back).toBeGreaterThan(0);
  expect(back).toBeLessThan(50);
});

test('after all of it the books balance to the msat', () => {
  expect(world.node.totals().drift).toBe(0);
});
