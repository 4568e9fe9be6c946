import { expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { createSeenWraps } from '../../src/nostr/seen-wraps.ts';
import { manualClock, memoryStore } from './kit.ts';

const { seenMax, slotIdsMax, slotSeconds, slots } = LIMITS.inbox;
const name = (n: number): string => n.toString(16).padStart(64, '0').split('').reverse().join('');
const seenOn = (store = memoryStore(), clock = manualClock()) =>
  createSeenWraps<string>({ store, clock, before: () => 'before' });

test('wraps beyond the bound are forgotten, those that were seen first', () => {
  const seen = seenOn();
  for (let n = 0; n < seenMax + 10; n += 1) seen.add(name(n), 'now');
  expect(Array.from({ length: 11 }, (_, n) => seen.get(name(n)))).toEqual([
    ...Array(10).fill(undefined),
    'now',
  ]);
  expect(seen.get(name(seenMax + 9))).toBe('now');
});

test('the next process knows what was finished, as long as relays may send it again, within a bound on disk', async () => {
  const [store, clock] = [memoryStore(), manualClock()];
  const seen = seenOn(store, clock);
  for (let n = 0; n < slotIdsMax + 5; n += 1) {
    seen.add(name(n), 'now');
    seen.keep(name(n));
  }
  seen.add(name(9_999), 'now');
  await seen.flush();
  const next = seenOn(store, clock);
  expect([next.get(name(0)), next.get(name(slotIdsMax - 1))]).toEqual(['before', 'before']);
  // Not finished, or too many for one slot: opened again, which costs only time.
  expect([next.get(name(9_999)), next.get(name(slotIdsMax))]).toEqual([undefined, undefined]);
  expect([...store.values.values()].map((text) => text.length < 16 * slotIdsMax + 32)).toEqual([true]);

  clock.setWall(clock.now() + (slots - 2) * slotSeconds * 1_000);
  expect(seenOn(store, clock).get(name(0))).toBe('before');
  clock.setWall(clock.now() + 4 * slotSeconds * 1_000);
  expect(seenOn(store, clock).get(name(0))).toBeUndefined();
});
