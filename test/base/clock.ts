/** A clock that stands still until it is told to go on. */
import type { Clock } from '../../src/base/time.ts';

export interface FakeClock extends Clock {
  /** Lets so much time pass and wakes whoever slept that long. */
  advance: (ms: number) => Promise<void>;
}

export function fakeClock(startMs = 1_760_000_000_000): FakeClock {
  let elapsed = 0;
  const sleepers = new Set<{ at: number; wake: () => void }>();
  return {
    now: () => startMs + elapsed,
    monotonic: () => elapsed,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const sleeper = {
          at: elapsed + ms,
          wake: () => {
            sleepers.delete(sleeper);
            signal?.removeEventListener('abort', sleeper.wake);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', sleeper.wake, { once: true });
      }),
    advance: async (ms) => {
      elapsed += ms;
      for (const sleeper of [...sleepers]) if (sleeper.at <= elapsed) sleeper.wake();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
