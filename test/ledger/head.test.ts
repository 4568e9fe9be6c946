/** HEAD behind a mirrored journal: which places it names, and what becomes of a write that fails. */
import { expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { type Head, readHead, trailHead } from '../../src/ledger/head.ts';
import { deposit, newPlace } from './fixture.ts';

const place = (n: number): Head => ({ n, hash: `hash ${n}` });

/** A file that keeps what is written, and fails when it is told to. */
function file() {
  const written: number[] = [];
  const state = { fails: false, closed: false };
  return {
    written,
    state,
    write: async ({ n }: Head) => {
      if (state.fails) throw new Error('no space');
      expect(state.closed).toBe(false);
      written.push(n);
    },
    close: async () => {
      state.closed = true;
    },
  };
}

test('only the newest of many places is written, and the last one before the file is closed', async () => {
  vi.useFakeTimers();
  const head = file();
  const trail = trailHead(head);
  for (const n of [1, 2, 3]) trail.note(place(n));
  expect(head.written).toEqual([]);
  await vi.advanceTimersByTimeAsync(LIMITS.ledger.headTrailMs);
  for (const n of [4, 5]) trail.note(place(n));
  await trail.close();
  expect(head.written).toEqual([3, 5]);
  expect(head.state.closed).toBe(true);
  await vi.advanceTimersByTimeAsync(LIMITS.ledger.headTrailMs);
  expect(head.written).toEqual([3, 5]);
  vi.useRealTimers();
});

test('a write that failed ends the next group', async () => {
  vi.useFakeTimers();
  const head = file();
  const trail = trailHead(head);
  head.state.fails = true;
  trail.note(place(1));
  await vi.advanceTimersByTimeAsync(LIMITS.ledger.headTrailMs);
  expect(() => trail.note(place(2))).toThrow('no space');
  await trail.close();
  vi.useRealTimers();
});

test('on the disk HEAD comes after the journal, and names its end once the ledger is closed', async () => {
  const { dir, open } = await newPlace({ mirrored: true });
  const ledger = await open();
  const before = (await readHead(dir))!.n;
  await deposit(ledger, 'a');
  await vi.waitUntil(async () => (await readHead(dir))!.n > before, { timeout: 10_000 });
  const between = (await readHead(dir))!;
  await deposit(ledger, 'b');
  await ledger.close();
  const after = (await readHead(dir))!;
  expect(after.n).toBeGreaterThan(between.n);
  expect(after.turn).toBeGreaterThan(between.turn);
});
