/** A disk that hardly writes any more, and a wall clock that jumps: money waits, and nothing is decided by them. */
import { expect, onTestFinished, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { silentLogger } from '../../src/base/log.ts';
import { openLedger } from '../../src/ledger/level.ts';
import { createDisk, freshLedger } from '../sim/disk.ts';
import type { VirtualTime } from '../sim/time.ts';
import { deposit, fakeClock, newPlace, sats } from './fixture.ts';

test('a disk that does not keep up gets no new requests, and those that run still end', async () => {
  let writing = Promise.resolve();
  const disk = createDisk({
    records: await freshLedger(),
    time: { sleep: () => writing } as unknown as VirtualTime,
    random: () => 0.9,
    flushMs: () => 0,
    fails: () => false,
  });
  const storage = disk.storageFor(() => false);
  const ledger = await openLedger({ dir: 'simulated', clock: fakeClock(), log: silentLogger, storage });
  const { account } = await deposit(ledger, 'patient');
  let goOn: () => void = () => undefined;
  writing = new Promise((resolve) => {
    goOn = resolve;
  });
  const hold = (id: number) => ledger.hold({ id: `r${id}`, account, amount: sats(0) });
  let taken = 0;
  const flood = (): void => {
    for (; taken < 2 * LIMITS.ledger.queueMax; taken += 1) hold(taken);
  };
  expect(flood).toThrow(/does not keep up/);
  expect(taken).toBeGreaterThanOrEqual(LIMITS.ledger.queueMax);
  const first = ledger.settle('r0', sats(0));
  const second = ledger.release('r1');
  let durable = false;
  const told = Promise.all(
    [first, second].map((end) =>
      end.outcome === 'settled' ? end.durable : Promise.reject(new Error(end.outcome)),
    ),
  ).then(() => (durable = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(durable).toBe(false);
  goOn();
  await told;
  expect(hold(taken).outcome).toBe('held');
  for (let i = 2; i <= taken; i += 1) ledger.release(`r${i}`);
  expect(ledger.account(account)).toMatchObject({ available: 15_000, held: 0 });
  expect(ledger.totals().drift).toBe(0);
  await ledger.close();
}, 60_000);

test('a wall clock that jumps ends no lease, and entries stay in their order', async () => {
  const place = await newPlace();
  let wall = place.clock.now();
  let passed = 0;
  const clock = { ...place.clock, now: () => wall, monotonic: () => passed };
  const open = () => openLedger({ dir: place.dir, clock, log: silentLogger });
  const ledger = await open();
  let close = () => ledger.close();
  onTestFinished(() => close());
  const { account } = await deposit(ledger, 'jumps');
  ledger.hold({ id: 'living', account, amount: sats(5) });
  const start = wall;
  for (const jump of [3_600_000, -7_200_000, 10 * 365 * 86_400_000, -10 * 365 * 86_400_000]) {
    wall += jump;
    expect(ledger.expireHolds()).toBe(0);
    await deposit(ledger, `after ${jump}`, { account, purpose: 'topup' });
  }
  // Frozen, while real time goes on: leases end all the same.
  passed += LIMITS.hold.leaseMs;
  expect(ledger.expireHolds()).toBe(1);
  expect(ledger.account(account)).toMatchObject({ available: 75_000, held: 0 });
  await ledger.close();
  wall = start - 86_400_000;
  const again = await open();
  close = () => again.close();
  expect(again.account(account)).toMatchObject({ available: 75_000 });
  await deposit(again, 'yesterday', { account, purpose: 'topup' });
  expect(again.account(account)).toMatchObject({ available: 90_000 });
  await again.close();
  expect((await place.audit()).totals.drift).toBe(0);
});
