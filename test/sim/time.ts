/** Virtual time: one heap of events, and everything that would wait for a real timer waits here instead. */
import type { Clock } from '../../src/base/time.ts';

export interface VirtualTime {
  /** Milliseconds since the beginning. */
  now: () => number;
  at: (delayMs: number, run: () => void) => void;
  sleep: (ms: number) => Promise<void>;
  /** A clock whose sleepers never wake once `isDead`. */
  clockFor: (isDead: () => boolean) => Clock;
  /** Runs events, each until nothing moves any more, while `busy`. False if there was nothing left to run. */
  run: (busy: () => boolean, untilMs: number) => Promise<boolean>;
  events: () => number;
  /** Real timers again. */
  restore: () => void;
}

interface Event {
  time: number;
  order: number;
  run: () => void;
}

/** Where the wall clock stands at the beginning. */
export const START_MS = 1_760_000_000_000;

export function createVirtualTime(): VirtualTime {
  const { setImmediate: realImmediate, setTimeout: realTimeout } = globalThis;
  const heap: Event[] = [];
  let now = 0;
  let order = 0;
  let count = 0;

  const before = (a: Event, b: Event): boolean => a.time < b.time || (a.time === b.time && a.order < b.order);
  const swap = (i: number, j: number): void => {
    [heap[i], heap[j]] = [heap[j] as Event, heap[i] as Event];
  };

  function push(event: Event): void {
    heap.push(event);
    for (let i = heap.length - 1; i > 0;) {
      const parent = (i - 1) >> 1;
      if (!before(heap[i] as Event, heap[parent] as Event)) return;
      swap(i, parent);
      i = parent;
    }
  }

  function pop(): Event | undefined {
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    heap[0] = last;
    for (let i = 0; ;) {
      const [left, right] = [2 * i + 1, 2 * i + 2];
      let least = i;
      if (left < heap.length && before(heap[left] as Event, heap[least] as Event)) least = left;
      if (right < heap.length && before(heap[right] as Event, heap[least] as Event)) least = right;
      if (least === i) return top;
      swap(i, least);
      i = least;
    }
  }

  const at = (delayMs: number, run: () => void): void =>
    push({ time: now + Math.max(0, delayMs), order: order++, run });

  // The ledger's writer begins its groups with the first of these; here they take their turn among all other events.
  globalThis.setImmediate = ((run: () => void) => at(0, run)) as unknown as typeof setImmediate;
  globalThis.setTimeout = ((run: () => void, ms: number) => at(ms, run)) as unknown as typeof setTimeout;

  return {
    now: () => now,
    at,
    sleep: (ms) => new Promise((resolve) => at(ms, resolve)),
    clockFor: (isDead) => ({
      now: () => START_MS + Math.floor(now),
      monotonic: () => now,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          const wake = (): void => {
            signal?.removeEventListener('abort', wake);
            if (!isDead()) resolve();
          };
          if (signal?.aborted) return wake();
          signal?.addEventListener('abort', wake);
          at(ms, wake);
        }),
    }),
    run: async (busy, untilMs) => {
      while (busy() && now <= untilMs) {
        const event = pop();
        if (event === undefined) return false;
        now = event.time;
        count += 1;
        event.run();
        // Node empties the queue of microtasks before the next immediate: the consequences of the event are over then.
        await new Promise<void>((resolve) => realImmediate(resolve));
      }
      return true;
    },
    events: () => count,
    restore: () => {
      globalThis.setImmediate = realImmediate;
      globalThis.setTimeout = realTimeout;
    },
  };
}
