/** Circuit breaker of one mint: after repeated failures nothing is sent for a while, then one request probes. */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface Breaker {
  /** Undefined: go ahead and report how it went. Else how long to wait, and why. */
  enter: () => { why: 'open' | 'limited'; ms: number } | undefined;
  succeeded: () => void;
  failed: () => void;
  /** The mint asked for a pause; that is an answer, not a failure. */
  limited: (ms: number) => void;
  /** True while requests are let through. */
  closed: () => boolean;
}

export function createBreaker(clock: Clock): Breaker {
  const { breakerFailures, breakerOpenMs } = LIMITS.mint;
  let failures = 0;
  let openUntil = -Infinity;
  let limitedUntil = -Infinity;
  let probing = false;

  const tripped = () => failures >= breakerFailures;
  const settle = () => {
    probing = false;
    failures = 0;
  };

  return {
    enter: () => {
      const now = clock.monotonic();
      if (now < limitedUntil) return { why: 'limited', ms: Math.ceil(limitedUntil - now) };
      if (!tripped()) return undefined;
      if (now < openUntil) return { why: 'open', ms: Math.ceil(openUntil - now) };
      // Half open: one request finds out; whoever comes meanwhile waits as long as it may take.
      if (probing) return { why: 'open', ms: LIMITS.mint.retryFirstMs };
      probing = true;
      return undefined;
    },
    succeeded: settle,
    limited: (ms) => {
      settle();
      limitedUntil = clock.monotonic() + ms;
    },
    failed: () => {
      probing = false;
      failures += 1;
      if (tripped()) openUntil = clock.monotonic() + breakerOpenMs;
    },
    closed: () => !tripped() || clock.monotonic() >= openUntil,
  };
}
