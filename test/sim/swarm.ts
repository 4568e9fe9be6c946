/** Swarm: each seed draws which faults exist in its world, and how often they strike. */
import type { MintMood } from './mint.ts';
import type { Route } from './mint-quotes.ts';
import type { UpstreamMood } from './upstream.ts';

export interface Swarm {
  mints: number;
  feePpk: number;
  mintCaches: boolean;
  rotateEveryMs: number;
  shoppers: number;
  /** Per visit of a point. */
  crash: number;
  /** Milliseconds between crashes out of nowhere. */
  suddenEveryMs: number;
  restartMs: number;
  flushMs: number;
  writeFails: number;
  dropsAnswer: number;
  /** Buyers use Lightning as well. */
  lightning: boolean;
  /** Waits until invoices that nobody pays are over, and earnings are paid out. */
  toTheEnd: boolean;
  addressFails: number;
  route: Partial<Record<Route, number>>;
  mint: Partial<Record<MintMood, number>>;
  upstream: Partial<Record<UpstreamMood, number>>;
}

export function drawSwarm(random: () => number): Swarm {
  const sometimes = (probability: number, value: number): number => (random() < probability ? value : 0);
  const rate = (most: number): number => sometimes(0.4, random() * most);
  const pick = <T>(...values: T[]): T => values[Math.floor(random() * values.length)] as T;
  return {
    mints: pick(1, 1, 2),
    feePpk: pick(0, 0, 100, 300),
    mintCaches: random() < 0.5,
    rotateEveryMs: pick(0, 0, 0, 7_000),
    shoppers: pick(2, 3, 4),
    crash: pick(0, 0.002, 0.01),
    suddenEveryMs: pick(0, 2_000, 8_000),
    restartMs: pick(10, 200, 3_000),
    flushMs: pick(0.5, 5, 60),
    writeFails: rate(0.003),
    dropsAnswer: rate(0.05),
    lightning: random() < 0.7,
    toTheEnd: random() < 0.1,
    addressFails: rate(0.1),
    route: { fails: rate(0.2), pending: rate(0.3), 'pending-fails': rate(0.2) },
    mint: {
      before: rate(0.15),
      after: rate(0.15),
      late: rate(0.1),
      limited: rate(0.1),
      error: rate(0.1),
      lie: sometimes(0.1, 0.03),
    },
    upstream: {
      refuses: rate(0.1),
      hangs: rate(0.02),
      'breaks-off': rate(0.1),
      truncates: rate(0.1),
      'no-usage': rate(0.2),
      'absurd-usage': rate(0.2),
    },
  };
}

/** Faults that came later, drawn apart, so that most of the seeds before them still tell the same story. */
export function addFaults(swarm: Swarm, random: () => number): Swarm {
  if (random() < 0.7) return swarm;
  return { ...swarm, mint: { ...swarm.mint, vague: random() * 0.2 } };
}

/** One of the moods by its rate, `fine` for the rest. */
export function drawMood<Mood extends string>(
  rates: Partial<Record<Mood, number>>,
  random: () => number,
): Mood | 'fine' {
  let dice = random();
  for (const [mood, rate] of Object.entries(rates) as [Mood, number][]) {
    dice -= rate;
    if (dice < 0) return mood;
  }
  return 'fine';
}
