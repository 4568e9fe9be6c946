import { expect, test } from 'vitest';
import { newPlace } from './fixture.ts';

test('a kept value outlives the process, is told until its time is over, and is forgotten afterwards', async () => {
  const place = await newPlace();
  let ledger = await place.open();
  const now = Math.floor(place.clock.now() / 1000);
  await ledger.keepValue('short', 'a', now + 100).durable;
  await ledger.keepValue('longer', 'b', now + 100).durable;
  await ledger.keepValue('longer', 'c', now + 500).durable;
  await ledger.keepValue('gone', 'd', now + 500).durable;
  await ledger.keepValue('gone', null, 0).durable;
  const told = () => ['short', 'longer', 'gone', 'never'].map((key) => ledger.keptValue(key));
  expect(told()).toEqual(['a', 'c', undefined, undefined]);
  await ledger.close();

  ledger = await place.open();
  expect(told()).toEqual(['a', 'c', undefined, undefined]);
  place.clock.advance(200_000);
  expect(told()).toEqual([undefined, 'c', undefined, undefined]);
  await ledger.forgetOld();
  place.clock.advance(-200_000);
  expect(told()).toEqual([undefined, 'c', undefined, undefined]);
  place.clock.advance(600_000);
  await ledger.forgetOld();
  await ledger.close();

  ledger = await place.open();
  place.clock.advance(-600_000);
  expect(told()).toEqual([undefined, undefined, undefined, undefined]);
  await ledger.close();
  expect((await place.audit()).totals.drift).toBe(0);
});

test('a kept value is not taken for an operation that is not finished', async () => {
  const place = await newPlace();
  let ledger = await place.open();
  const until = Math.floor(place.clock.now() / 1000) + 100;
  await ledger.keepValue('short', 'a', until).durable;
  expect([ledger.unfinished(), ledger.health().executing]).toEqual([[], 0]);
  await ledger.close();
  ledger = await place.open();
  expect([ledger.unfinished(), ledger.health().executing]).toEqual([[], 0]);
  await ledger.close();
});
