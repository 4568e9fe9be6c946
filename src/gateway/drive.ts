/** Driver: runs an operation until it is final, one runner per operation, with growing pauses, for as long as it takes. */
import type { OperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import type { Clock } from '../base/time.ts';

export interface StepResult {
  done: boolean;
  /** The mint asked for this much patience (429). */
  retryAfterMs?: number;
  /** Nothing is wrong: somebody else has to act first. */
  waits?: boolean;
}

export interface Driver {
  /** Starts (or joins) the one runner of this operation. `attempt` counts from 0. */
  run: (id: OperationId, step: (attempt: number) => Promise<StepResult>, found?: 'found') => void;
  /**
   * Ends the pause of this operation if it only waits for somebody else. One that comes before the pause is remembered,
   * so that what happened during a round is not missed by it.
   */
  wake: (id: OperationId) => void;
  /** True once the runner ended; false when it still runs after `ms`. Without a runner: true at once. */
  wait: (id: OperationId, ms: number) => Promise<boolean>;
  /** Resolves when no runner of this operation is left; at once if there is none. */
  ended: (id: OperationId) => Promise<void>;
  /** Rounds that the runner of this operation has made in vain; one more than none where it was found unfinished. */
  attempt: (id: OperationId) => number;
  running: () => number;
  /** True once after runners ended by a failure: their operations want to be taken up again. */
  takeHalted: () => boolean;
  /** Stops between two rounds; whatever is unfinished is taken up at the next start. */
  close: () => Promise<void>;
}

export function createDriver(parts: { clock: Clock; log: Logger }): Driver {
  const { clock, log } = parts;
  const runners = new Map<OperationId, Promise<void>>();
  const attempts = new Map<OperationId, number>();
  const pauses = new Map<OperationId, { end: () => void; waits: boolean }>();
  const woken = new Set<OperationId>();
  let halted = false;
  let stopped = false;

  async function rest(id: OperationId, ms: number, waits: boolean): Promise<void> {
    // A mint that failed or asked for patience gets its pause whatever it says.
    if (stopped || (waits && woken.delete(id))) return;
    const pause = new AbortController();
    pauses.set(id, { end: () => pause.abort(), waits });
    await clock.sleep(ms, pause.signal);
    pauses.delete(id);
    if (waits) woken.delete(id);
  }

  async function loop(id: OperationId, step: (attempt: number) => Promise<StepResult>): Promise<void> {
    let pause: number = LIMITS.mint.retryFirstMs;
    for (let attempt = 0; !stopped; attempt++) {
      const result = await step(attempt);
      if (result.done) return;
      attempts.set(id, attempt + 1);
      if (attempt > 3 && result.waits !== true)
        log.warn('gateway.operation.unresolved', { operation: id, attempt });
      await rest(id, result.retryAfterMs ?? pause, result.waits === true);
      pause = Math.min(pause * 2, LIMITS.mint.retryMaxMs);
    }
  }

  return {
    run: (id, step, found) => {
      if (runners.has(id) || stopped) return;
      if (found) attempts.set(id, 1);
      let failed = false;
      const runner = loop(id, step)
        .catch((error: unknown) => {
          // A storage failure ends the runner; the intent is on disk and is taken up again when the ledger is back.
          failed = true;
          log.error('gateway.operation.halted', { operation: id, error: errorKind(error) });
        })
        .finally(() => {
          runners.delete(id);
          attempts.delete(id);
          woken.delete(id);
          // Said once a new runner can begin, or whoever hears of it would take this one for it.
          if (failed) halted = true;
        });
      runners.set(id, runner);
    },
    wake: (id) => {
      if (!runners.has(id)) return;
      woken.add(id);
      const pause = pauses.get(id);
      if (pause?.waits) pause.end();
    },
    wait: async (id, ms) => {
      const runner = runners.get(id);
      if (!runner) return true;
      const timeout = new AbortController();
      const finished = await Promise.race([
        runner.then(() => true),
        clock.sleep(ms, timeout.signal).then(() => false),
      ]);
      timeout.abort();
      return finished;
    },
    ended: (id) => runners.get(id) ?? Promise.resolve(),
    attempt: (id) => attempts.get(id) ?? 0,
    running: () => runners.size,
    takeHalted: () => {
      const was = halted;
      halted = false;
      return was;
    },
    close: async () => {
      stopped = true;
      for (const pause of pauses.values()) pause.end();
      await Promise.all(runners.values());
    },
  };
}
