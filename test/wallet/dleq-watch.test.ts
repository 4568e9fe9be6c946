import { afterAll, beforeAll, expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { createDleqWatch } from '../../src/wallet/dleq-watch.ts';
import { createWorlds, type LogLine, recordingLogger, until, type World } from './harness.ts';

let worlds: Record<'bad' | 'good', World>;
beforeAll(async () => {
  worlds = await createWorlds({ bad: { dleq: true }, good: { dleq: true } });
});
afterAll(() => worlds.good[Symbol.asyncDispose]());

test('a bad DLEQ is found after the credit; the credit stays and the mint is quarantined', async () => {
  const world = worlds.bad;
  const good = await world.request(await world.mint.issue(10));
  expect((await world.wallet.swap(good)).outcome).toBe('signed');
  const request = await world.request(await world.mint.issue(10));
  world.mint.failNext('bad-dleq', { path: '/v1/swap' });
  expect((await world.wallet.swap(request)).outcome).toBe('signed');
  await until(() => world.status()?.quarantined === true);
  expect(world.log.some(({ event }) => event === 'wallet.dleq.invalid')).toBe(true);
});

test('good DLEQ proofs are checked and leave the mint in good standing', async () => {
  const world = worlds.good;
  const proofs = await world.receive(await world.mint.issue(10));
  // Checks stand in line before this one, which nobody waits for either.
  await world.wallet.checkStates(world.mint.url, 'sat', proofs);
  expect(world.status()).toMatchObject({ quarantined: false, reachable: true });
});

test('signatures that find no room in the queue are let go, and counted', async () => {
  const lines: LogLine[] = [];
  let asked = 0;
  const curve = {
    waiting: () => LIMITS.mint.uncheckedMax - 1,
    run: () => {
      asked += 1;
      return Promise.reject(new Error('not asked for'));
    },
    blind: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  };
  const watch = createDleqWatch({ curve, log: recordingLogger(lines) });
  const dleq = { e: '11'.repeat(32), s: '22'.repeat(32) };
  const signature = { id: '01', amount: 1, C_: '02'.repeat(33), dleq };
  const mint = { keysets: { get: () => undefined } } as unknown as Parameters<typeof watch.check>[0];
  watch.check(mint, { blinded: ['', ''], signatures: [signature, signature] });
  watch.check(mint, { blinded: ['', '', ''], signatures: [signature, signature, signature] });
  expect(asked).toBe(0);
  expect(lines.map(({ level, event, fields }) => [level, event, fields])).toEqual([
    ['warn', 'wallet.dleq.skipped', { signatures: 2, total: 2 }],
    ['warn', 'wallet.dleq.skipped', { signatures: 3, total: 5 }],
  ]);
});

test('checks that a closing wallet leaves behind are counted in one line', async () => {
  const world = worlds.good;
  const requests = [
    await world.request(await world.mint.issue(100)),
    await world.request(await world.mint.issue(100)),
  ];
  for (const request of requests) expect((await world.wallet.swap(request)).outcome).toBe('signed');
  await world.wallet.close();
  const lost = () => world.log.filter(({ event }) => event === 'wallet.dleq.lost');
  await until(() => lost().length > 0);
  expect(lost()).toMatchObject([{ level: 'warn' }]);
  const { signatures, total } = (lost()[0]?.fields ?? {}) as { signatures: number; total: number };
  expect(signatures).toBe(total);
  expect(total).toBeGreaterThan(0);
  expect(total).toBeLessThanOrEqual(requests.reduce((sum, { plan }) => sum + plan.amounts.length, 0));
});
