/**
 * Outbox: answers that carry a token or a key, sent in stored wraps again and again until the client says that they
 * arrived. Only which requests wait is kept here; what they are worth follows from the ledger.
 */
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import type { Records } from './rpc-record.ts';

export interface Outbox {
  /** Durable when it resolves: whatever happens from now on, this answer will be sent. */
  expect: (key: string) => Promise<void>;
  /** It is ready, and has been sent once in passing. */
  ready: (key: string) => void;
  /** Arrived, or worth nothing. */
  done: (key: string) => Promise<void>;
  start: () => void;
  stop: () => Promise<void>;
}

export function createOutbox(options: {
  records: Records;
  /** Sends the answer of this request in stored wraps; false: there is nothing to be sent any more. */
  resend: (key: string) => Promise<boolean>;
  clock: Clock;
  log: Logger;
}): Outbox {
  const { records, resend, clock, log } = options;
  const { resendMs, outboxMax } = LIMITS.dmi;
  const waiting = new Map<string, { due: number; times: number }>();
  const stopped = new AbortController();
  let wake = new AbortController();
  let life: Promise<void> | undefined;

  async function add(key: string): Promise<void> {
    waiting.set(key, { due: Infinity, times: 0 });
    // The oldest is not sent by itself any more; asked for, it is still told.
    if (waiting.size > outboxMax) waiting.delete([...waiting.keys()][0] ?? '');
    await records.setWaiting([...waiting.keys()]);
  }

  function schedule(key: string): void {
    const row = waiting.get(key);
    if (row === undefined) return;
    const pause = resendMs[Math.min(row.times, resendMs.length - 1)] ?? 0;
    waiting.set(key, { due: clock.monotonic() + pause, times: row.times + 1 });
    wake.abort();
  }

  async function done(key: string): Promise<void> {
    if (waiting.delete(key)) await records.setWaiting([...waiting.keys()]);
  }

  async function live(): Promise<void> {
    while (!stopped.signal.aborted) {
      const due = Math.min(Infinity, ...[...waiting.values()].map((row) => row.due));
      const pause = Math.min(resendMs[4], due - clock.monotonic());
      if (pause > 0) {
        await clock.sleep(pause, AbortSignal.any([wake.signal, stopped.signal]));
        if (wake.signal.aborted) wake = new AbortController();
        continue;
      }
      for (const [key, row] of waiting) {
        if (row.due > clock.monotonic() || stopped.signal.aborted) continue;
        schedule(key);
        try {
          if (!(await resend(key))) await done(key);
        } catch (error) {
          log.warn('nostr.value.delayed', { error: errorKind(error) });
        }
      }
    }
  }

  return {
    expect: add,
    ready: schedule,
    done,
    start: () => {
      // Of the process before: whether they were sent nobody knows.
      for (const key of records.waiting()) waiting.set(key, { due: clock.monotonic() + 1_000, times: 0 });
      life = live();
    },
    stop: async () => {
      stopped.abort();
      await life;
    },
  };
}
