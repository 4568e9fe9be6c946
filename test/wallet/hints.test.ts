/** Hints of one mint: what its socket may be, say and do. */
import { expect, onTestFinished, test, vi } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { createTestMint, type TestMintOptions } from '../../src/demo/mint.ts';
import { createHints } from '../../src/wallet/hints.ts';
import { readHintKinds, readNotice } from '../../src/wallet/hint-frames.ts';
import { openHintSocket } from '../../src/wallet/hint-socket.ts';
import { createMintClient } from '../../src/wallet/mint-http.ts';
import { fakeClock } from '../base/clock.ts';
import { type LogLine, recordingLogger, until } from './harness.ts';

vi.setConfig({ testTimeout: 120_000 });

/** One mint, what listens to it, and a clock that stands still. */
async function newEar(options: TestMintOptions = {}) {
  const mint = await createTestMint({ dleq: false, autoPay: false, ...options });
  const lines: LogLine[] = [];
  const clock = fakeClock();
  const common = { url: mint.url, allowPrivate: true, clock, log: recordingLogger(lines) };
  const client = createMintClient(common);
  // The longest pauses that jitter can give.
  const hints = createHints({ ...common, units: ['sat'], client, random: () => Buffer.alloc(4, 0xff) });
  onTestFinished(async () => {
    hints.close();
    client.close();
    await mint.close();
  });
  const quote = async (): Promise<string> => {
    const answer = await client.post('/v1/mint/quote/bolt11', '{"amount":4,"unit":"sat"}');
    return answer.kind === 'ok' ? (answer.body as { quote: string }).quote : '';
  };
  const watch = async () => {
    const name = await quote();
    const ear = { name, looks: 0, end: () => undefined as void };
    ear.end = hints.watch('bolt11_mint_quote', name, () => (ear.looks += 1));
    return ear;
  };
  const listenedFor = (): string[] => mint.socket.subscriptions().map((each) => each.quote);
  return { mint, hints, clock, lines, quote, watch, listenedFor };
}

test('a quote that was paid before anybody listened is told of at once', async () => {
  const { mint, hints, quote } = await newEar();
  const name = await quote();
  mint.payQuote(name);
  let looks = 0;
  hints.watch('bolt11_mint_quote', name, () => (looks += 1));
  await until(() => looks === 1);
});

test('each hint is for its own quote, and none comes after the end', async () => {
  const { mint, watch, listenedFor } = await newEar();
  const first = await watch();
  const second = await watch();
  await until(() => listenedFor().length === 2);
  first.end();
  await until(() => listenedFor().join() === second.name);
  mint.payQuote(first.name);
  mint.payQuote(second.name);
  await until(() => second.looks === 1);
  expect(first.looks).toBe(0);
  second.end();
  await until(() => mint.socket.connections() === 0);
});

test('somebody who begins to wait while the connection is being closed is heard without a pause', async () => {
  const { mint, watch, listenedFor } = await newEar();
  const first = await watch();
  await until(() => listenedFor().length === 1);
  const name = await watch().then((ear) => {
    first.end();
    ear.end();
    return ear.name;
  });
  const again = await watch();
  await until(() => listenedFor().join() === again.name);
  expect(name).not.toBe(again.name);
  expect(mint.socket.accepted()).toBe(2);
});

test('of too many quotes the oldest are left to polling', async () => {
  const { watch, listenedFor } = await newEar();
  const ears = [];
  for (let i = 0; i < LIMITS.hint.quotesMax + 3; i++) ears.push(await watch());
  const newest = ears.slice(3).map(({ name }) => name);
  await until(() => listenedFor().length === LIMITS.hint.quotesMax && listenedFor().join() === newest.join());
});

test('a mint that cuts every connection is dialled less and less often', async () => {
  const { mint, clock, watch } = await newEar();
  const dials: number[] = [];
  mint.socket.greet('drop');
  await watch();
  for (let minute = 0; minute < 60; minute++) {
    await clock.advance(60_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
    dials.push(mint.socket.attempts());
  }
  expect(dials[59]).toBeGreaterThan(3);
  // 2 s, doubled up to ten minutes: at most so many in an hour, and at most seven of them after the first half.
  expect(dials[59]).toBeLessThanOrEqual(16);
  expect(dials[59]! - dials[29]!).toBeLessThanOrEqual(7);
});

test.each(['redirect', 'silence'] as const)(
  'a mint that answers the handshake with %s is given up',
  async (how) => {
    const { mint, clock, watch, lines } = await newEar();
    mint.socket.greet(how);
    const ear = await watch();
    await until(() => mint.socket.attempts() === 1);
    await clock.advance(LIMITS.hint.connectTimeoutMs);
    await until(() => mint.socket.pending() === 0);
    mint.socket.greet('take');
    await until(() => {
      void clock.advance(1_000);
      return mint.socket.connections() === 1;
    });
    mint.payQuote(ear.name);
    await until(() => ear.looks === 1);
    expect(mint.stats.requests['unknown']).toBeUndefined();
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  },
);

test('a message above the limit ends the connection and is not read', async () => {
  const { mint, watch, listenedFor } = await newEar();
  const ear = await watch();
  await until(() => listenedFor().length === 1);
  const [about] = mint.socket.subscriptions();
  const lie = JSON.stringify({
    method: 'subscribe',
    params: { subId: about?.subId, payload: { state: 'PAID' } },
  });
  mint.socket.say(lie + ' '.repeat(LIMITS.hint.payloadBytesMax));
  await until(() => mint.socket.connections() === 0);
  expect(ear.looks).toBe(0);
});

test.each<[string, string | Buffer]>([
  ['no JSON', '{'],
  ['no object', '7'],
  ['null', 'null'],
  ['nothing', ''],
  ['a deep list', '['.repeat(10_000)],
  ['an error', '{"jsonrpc":"2.0","error":{"code":-32000,"message":"no"},"id":0}'],
  [
    'a notice of an unknown subscription',
    '{"method":"subscribe","params":{"subId":"x","payload":{"state":"PAID"}}}',
  ],
  ['a name of every object', '{"method":"subscribe","params":{"subId":"__proto__","payload":{}}}'],
  ['bytes', Buffer.from([0, 255, 1])],
])('%s is not listened to and harms nothing', async (_, message) => {
  const { mint, watch, listenedFor } = await newEar();
  const ear = await watch();
  await until(() => listenedFor().length === 1);
  mint.socket.say(message);
  mint.payQuote(ear.name);
  await until(() => ear.looks === 1);
  expect(mint.socket.accepted()).toBe(1);
});

test('a private address is connected to only where the operator allows it', async () => {
  const { mint, clock } = await newEar();
  const socket = openHintSocket({
    url: mint.url,
    allowPrivate: false,
    clock,
    opened: () => expect.unreachable(),
    message: () => expect.unreachable(),
  });
  expect(await socket.gone).toBe(0);
  const named = openHintSocket({
    url: mint.url.replace('127.0.0.1', 'localhost'),
    allowPrivate: false,
    clock,
    opened: () => expect.unreachable(),
    message: () => expect.unreachable(),
  });
  expect(await named.gone).toBe(0);
  expect(mint.socket.attempts()).toBe(0);
});

test('the kinds that a mint offers are read for bolt11 and the listed units only', () => {
  const offers = (...supported: unknown[]) => ({ nuts: { 17: { supported } } });
  const commands = ['bolt11_mint_quote', 'bolt11_melt_quote', 'proof_state'];
  const kinds = (body: unknown): string[] => [...readHintKinds(body, ['sat'])];
  expect(kinds(offers({ method: 'bolt11', unit: 'sat', commands }))).toEqual(commands.slice(0, 2));
  expect(kinds(offers({ method: 'bolt11', unit: 'usd', commands }))).toEqual([]);
  expect(kinds(offers({ method: 'bolt12', unit: 'sat', commands }))).toEqual([]);
  expect(kinds(offers({ method: 'bolt11', unit: 'sat', commands: commands.slice(1) }))).toEqual([
    commands[1],
  ]);
  for (const odd of [undefined, null, 7, {}, { nuts: [] }, { nuts: { 17: true } }, offers(null), offers({})])
    expect(kinds(odd)).toEqual([]);
});

test('a notice without a state, or with one that is no text, is still a notice', () => {
  const notice = (payload: unknown) =>
    JSON.stringify({ method: 'subscribe', params: { subId: 'a', payload } });
  expect(readNotice(notice({}))).toEqual({ subId: 'a', state: undefined });
  expect(readNotice(notice({ state: 7 }))).toEqual({ subId: 'a', state: undefined });
  expect(readNotice(notice({ state: 'PAID' }))).toEqual({ subId: 'a', state: 'PAID' });
  expect(readNotice(notice(null))).toBeUndefined();
});
