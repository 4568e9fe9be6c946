/**
 * A disk that fails under a running node: `strace` makes its system calls fail, as a broken or full disk would.
 * Nothing that was answered is lost, what was not answered happened once or not at all, and the node goes on by itself.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { type ProcessWorld, processWorld } from './process-kit.ts';
import { type Json, bearer, chat, until } from './support.ts';

const canInject = spawnSync('strace', ['-qq', '-o', '/dev/null', '-e', 'inject=fdatasync:error=EIO', 'true']);
const permitted = canInject.status === 0;
const SATS = 5_000;

/** Makes system calls of the process fail until the function it resolves to is called. */
async function breakDisk(pid: number, ...rules: string[]): Promise<() => Promise<void>> {
  const words = ['-f', '-o', '/dev/null', ...rules, '-p', String(pid)];
  const tracer: ChildProcess = spawn('strace', words, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((done) => tracer.once('exit', () => done()));
  let said = '';
  tracer.stderr?.on('data', (data: Buffer) => (said += data.toString()));
  const mend = async (): Promise<void> => {
    tracer.kill('SIGINT');
    await ended;
  };
  onTestFinished(mend);
  await until('strace holds the process', () => said.includes('attached'));
  return mend;
}

/** The log that LevelDB writes now: the file with the highest number. */
async function logOf(dir: string): Promise<string> {
  const db = join(dir, 'data/ledger/db');
  const logs = (await readdir(db)).filter((name) => name.endsWith('.log')).sort();
  return join(db, logs.at(-1) ?? '');
}

interface Seen {
  asked: number;
  paid: number;
  cost: number;
  unknown: number;
}

/** A node that is ready, and a key with SATS on it. */
async function fundedNode(): Promise<{ world: ProcessWorld; pid: number; key: string; seen: Seen }> {
  const world = await processWorld();
  const pid = await world.start();
  const token = await world.mint.issue(SATS);
  const created = await world.attempt('/v1/balance/create', { cashu_token: token }, {});
  const key = created.json.api_key as string;
  return { world, pid, key, seen: { asked: 0, paid: 0, cost: 0, unknown: 0 } };
}

/** One request; what was answered with success counts, whatever else came may have been charged or not. */
async function pay(world: ProcessWorld, key: string, seen: Seen): Promise<Json> {
  // No two are the same, and all cost the same.
  const question = `What does it cost? ${String(seen.asked++).padStart(4, '0')}`;
  const answer = await world.attempt('/v1/chat/completions', chat(question), bearer(key));
  if (answer?.status === 200) {
    seen.cost = answer.json.usage.cost_msats;
    seen.paid += seen.cost;
  } else {
    seen.unknown++;
  }
  return answer;
}

/** What is free, once nothing is held for requests that ended while nothing could be written. */
async function balanceOf(world: ProcessWorld, key: string): Promise<number> {
  const info = async (): Promise<Json> =>
    (await fetch(`${world.url}/v1/wallet/info`, { headers: bearer(key) })).json();
  const patience = performance.now() + 4 * LIMITS.hold.sweepMs;
  let { balance, reserved } = await info();
  while (reserved > 0 && performance.now() < patience) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    ({ balance, reserved } = await info());
  }
  expect(reserved).toBe(0);
  return balance as number;
}

async function expectBooks(world: ProcessWorld, key: string, seen: Seen): Promise<number> {
  const balance = await balanceOf(world, key);
  const unanswered = SATS * 1000 - balance - seen.paid;
  expect(unanswered % seen.cost).toBe(0);
  expect(unanswered / seen.cost).toBeGreaterThanOrEqual(0);
  expect(unanswered / seen.cost).toBeLessThanOrEqual(seen.unknown);
  return balance;
}

test.skipIf(!permitted).each([
  { fault: 'the database cannot be synced', rules: () => ['-e', 'inject=fdatasync:error=EIO'] },
  { fault: 'mirror and HEAD cannot be written', rules: () => ['-e', 'inject=pwrite64:error=EIO'] },
  {
    fault: 'the log of the database finds no space',
    rules: async (dir: string) => ['-P', await logOf(dir), '-e', 'inject=write:error=ENOSPC'],
  },
])(
  '$fault: money waits, nothing is lost, and it goes on once the disk does',
  async ({ rules }) => {
    const { world, pid, key, seen } = await fundedNode();
    expect(await pay(world, key, seen)).toMatchObject({ status: 200 });

    const mend = await breakDisk(pid, ...(await rules(world.dir)));
    const token = await world.mint.issue(7);
    let refused: Json;
    await until('a write fails', async () => {
      const answers = await Promise.all([
        pay(world, key, seen),
        pay(world, key, seen),
        pay(world, key, seen),
      ]);
      refused ??= answers.find((answer) => answer?.status !== 200);
      return refused !== undefined;
    });
    expect(refused).toMatchObject({ status: 503, json: { error: { code: 'storage_unavailable' } } });
    const topup = await world.attempt('/v1/balance/topup', { cashu_token: token }, bearer(key));
    expect((await fetch(`${world.url}/livez`)).status).toBe(200);

    await mend();
    await until('the node is ready again', world.isReady);
    expect(await pay(world, key, seen)).toMatchObject({ status: 200 });
    // Refused or not: the same token is credited once in the end.
    const again = await world.attempt('/v1/balance/topup', { cashu_token: token }, bearer(key));
    expect(again).toMatchObject({ status: 200, json: { msats: 7_000 } });
    if (topup.status !== 200) expect([425, 503]).toContain(topup.status);
    seen.paid -= 7_000;
    const balance = await expectBooks(world, key, seen);

    await world.stop('SIGKILL');
    expect(JSON.parse(await world.cli('audit', '--json', '--offline')).drift_msat).toBe(0);
    await world.start();
    expect(await balanceOf(world, key)).toBe(balance);
  },
  120_000,
);

test.skipIf(!permitted)(
  'a disk that takes its time delays answers and nothing else',
  async () => {
    const { world, pid, key, seen } = await fundedNode();
    await breakDisk(pid, '-e', 'inject=fdatasync:delay_exit=300000');
    const running = Promise.all(Array.from({ length: 8 }, () => pay(world, key, seen)));
    let alive = 0;
    let over = false;
    void running.finally(() => (over = true));
    while (!over) {
      expect((await fetch(`${world.url}/livez`)).status).toBe(200);
      alive++;
    }
    // Were the event loop to wait for the disk, one answer of /livez would take as long as a sync.
    expect(alive).toBeGreaterThan(2);
    for (const answer of await running) expect(answer).toMatchObject({ status: 200 });
    expect(await expectBooks(world, key, seen)).toBe(SATS * 1000 - 8 * seen.cost);
  },
  120_000,
);
