/** Waiting time before the next attempt at a relay. */
import { hex, type Random } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';

/** Full jitter: anywhere between now and the bound, so that a fleet does not come back in one wave. */
export function backoffMs(failures: number, random: Random): number {
  const bound = Math.min(LIMITS.relay.backoffMaxMs, LIMITS.relay.backoffBaseMs * 2 ** Math.min(failures, 20));
  return Math.floor((Number.parseInt(hex(random(4)), 16) / 2 ** 32) * bound);
}
