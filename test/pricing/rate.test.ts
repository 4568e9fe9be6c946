import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock, type Clock } from '../../src/base/time.ts';
import { agreed, createRateSource, type RateSource } from '../../src/pricing/rate.ts';

type Answer = (res: ServerResponse) => void;
const json =
  (value: unknown): Answer =>
  (res) =>
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
const kraken = (usd: unknown) => json({ error: [], result: { XXBTZUSD: { c: [usd, '1'] } } });
const coinbase = (usd: unknown) => json({ data: { amount: usd, currency: 'USD' } });
const bitstamp = (usd: unknown) => json({ last: usd });
const broken: Answer = (res) => res.destroy();

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
});

async function serve(answer: () => Answer): Promise<string> {
  const server = createServer((_req, res) => answer()(res));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Time stands still until told; a sleeping source wakes when it is woken. */
function handClock() {
  let now = 0;
  let wakes: (() => void)[] = [];
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        wakes.push(resolve);
        signal?.addEventListener('abort', () => resolve(), { once: true });
      }),
  };
  return {
    clock,
    pass: (ms: number) => {
      now += ms;
    },
    wake: () => {
      const woken = wakes;
      wakes = [];
      for (const wake of woken) wake();
    },
    sleeping: async () => {
      while (wakes.length === 0) await systemClock.sleep(2);
    },
  };
}

async function market(answers: [Answer, Answer, Answer]) {
  const urls = {
    kraken: await serve(() => answers[0]),
    coinbase: await serve(() => answers[1]),
    bitstamp: await serve(() => answers[2]),
  };
  const time = handClock();
  const rate: RateSource = createRateSource({ btcUsd: 'auto', clock: time.clock, log: silentLogger, urls });
  open.unshift(rate);
  rate.start();
  await time.sleeping();
  return { rate, time, answers };
}

test('a fixed rate is whole msat for a dollar', () => {
  const rate = createRateSource({ btcUsd: 100_000, clock: systemClock, log: silentLogger });
  expect(rate.msatPerUsd()).toBe(1_000_000);
  expect(createRateSource({ btcUsd: 99_999.5, clock: systemClock, log: silentLogger }).msatPerUsd()).toBe(
    1_000_006,
  );
});

describe('the market', () => {
  test('is the median of three exchanges', async () => {
    const { rate } = await market([kraken('100100.0'), coinbase('100000.00'), bitstamp('99900')]);
    expect(rate.msatPerUsd()).toBe(1_000_000);
  });

  test('goes on with those that answer', async () => {
    const { rate } = await market([broken, coinbase('100000'), json({ last: 'soon' })]);
    expect(rate.msatPerUsd()).toBe(1_000_000);
  });

  test('is unknown when nobody answers usably', async () => {
    const huge: Answer = (res) =>
      res.end(`{"last":"100000","x":"${'x'.repeat(LIMITS.rate.answerBytesMax)}"}`);
    const { rate } = await market([kraken('1'), (res) => res.writeHead(500).end(), huge]);
    expect(rate.msatPerUsd()).toBeUndefined();
  });

  test('tells changes, and a failed refresh keeps the last rate until it is too old', async () => {
    const { rate, time, answers } = await market([kraken('100000'), coinbase('100000'), bitstamp('100000')]);
    let told = 0;
    rate.onChange(() => told++);
    answers.splice(0, 3, kraken('50000'), coinbase('50000'), bitstamp('50000'));
    time.wake();
    await time.sleeping();
    expect([told, rate.msatPerUsd()]).toEqual([1, 2_000_000]);
    answers.splice(0, 3, broken, broken, broken);
    time.wake();
    await time.sleeping();
    time.pass(LIMITS.rate.staleMs);
    expect([told, rate.msatPerUsd()]).toEqual([1, 2_000_000]);
    time.pass(1);
    expect(rate.msatPerUsd()).toBeUndefined();
  });

  test('can be closed while it asks', async () => {
    const silent: Answer = () => undefined;
    const url = await serve(() => silent);
    const rate = createRateSource({
      btcUsd: 'auto',
      clock: systemClock,
      log: silentLogger,
      urls: { kraken: url, coinbase: url, bitstamp: url },
    });
    rate.start();
    await rate.close();
    expect(rate.msatPerUsd()).toBeUndefined();
  });
});

test.each([
  [[100, 101, 102], 101],
  [[100, 101, 200], 100.5],
  [[100, 103], 101.5],
  [[100, 200], undefined],
  [[100], 100],
  [[], undefined],
])('of %j the agreed price is %s', (quotes, price) => {
  expect(agreed(quotes)).toBe(price);
});
