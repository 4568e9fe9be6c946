/** Dead tokens: proofs that their mint called SPENT (NUT-07), so that nobody has to be asked about them again. */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface DeadTokens {
  /** True if one of these proofs is known to be spent: a token with it cannot pay. */
  includes: (claims: readonly string[]) => boolean;
  /** Only for definite evidence about each single proof, never for a refusal of a token as a whole. */
  add: (claims: readonly string[]) => void;
}

export function createDeadTokens(parts: { clock: Clock }): DeadTokens {
  const { clock } = parts;
  /** Claim → when it is forgotten; in the order of the last use. */
  const rows = new Map<string, number>();

  function isDead(claim: string): boolean {
    const until = rows.get(claim);
    if (until === undefined) return false;
    rows.delete(claim);
    if (until <= clock.monotonic()) return false;
    rows.set(claim, until);
    return true;
  }

  return {
    includes: (claims) => claims.some(isDead),
    add: (claims) => {
      for (const claim of claims) {
        rows.delete(claim);
        rows.set(claim, clock.monotonic() + LIMITS.deadTokens.keepMs);
        const oldest = rows.keys().next();
        if (rows.size > LIMITS.deadTokens.claimsMax && !oldest.done) rows.delete(oldest.value);
      }
    },
  };
}
