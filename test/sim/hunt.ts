/** Hunt: how many seeds it takes until each planted mistake is caught. */
import { MUTANTS } from './mutants.ts';
import type { Swarm } from './swarm.ts';
import { runHistory } from './world.ts';

export interface Hunt {
  name: string;
  /** Seeds tried when it was caught; undefined: it got away. */
  caughtAfter: number | undefined;
  how: string;
}

/** Worlds in which mistakes show. Every seed is tried in each of them. */
export const WORLDS: Partial<Swarm>[] = [
  /** A slow disk and many deaths: whoever does not wait for the disk is found out. */
  { flushMs: 300, crash: 0.01, suddenEveryMs: 2_000, restartMs: 10 },
  /** Payments over Lightning to mints that do what they are asked and do not say so. */
  { lightning: true, crash: 0, suddenEveryMs: 0, mint: { after: 0.2 } },
];

export async function hunt(seedsMost: number): Promise<Hunt[]> {
  const hunts: Hunt[] = [];
  for (const [name, mutant] of Object.entries(MUTANTS)) {
    let caughtAfter: number | undefined;
    let how = '';
    for (let seed = 1; seed <= seedsMost && caughtAfter === undefined; seed++) {
      for (const swarm of WORLDS) {
        const { verdict } = await runHistory({ seed, mutant, swarm });
        if (verdict.findings.length === 0) continue;
        caughtAfter = seed;
        how = verdict.findings[0] ?? '';
      }
    }
    hunts.push({ name, caughtAfter, how });
  }
  return hunts;
}
