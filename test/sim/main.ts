/**
 * Simulator: `npm run sim -- [--seed 7 [--trace]] [--seeds 1500 --from 1] [--seconds 150]`, or `-- --mutants`: plants
 * one mistake after another and tells how soon each is caught.
 * Each seed is one history of buyers, mints, upstreams and crashes in virtual time; exit 0 only if none went wrong.
 */
import { parseArgs } from 'node:util';
import { hunt } from './hunt.ts';
import { runHistory } from './world.ts';

const MUTANT_SEEDS_MOST = 60;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1500' },
    seconds: { type: 'string', default: '86400' },
    mutants: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
  },
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);
if (values.mutants) {
  const hunts = await hunt(MUTANT_SEEDS_MOST);
  for (const { name, caughtAfter, how } of hunts)
    say(`${name}: ${caughtAfter === undefined ? 'NOT CAUGHT' : `after ${caughtAfter} seeds (${how})`}`);
  const caught = hunts.filter(({ caughtAfter }) => caughtAfter !== undefined).length;
  say(`mutants caught ${caught}/${hunts.length}`);
  process.exit(caught === hunts.length ? 0 : 1);
}

const startedAt = performance.now();
const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const total = {
  seeds: 0,
  asked: 0,
  acked: 0,
  crashes: 0,
  events: 0,
  virtualMs: 0,
  lost: 0,
  duplicated: 0,
  unresolved: 0,
};
const failing: number[] = [];

for (let seed = first; seed < first + count; seed++) {
  if (performance.now() - startedAt > Number(values.seconds) * 1000) break;
  const { verdict, crashes, events, virtualMs } = await runHistory({
    seed,
    ...(values.trace && { trace: say }),
  });
  total.seeds += 1;
  total.crashes += crashes;
  total.events += events;
  total.virtualMs += virtualMs;
  for (const name of ['asked', 'acked', 'lost', 'duplicated', 'unresolved'] as const)
    total[name] += verdict[name];
  if (verdict.findings.length === 0) continue;
  failing.push(seed);
  say(`seed ${seed}: ${verdict.findings.slice(0, 5).join(' | ')}`);
}
const seconds = (performance.now() - startedAt) / 1000;
const { seeds, asked, acked, crashes, events, lost, duplicated, unresolved } = total;
say(
  `seeds=${seeds} requests=${asked} acked=${acked} crashes=${crashes} events=${events} ` +
    `virtual_hours=${(total.virtualMs / 3_600_000).toFixed(1)} lost=${lost} duplicated=${duplicated} ` +
    `unresolved=${unresolved} seconds=${seconds.toFixed(1)} seeds_per_second=${(seeds / seconds).toFixed(1)}`,
);
if (failing.length > 0) say(`failing seeds: ${failing.join(' ')}`);
process.exit(failing.length === 0 ? 0 : 1);
