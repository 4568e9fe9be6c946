import { expect, onTestFinished, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createTestMint } from '../../src/demo/mint.ts';
import { createBudget } from '../../src/wallet/budget.ts';
import { createMintClient } from '../../src/wallet/mint-http.ts';
import { fakeClock } from '../base/clock.ts';
import { until } from '../nostr/kit.ts';

const RULE = { perSecond: 5, burst: 10, waitMsMax: 1_000 };

test('a burst goes at once, the next ones wait their turn, and what would wait too long is refused', async () => {
  const clock = fakeClock();
  const budget = createBudget(clock, RULE);
  const takes = Array.from({ length: 17 }, () => budget.take());
  expect(takes.slice(0, 10).every(({ waitMs }) => waitMs === 0)).toBe(true);
  expect(takes.slice(10, 15).map(({ waitMs }) => waitMs)).toEqual([200, 400, 600, 800, 1_000]);
  expect(takes.slice(15)).toEqual([
    { waitMs: 1_200, refused: true },
    { waitMs: 1_200, refused: true },
  ]);
  await clock.advance(1_000);
  expect(budget.take()).toEqual({ waitMs: 200, refused: false });
});

test('over any stretch of time no more is sent than burst and pace allow', async () => {
  const clock = fakeClock();
  const budget = createBudget(clock, RULE);
  const sentAt: number[] = [];
  for (let i = 0; i < 400; i++) {
    const { waitMs, refused } = budget.take();
    if (!refused) sentAt.push(clock.monotonic() + waitMs);
    await clock.advance((i * 7_919) % 130);
  }
  for (let from = 0; from < sentAt.length; from++)
    for (let to = from; to < sentAt.length; to++) {
      const seconds = ((sentAt[to] ?? 0) - (sentAt[from] ?? 0)) / 1_000;
      expect(to - from + 1).toBeLessThanOrEqual(RULE.burst + RULE.perSecond * seconds + 1.01);
    }
  expect(sentAt.length).toBeGreaterThan(50);
});

test('a mint gets no more requests than its budget, and whoever is refused hears how long to wait', async () => {
  const clock = fakeClock();
  const mint = await createTestMint({ clock });
  const budget = { perSecond: 1, burst: 2, waitMsMax: 2_000 };
  const client = createMintClient({ url: mint.url, allowPrivate: true, budget, clock, log: silentLogger });
  onTestFinished(async () => {
    client.close();
    await mint.close();
  });
  const sent = (): number => mint.stats.requests['/v1/keysets'] ?? 0;
  const asked = Array.from({ length: 5 }, () => client.get('/v1/keysets'));
  expect(await asked[4]).toEqual({ kind: 'limited', retryAfterMs: 3_000 });
  expect((await Promise.all(asked.slice(0, 2))).map(({ kind }) => kind)).toEqual(['ok', 'ok']);
  expect(sent()).toBe(2);
  await clock.advance(2_000);
  expect((await Promise.all(asked.slice(2, 4))).map(({ kind }) => kind)).toEqual(['ok', 'ok']);
  expect(sent()).toBe(4);
});

test('what strangers cause for nothing leaves room for swaps and payments', async () => {
  const clock = fakeClock();
  const mint = await createTestMint({ clock });
  const { budget, quoteBudget } = LIMITS.mint;
  const parts = { allowPrivate: true, budget, quoteBudget, clock, log: silentLogger };
  const client = createMintClient({ url: mint.url, ...parts });
  onTestFinished(async () => {
    client.close();
    await mint.close();
  });
  const seconds = 20;
  const kinds: string[] = [];
  const quotes: string[] = [];
  for (let second = 0; second < seconds; second++) {
    const note = (list: string[]) => (answer: { kind: string }) => void list.push(answer.kind);
    for (let i = 0; i < 10; i++) {
      void client.post('/v1/mint/quote/bolt11', '{}').then(note(quotes));
      void client.get('/v1/mint/quote/bolt11/unpaid').then(note(quotes));
      void client.post('/v1/melt/quote/bolt11', '{}').then(note(quotes));
    }
    void client.post('/v1/swap', '{}').then(note(kinds));
    void client.get('/v1/melt/quote/bolt11/ours').then(note(kinds));
    for (let i = 0; i < 10; i++) {
      await clock.advance(100);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
  await until(() => kinds.length === 2 * seconds, 'every swap to be answered');
  expect(kinds).not.toContain('limited');
  const limited = quotes.filter((kind) => kind === 'limited').length;
  expect(quotes.length - limited).toBeLessThanOrEqual(
    quoteBudget.burst + quoteBudget.perSecond * (seconds + 1),
  );
});
