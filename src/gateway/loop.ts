/** Loop breaker: a program that sends the same request over and over is stopped before it has spent everything. */
import { NodeError } from '../base/error.ts';
import { type AccountId, sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface LoopBreaker {
  /** Throws loop_detected. */
  admit: (account: AccountId, body: Uint8Array) => void;
}

/** @param identical so many equal bodies of one account within a minute are a loop; 0 switches it off. */
export function createLoopBreaker({ identical, clock }: { identical: number; clock: Clock }): LoopBreaker {
  if (identical === 0) return { admit: () => undefined };
  const { windowMs, bodiesMax } = LIMITS.loop;
  /** Times of the latest requests, by account and body, in two halves: when the younger is full, the older goes. */
  let young = new Map<string, number[]>();
  let old = new Map<string, number[]>();

  return {
    admit: (account, body) => {
      const now = clock.monotonic();
      const id = account.slice(0, 16) + sha256Hex(body).slice(0, 32);
      const times = (young.get(id) ?? old.get(id) ?? []).filter((at) => at > now - windowMs);
      const [first] = times;
      if (first !== undefined && times.length >= identical - 1) {
        throw new NodeError(
          'loop_detected',
          `The same request came ${identical} times within a minute; this one was not served. Change it, or wait.`,
          { retryAfterMs: first + windowMs - now },
        );
      }
      times.push(now);
      young.set(id, times);
      if (young.size < bodiesMax / 2) return;
      old = young;
      young = new Map();
    },
  };
}
