/** One history: a world drawn from a seed, run until its faults stop, healed, and then reckoned up. */
import { seeded } from '../base/random.ts';
import type { Streets } from '../shop/lightning-errands.ts';
import { createShopper } from '../shop/shopper.ts';
import { type Verdict, createVerdict } from '../shop/verdict.ts';
import { createSimLightning } from './lightning.ts';
import { createDisk, freshLedger } from './disk.ts';
import { createSimMint } from './mint.ts';
import { Died, type Mutant, type SimNode, startSimNode } from './node.ts';
import { createPurse } from './purse.ts';
import { reckon } from './reckoning.ts';
import { type Swarm, addFaults, drawMood, drawSwarm } from './swarm.ts';
import { createSimTill } from './till.ts';
import { START_MS, createVirtualTime } from './time.ts';
import { auditDisk, unfinished, watchBooks } from './watch.ts';

export interface HistoryOptions {
  seed: number;
  /** How long faults strike. */
  faultMs?: number;
  /** Dies exactly here and nowhere else. */
  crashAt?: { point: string; occurrence: number };
  mutant?: Mutant;
  /** Replaces what the seed draws. */
  swarm?: Partial<Swarm>;
  trace?: (line: string) => void;
}

export interface History {
  verdict: Verdict;
  crashes: number;
  events: number;
  virtualMs: number;
  /** Points that were visited, and how often. */
  visits: ReadonlyMap<string, number>;
}

/** Another row of random numbers for the same seed. */
const LATER_FAULTS = 1_000_000;
/** A refund out of nothing but the smallest proofs, in msat. */
const FEES_MOST = 60_000;
/** After the last fault everything must be final within this. */
const HEALING_MS = 3_600_000;
/** An hour for an invoice, a day of grace, and the slowest pace of asking. */
const INVOICES_END_MS = 32 * 3_600_000;

export async function runHistory(options: HistoryOptions): Promise<History> {
  const { seed, faultMs = 4_000, crashAt, mutant, trace = () => undefined } = options;
  const records = await freshLedger();
  const random = seeded(seed);
  const swarm = { ...addFaults(drawSwarm(random), seeded(seed + LATER_FAULTS)), ...options.swarm };
  const verdict = createVerdict();
  const time = createVirtualTime();
  const say = (line: string): void => trace(`${time.now().toFixed(1).padStart(10)} ${line}`);
  say(JSON.stringify(swarm));
  const visits = new Map<string, number>();
  let healed = false;
  let crashes = 0;
  let node: SimNode | undefined;
  let die: () => void = () => undefined;
  let over = false;

  const lightning = createSimLightning(time, START_MS);
  const awaited = new Map<string, number>();
  const mints = Array.from({ length: swarm.mints }, (_, i) =>
    createSimMint({
      name: ['aa', 'bb'][i] ?? 'cc',
      feePpk: swarm.feePpk,
      caches: swarm.mintCaches,
      time,
      random,
      lightning,
      route: () => {
        const route = healed ? 'fine' : drawMood(swarm.route, random);
        return route === 'fine' ? 'paid' : route;
      },
      mood: (path, ofNode) => {
        if (healed) return 'fine';
        const mood = drawMood(swarm.mint, random);
        // A lie about the node's own proofs is theft, and a mint that steals is beyond every promise.
        return mood === 'lie' && (ofNode || path !== '/v1/swap') ? 'fine' : mood;
      },
    }),
  );
  const disk = createDisk({
    records,
    time,
    random,
    flushMs: () => random() * swarm.flushMs,
    fails: () => !healed && random() < swarm.writeFails,
  });

  function diesAt(point: string): boolean {
    const visit = (visits.get(point) ?? 0) + 1;
    visits.set(point, visit);
    const here = crashAt
      ? crashAt.point === point && crashAt.occurrence === visit
      : !healed && random() < swarm.crash;
    if (here) say(`dies at ${point} (${visit})`);
    return here;
  }

  /** Starts the process again and again, as a supervisor does. */
  async function supervise(): Promise<void> {
    while (!over) {
      try {
        node = await startSimNode(
          {
            time,
            random,
            disk,
            mints,
            lightning,
            addressFails: () => !healed && random() < swarm.addressFails,
            upstreamMood: () => moodOfUpstream(),
            diesAt,
            mutant,
          },
          (kill) => (die = kill),
        );
        say('ready');
        await node.death;
      } catch (error) {
        if (!(error instanceof Died)) say(`start failed: ${String(error)}`);
        if (!(error instanceof Died) && healed) throw error;
        die();
      }
      node = undefined;
      crashes += 1;
      await auditDisk(disk, verdict);
      await time.sleep(10 + random() * swarm.restartMs);
    }
  }
  const moodOfUpstream = () => (healed ? 'fine' : drawMood(swarm.upstream, random));

  function watch(): void {
    if (over) return;
    // A ledger that cannot write is left to the supervisor.
    if (node?.ledger.health().poisoned === true) {
      say('poisoned');
      node.die();
    } else if (node) watchBooks({ ledger: node.ledger, mints, verdict });
    time.at(healed ? 300_000 : 250, watch);
  }
  function suddenly(): void {
    if (healed) return;
    say('dies suddenly');
    die();
    time.at(random() * 2 * swarm.suddenEveryMs, suddenly);
  }
  function rotate(): void {
    if (healed) return;
    for (const mint of mints) mint.rotate(swarm.feePpk);
    time.at(swarm.rotateEveryMs, rotate);
  }

  const told: string[] = [];
  const purse = createPurse(mints, told, random);
  const till = createSimTill({
    time,
    random,
    line: () => node,
    drops: () => !healed && random() < swarm.dropsAnswer,
    onBroken: (what) => {
      if (what.includes('the process died')) return;
      say(what);
      verdict.found('lost', `broken: ${what.split('\n')[0] ?? ''}`);
    },
  });
  let addresses = 0;
  const streets: Streets = {
    pay: lightning.pay,
    newAddress: () => `b${++addresses}@sim.test`,
    expect: (address, msats) => void awaited.set(address, msats),
  };
  const shoppers = Array.from({ length: swarm.shoppers }, (_, i) =>
    createShopper({
      name: `s${i}`,
      till,
      purse,
      verdict,
      random,
      refundFeeMost: swarm.feePpk > 0 ? FEES_MOST : 0,
      severalMints: swarm.mints > 1,
      ...(swarm.lightning && { streets }),
      trace: say,
      pauses: { again: (tries) => time.sleep(Math.min(20 * (tries + 1), 2_000)) },
    }),
  );

  try {
    void supervise();
    watch();
    if (swarm.suddenEveryMs > 0 && !crashAt) time.at(random() * swarm.suddenEveryMs, suddenly);
    if (swarm.rotateEveryMs > 0) time.at(swarm.rotateEveryMs, rotate);
    let shopping = shoppers.length;
    for (const shopper of shoppers) void shopper.run(() => time.now() > faultMs).then(() => (shopping -= 1));
    await time.run(() => time.now() < faultMs, faultMs);
    healed = true;
    say('healed');
    const open = () => node === undefined || unfinished(node.ledger) > 0;
    await time.run(() => shopping > 0 || open(), time.now() + HEALING_MS);
    if (shopping > 0) verdict.found('unresolved', `${shopping} buyers wait for ever`);
    const waiting = () => (node?.ledger.health().executing ?? 1) > 0;
    if (swarm.toTheEnd) await time.run(waiting, time.now() + INVOICES_END_MS);
    if (swarm.toTheEnd && waiting()) verdict.found('unresolved', 'an invoice that nobody pays has no end');
    over = true;
    if (node) {
      reckon({ ledger: node.ledger, mints, lightning, awaited, told, verdict });
      let closed = false;
      const closing = node.ledger.close().then(() => auditDisk(disk, verdict));
      closing.then(
        (holds) => {
          closed = true;
          if (holds > 0) verdict.found('unresolved', `${holds} holds are open`);
        },
        (error: unknown) => {
          closed = true;
          verdict.found('lost', `close: ${String(error)}`);
        },
      );
      await time.run(() => !closed, Infinity);
    } else verdict.found('unresolved', 'the node does not start any more');
  } finally {
    over = true;
    time.restore();
  }
  return { verdict, crashes, events: time.events(), virtualMs: time.now(), visits };
}
