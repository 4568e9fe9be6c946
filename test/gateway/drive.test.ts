import { expect, test } from 'vitest';
import type { OperationId } from '../../src/base/id.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createDriver } from '../../src/gateway/drive.ts';
import { fakeClock } from '../base/clock.ts';

const id = 'op_1' as OperationId;

test('an operation is asked again with growing pauses until it is final, by one runner only', async () => {
  const clock = fakeClock();
  const driver = createDriver({ clock, log: silentLogger });
  const attempts: number[] = [];
  const step = async (attempt: number) => {
    attempts.push(attempt);
    return { done: attempt === 3 };
  };
  driver.run(id, step);
  driver.run(id, step);
  for (let i = 0; i < 4; i++) await clock.advance(1_000);
  expect(attempts).toEqual([0, 1, 2, 3]);
  expect(await driver.wait(id, 1)).toBe(true);
  expect(driver.running()).toBe(0);
});

test('a client stops waiting while the runner goes on', async () => {
  const clock = fakeClock();
  const driver = createDriver({ clock, log: silentLogger });
  let finish = false;
  driver.run(id, async () => ({ done: finish }));
  await clock.advance(0);
  const waiting = driver.wait(id, 10);
  await clock.advance(10);
  expect(await waiting).toBe(false);
  finish = true;
  await clock.advance(1_000_000);
  expect(await driver.wait(id, 10)).toBe(true);
});

test('a mint that asks for patience gets exactly that', async () => {
  const clock = fakeClock();
  const driver = createDriver({ clock, log: silentLogger });
  let calls = 0;
  driver.run(id, async () => {
    calls += 1;
    return { done: calls === 2, retryAfterMs: 7_000 };
  });
  await clock.advance(0);
  await clock.advance(6_999);
  expect(calls).toBe(1);
  await clock.advance(1);
  expect(calls).toBe(2);
});

test('closing stops between two rounds', async () => {
  const clock = fakeClock();
  const driver = createDriver({ clock, log: silentLogger });
  driver.run(id, async () => ({ done: false }));
  await clock.advance(0);
  await driver.close();
  expect(driver.running()).toBe(0);
});

test('whoever only waits is woken early, also by what came before the pause; one that failed is not', async () => {
  const clock = fakeClock();
  const driver = createDriver({ clock, log: silentLogger });
  let waits = true;
  let calls = 0;
  driver.wake(id);
  driver.run(id, async () => {
    calls += 1;
    if (calls === 3) driver.wake(id);
    return { done: false, waits, retryAfterMs: 3_600_000 };
  });
  await clock.advance(0);
  expect(calls).toBe(1);
  driver.wake(id);
  driver.wake(id);
  await clock.advance(0);
  expect(calls).toBe(2);
  await clock.advance(0);
  expect(calls).toBe(2);
  driver.wake(id);
  await clock.advance(0);
  await clock.advance(0);
  expect(calls).toBe(4);
  waits = false;
  driver.wake(id);
  await clock.advance(0);
  expect(calls).toBe(5);
  driver.wake(id);
  await clock.advance(0);
  expect(calls).toBe(5);
  await driver.close();
});

test('whoever hears that a runner ended by a failure can begin the next one at once', async () => {
  const driver = createDriver({ clock: fakeClock(), log: silentLogger });
  driver.run(id, () => Promise.reject(new Error('the disk failed')));
  let again = false;
  while (!driver.takeHalted()) await Promise.resolve();
  driver.run(id, () => {
    again = true;
    return Promise.resolve({ done: true });
  });
  await driver.ended(id);
  expect(again).toBe(true);
});
