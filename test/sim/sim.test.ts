import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WORLDS, hunt } from './hunt.ts';
import { runHistory } from './world.ts';

const seeds = JSON.parse(readFileSync(join(import.meta.dirname, 'seeds.json'), 'utf8')) as number[];
const fresh = Array.from({ length: 12 }, (_, i) => i + 1);

test.each([...seeds, ...fresh])(
  'history %i loses nothing, doubles nothing and leaves nothing open',
  async (seed) => {
    const { verdict } = await runHistory({ seed });
    expect(verdict.findings).toEqual([]);
    expect(verdict.acked).toBeGreaterThan(0);
  },
  120_000,
);

test('a process that dies at any point of an ordinary history comes back whole', async () => {
  const { visits } = await runHistory({ seed: 1, crashAt: { point: 'nowhere', occurrence: 0 } });
  for (const [point, count] of visits) {
    const { verdict } = await runHistory({ seed: 1, crashAt: { point, occurrence: Math.ceil(count / 2) } });
    expect(verdict.findings, `after a crash at ${point}`).toEqual([]);
  }
  expect(visits.size).toBeGreaterThan(30);
}, 120_000);

test('the same seed is the same history', async () => {
  const trace = async (): Promise<string[]> => {
    const lines: string[] = [];
    await runHistory({ seed: 2, trace: (line) => lines.push(line) });
    return lines;
  };
  expect(await trace()).toEqual(await trace());
});

test('every planted mistake is caught, in worlds where a sound node is not', async () => {
  const hunts = await hunt(30);
  const tried = Math.max(...hunts.map(({ caughtAfter }) => caughtAfter ?? 0));
  for (let seed = 1; seed <= tried; seed++) {
    for (const swarm of WORLDS) {
      const { verdict } = await runHistory({ seed, swarm });
      expect(verdict.findings, `seed ${seed}`).toEqual([]);
    }
  }
  expect(hunts.filter(({ caughtAfter }) => caughtAfter === undefined)).toEqual([]);
}, 240_000);
