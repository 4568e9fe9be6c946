/** Hunt: how many seeds it takes until each planted mistake is caught. */
import { MUTANTS } from './mutants.ts';
import { runHistory } from './world.ts';

export interface Hunt {
  name: string;
  /** Seeds tried when it was caught; undefined: it got away. */
  caughtAfter: number | undefined;
  how: string;
}

/** A slow disk and many deaths: whoever does not wait for the disk is found out. */
export const HARSH = { flushMs: 300, crash: 0.01, suddenEveryMs: 2_000, restartMs: 10 };

export async function hunt(seedsMost: number): Promise<Hunt[]> {
  const hunts: Hunt[] = [];
  for (const [name, mutant] of Object.entries(MUTANTS)) {
    let caughtAfter: number | undefined;
    let how = '';
    for (let seed = 1; seed <= seedsMost && caughtAfter === undefined; seed++) {
      const { verdict } = await runHistory({ seed, mutant, swarm: HARSH });
      if (verdict.findings.length > 0) caughtAfter = seed;
      how = verdict.findings[0] ?? '';
    }
    hunts.push({ name, caughtAfter, how });
  }
  return hunts;
}
