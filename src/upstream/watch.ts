/** Watch: one timer for the deadlines of all exchanges of an upstream; it runs only while there are any. */
import type { Clock } from '../base/time.ts';

export interface Watched {
  /** On the monotonic clock; Infinity while nothing is expected from the upstream. */
  deadline: number;
  expire: () => void;
  /** Where the watch keeps it; its own, from `add` to `remove`. */
  place: number | undefined;
}

export interface Watch {
  add: (watched: Watched) => void;
  remove: (watched: Watched) => void;
  close: () => void;
}

/** Deadlines are looked at this often in the shortest time that is kept, so they are late by a quarter at most. */
const LOOKS = 4;
const TICK_MAX_MS = 1_000;
const TICK_MIN_MS = 5;

export function createWatch(options: { clock: Clock; shortestMs: number }): Watch {
  const { clock } = options;
  const tickMs = Math.max(TICK_MIN_MS, Math.min(TICK_MAX_MS, options.shortestMs / LOOKS));
  /**
   * In no order, so that the last one can fill a gap. A Set would leave its old tables behind as it grows and shrinks,
   * and each of them keeps the exchanges it held alive until the next full collection.
   */
  const watched: Watched[] = [];
  const stop = new AbortController();
  let running = false;

  async function run(): Promise<void> {
    while (watched.length > 0 && !stop.signal.aborted) {
      await clock.sleep(tickMs, stop.signal);
      const now = clock.monotonic();
      for (const each of [...watched]) if (each.deadline <= now) each.expire();
    }
    running = false;
  }

  return {
    add: (each) => {
      each.place = watched.push(each) - 1;
      if (running || stop.signal.aborted) return;
      running = true;
      void run();
    },
    remove: (each) => {
      const { place } = each;
      if (place === undefined) return;
      each.place = undefined;
      const last = watched.pop();
      if (last === undefined || last === each) return;
      watched[place] = last;
      last.place = place;
    },
    close: () => stop.abort(),
  };
}
