/** Clock: the only source of time and timers, so that tests and the simulator can own both. */

export interface Clock {
  /** Wall clock, Unix milliseconds. */
  now: () => number;
  /** Milliseconds that never step backwards; for leases, timeouts and durations. */
  monotonic: () => number;
  /** Resolves after `ms`, or early (without throwing) when the signal aborts. Does not keep the process alive. */
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
}

export const unixSeconds = (clock: Clock): number => Math.floor(clock.now() / 1000);

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      timer.unref();
      signal?.addEventListener('abort', done, { once: true });
    }),
};
