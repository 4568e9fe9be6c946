/** HEAD behind a mirrored journal: which places it names, and what becomes of a write that fails. */
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { type Head, readHead, trailHead } from '../../src/ledger/head.ts';
import { deposit, newPlace } from './fixture.ts';

const place = (n: number): Head => ({ n, hash: `hash ${n}` });

/** A file that keeps what is written, and fails when it is told to. */
function file() {
  const written: number[] = [];
  const state = { fails: false, closed: false, wrong: '' };
  let writing = false;
  let disk = Promise.resolve();
  return {
    written,
    state,
    write: async ({ n }: Head) => {
      if (state.closed) state.wrong = 'written after it was closed';
      if (writing) state.wrong = 'written twice at once';
      writing = true;
      await disk;
      writing = false;
      if (state.fails) throw new Error('no space');
      written.push(n);
    },
    /** Until it is told to go on, nothing is written. */
    stop: () => {
      let goOn: () => void = () => undefined;
      disk = new Promise((resolve) => (goOn = resolve));
      return goOn;
    },
    close: async () => {
      state.closed = true;
    },
  };
}

beforeEach(() => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
});

test('only the newest of many places is written, and the last one before the file is closed', async () => {
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
  expect(head.state.wrong).toBe('');
});

test('one write waits for another, however slow the disk is', async () => {
  const head = file();
  const trail = trailHead(head);
  const goOn = head.stop();
  for (const n of [1, 2, 3]) {
    trail.note(place(n));
    await vi.advanceTimersByTimeAsync(LIMITS.ledger.headTrailMs);
  }
  const closed = trail.close();
  goOn();
  await closed;
  expect(head.written).toEqual([1, 3]);
  expect(head.state.wrong).toBe('');
});

test('a write that failed ends the next group', async () => {
  const head = file();
  const trail = trailHead(head);
  head.state.fails = true;
  trail.note(place(1));
  await vi.advanceTimersByTimeAsync(LIMITS.ledger.headTrailMs);
  expect(() => trail.note(place(2))).toThrow('no space');
  await trail.close();
});

test('after a write that failed the other slot is left alone: it may be the last good one', async () => {
  const head = file();
  const trail = trailHead(head);
  const goOn = head.stop();
  trail.note(place(1));
  await vi.advanceTimersByTimeAsync(LIMITS.ledger.headTrailMs);
  trail.note(place(2));
  head.state.fails = true;
  goOn();
  await vi.advanceTimersByTimeAsync(0);
  head.state.fails = false;
  await vi.advanceTimersByTimeAsync(LIMITS.ledger.headTrailMs);
  await trail.close();
  expect(head.written).toEqual([]);
});

test('on the disk HEAD comes after the journal, and names its end once the ledger is closed', async () => {
  vi.useRealTimers();
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
