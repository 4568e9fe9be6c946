import { expect, test } from 'vitest';
import type { Clock } from '../../src/base/time.ts';
import { type Watched, createWatch } from '../../src/upstream/watch.ts';

/** Time that passes only while somebody sleeps. */
function sleepingClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    monotonic: () => now,
    sleep: async (ms) => {
      await new Promise((resolve) => setImmediate(resolve));
      now += ms;
    },
  };
}

/** One that never expires keeps time going. */
function setUp(count: number) {
  const clock = sleepingClock();
  const watch = createWatch({ clock, shortestMs: 100 });
  const expired: number[] = [];
  const all = Array.from({ length: count }, (_, i): Watched => {
    const each: Watched = {
      deadline: 1_000 + i,
      expire: () => {
        expired.push(i);
        watch.remove(each);
      },
      place: undefined,
    };
    return each;
  });
  const keeper: Watched = { deadline: Infinity, expire: () => undefined, place: undefined };
  watch.add(keeper);
  const until = async (ms: number): Promise<void> => {
    while (clock.monotonic() < ms) await new Promise((resolve) => setImmediate(resolve));
  };
  return { watch, all, expired, until };
}

test('whatever leaves, in whatever order, all others keep their deadlines', async () => {
  const { watch, all, expired, until } = setUp(20);
  for (const each of all) watch.add(each);
  const gone = [0, 19, 7, 8, 18, 3];
  for (const i of gone) watch.remove(all[i] as Watched);
  // A second removal is no removal of another one.
  for (const i of gone) watch.remove(all[i] as Watched);
  await until(2_000);
  watch.close();
  const staying = all.map((_, i) => i).filter((i) => !gone.includes(i));
  expect(expired.sort((a, b) => a - b)).toEqual(staying);
});

test('one that expires may take others with it', async () => {
  const { watch, all, expired, until } = setUp(3);
  const [first, second, third] = all as [Watched, Watched, Watched];
  const { expire } = first;
  first.expire = () => {
    expire();
    watch.remove(third);
  };
  second.deadline = Infinity;
  third.deadline = Infinity;
  for (const each of all) watch.add(each);
  await until(1_500);
  second.deadline = 0;
  third.deadline = 0;
  await until(1_550);
  watch.close();
  expect(expired).toEqual([0, 1]);
});
