/**
 * Kill loop: `npm run kill-loop -- --kills 100 [--seconds 90] [--seed 7] [--shoppers 120]`.
 * The built node is killed with SIGKILL under load, at random moments and at named points, and started again on the
 * same data; buyers repeat what was not answered and compare what they were told. Exit 0 only if nothing is wrong.
 */
import { parseArgs } from 'node:util';
import { pointNames } from '../faults/points.ts';
import { seeded } from '../base/random.ts';
import { createShopper } from '../shop/shopper.ts';
import { createVerdict } from '../shop/verdict.ts';
import { MODEL } from '../node-kit.ts';
import { createHttpTill } from './http-till.ts';
import { type NodeProcess, command, requireBinary, startNode } from './node-process.ts';
import { type Audit, strandedSats } from './reckoning.ts';
import { createWeather } from './weather.ts';
import { createKillWorld } from './world.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '86400' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    shoppers: { type: 'string', default: '120' },
  },
});
const seed = Number(values.seed);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

requireBinary();
const random = seeded(seed);
let over = false;
const between = (from: number, to: number): number => from + random() * (to - from);
const world = await createKillWorld(random, () => !over && random() < 0.03);
const weather = createWeather(world.mint, random);
const till = createHttpTill(world.url, MODEL);
const verdict = createVerdict();
const recoveries: number[] = [];
/** What is under way when all faults are over is final within this. */
const HEALING_MS = 120_000;
const KILLS_PER_ROUND = 200;
const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const until = performance.now() + Number(values.seconds) * 1000;
const points = pointNames();

const hits = new Map<string, number>();
let kills = 0;
let up = false;
let node: NodeProcess | undefined;
let drift = 0;

/** False when the process ended before it was ready. */
async function ready(process: NodeProcess): Promise<boolean> {
  while (!process.isGone()) {
    if (await till.ready()) {
      recoveries.push(performance.now() - process.startedAt);
      up = true;
      return true;
    }
    if (performance.now() - process.startedAt > 30_000)
      throw new Error(`the node did not start: ${process.said()}`);
    await wait(5);
  }
  return false;
}

async function oneKill(): Promise<string> {
  const dice = random();
  const fault = dice < 0.4 ? points[Math.floor(random() * points.length)] : undefined;
  // Some points are passed with each request, some once in a while: the latter are waited for a little longer.
  const occurrence = 1 + Math.floor(random() * random() * 6);
  node = startNode(world.file, fault && `${fault}:${occurrence}`);
  const running = node;
  if (dice > 0.85) {
    // Recovery itself is killed.
    await wait(between(5, 700));
    up = false;
    await running.kill('SIGKILL');
    return 'starting';
  }
  const started = await ready(running);
  // Mostly soon after the start, where recovery meets new work; now and then late.
  const patience = fault === undefined ? 5 + random() * random() * 2_200 : 1_500;
  if (started) await Promise.race([running.gone, wait(patience)]);
  up = false;
  const itself = running.isGone();
  await running.kill('SIGKILL');
  if (/"crash"|invariant/.test(running.said())) verdict.found('lost', `the node crashed: ${running.said()}`);
  return fault === undefined ? 'random' : itself ? fault : 'random, with points';
}

/**
 * Kills while buyers shop, and then lets them finish, since invoices whose answers were lost can only be paid when no
 * book is open: many of them would slow down the asking about the others. The next start asks about each at once.
 */
async function round(goesOn: () => boolean): Promise<void> {
  let closing = false;
  const shopping = Promise.all(shoppers.map((shopper) => shopper.run(() => closing)));
  shopping.catch(() => undefined);
  do {
    const how = await oneKill();
    hits.set(how, (hits.get(how) ?? 0) + 1);
    kills += 1;
    if (kills % 40 === 0) await audited('--offline');
    if (kills % 50 === 0)
      say(`${kills} kills, ${verdict.asked} requests, ${verdict.findings.length} findings`);
  } while (goesOn() && kills % KILLS_PER_ROUND !== 0);
  closing = true;
  over = !goesOn();
  if (over) weather.clear();
  node = startNode(world.file);
  await ready(node);
  await shopping;
  await node.kill('SIGKILL');
  world.streets.payRest();
}

async function allFinal(): Promise<void> {
  const patience = performance.now() + HEALING_MS;
  while ((await till.executing()) !== 0 && performance.now() < patience) await wait(100);
}

async function audited(...words: string[]): Promise<Audit> {
  const audit = JSON.parse(await command(world.file, 'audit', '--json', ...words)) as Audit;
  drift = Math.max(drift, Math.abs(audit.drift_msat));
  return audit;
}

const shoppers = Array.from({ length: Number(values.shoppers) }, (_, i) =>
  createShopper({
    name: `s${i}`,
    till,
    purse: world.purse,
    verdict,
    random,
    refundFeeMost: 0,
    // Five minutes, in which the node lives for one or two: what waits for a mint gets its turn only now and then.
    triesMax: 3_000,
    streets: world.streets,
    pauses: {
      again: async (tries, lost) => {
        if (lost) while (!up) await wait(5);
        await wait(Math.min(5 * (tries + 1), 100));
      },
    },
  }),
);

const percentile = (share: number): number =>
  Math.round([...recoveries].sort((a, b) => a - b)[Math.ceil(recoveries.length * share) - 1] ?? 0);

let stranded = NaN;
try {
  say(`seed=${seed} node=${process.version}`);
  await command(world.file, 'init', '--yes');
  const goesOn = (): boolean => kills < Number(values.kills) && performance.now() < until;
  while (goesOn()) await round(goesOn);
  over = true;
  weather.clear();
  node = startNode(world.file);
  await ready(node);
  await allFinal();
  await node.kill('SIGTERM');
  const audit = await audited();
  world.streets.reckon(verdict, -(audit.equity['payouts'] ?? 0));
  const open = audit.unfinished_operations + audit.blocked_operations + audit.open_holds;
  for (let i = 0; i < open; i++)
    verdict.found('unresolved', 'an operation or hold is open after the last start');
  if (audit.mints?.some(({ spent, pending }) => spent + pending > 0))
    verdict.found('lost', 'a proof of the node is spent');
  stranded = await strandedSats({ mint: world.mint, owned: world.owned(), audit, verdict });
} finally {
  if (node && !node.isGone()) await node.kill('SIGKILL');
  await till.close();
  await world.close();
}

const named = [...hits].filter(([how]) => how.includes('.'));
say(`killed at ${named.length} named points, ${named.reduce((sum, [, count]) => sum + count, 0)} times`);
for (const finding of verdict.findings) say(finding);
const { asked, acked, lost, duplicated, unresolved } = verdict;
say(
  `kills=${kills} requests=${asked} acked=${acked} lost=${lost} duplicated=${duplicated} drift_msat=${drift} ` +
    `stranded_sat=${stranded} unresolved=${unresolved} recovery_p50=${percentile(0.5)} recovery_max=${percentile(1)}`,
);
process.exit(lost + duplicated + unresolved === 0 && drift === 0 && stranded === 0 ? 0 : 1);
