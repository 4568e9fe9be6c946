import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBuyer } from '../../src/demo/buyer.ts';
import { type TestMint, createTestMint } from '../../src/demo/mint.ts';
import { type TestModel, createTestModel } from '../../src/demo/model.ts';
import { type Json, bearer, chat, until } from './support.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
const run = promisify(execFile);
const KILLS = 10;

let mint: TestMint;
let model: TestModel;
let dir: string;
let port: number;
let child: ChildProcess | undefined;
const url = () => `http://127.0.0.1:${port}`;

beforeAll(async () => {
  mint = await createTestMint({ dleq: false });
  model = await createTestModel({ models: ['demo/echo'] });
  dir = await mkdtemp(join(tmpdir(), 'routstr-kill-'));
  port = await freePort();
  await writeFile(join(dir, 'node.yaml'), JSON.stringify(settings()), { mode: 0o600 });
  await cli('init', '--yes');
});
afterAll(async () => {
  child?.kill('SIGKILL');
  await Promise.all([mint.close(), model.close()]);
  await rm(dir, { recursive: true, force: true });
});

const settings = () => ({
  data_dir: './data',
  listen: { host: '127.0.0.1', port },
  relays: [],
  mints: [{ url: mint.url, unit: 'sat', allow_private: true }],
  upstreams: [
    {
      id: 'echo',
      base_url: `${model.url}/v1`,
      models: [
        {
          id: 'demo/echo',
          input_usd_per_million: 50,
          output_usd_per_million: 150,
          context_length: 8_000,
          max_output_tokens: 500,
        },
      ],
    },
  ],
  pricing: { btc_usd: 100_000 },
});

/** A command that fails shows everything it said. */
const cli = (...words: string[]) =>
  run(process.execPath, ['--import', 'tsx', MAIN, ...words, '--config', join(dir, 'node.yaml')]).catch(
    (error: Error & { stdout?: string; stderr?: string }) => {
      throw new Error(`${words.join(' ')} failed: ${error.stdout ?? ''}${error.stderr ?? ''}`, {
        cause: error,
      });
    },
  );

async function start(): Promise<void> {
  child = spawn(
    process.execPath,
    ['--import', 'tsx', MAIN, 'start', '--config', join(dir, 'node.yaml'), '--log-level', 'error'],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await until('the node is ready', () =>
    fetch(`${url()}/readyz`).then(
      (answer) => answer.status === 200,
      () => false,
    ),
  );
}

async function kill(): Promise<void> {
  const dying = child;
  if (!dying) return;
  const ended = new Promise((done) => dying.once('exit', done));
  dying.kill('SIGKILL');
  await ended;
  child = undefined;
}

/** A call that may be cut off by the kill: undefined then. */
async function attempt(path: string, body: unknown, headers: Record<string, string>): Promise<Json> {
  try {
    const answer = await fetch(url() + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, change: answer.headers.get('x-cashu'), json: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

interface Purse {
  token: string;
  sats: number;
  kind: 'key' | 'once';
}

/** Creates, chats, pays once and refunds until the node dies under it. */
async function shopper(purses: Purse[], received: string[], stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const sats = 16 + Math.floor(Math.random() * 48);
    const kind = Math.random() < 0.5 ? 'key' : 'once';
    const purse: Purse = { token: await mint.issue(sats), sats, kind };
    purses.push(purse);
    if (kind === 'once') {
      await attempt('/v1/chat/completions', chat('pay once'), { 'x-cashu': purse.token });
      continue;
    }
    await attempt('/v1/balance/create', { cashu_token: purse.token }, {});
    await attempt('/v1/chat/completions', chat('from the key'), bearer(purse.token));
    const refund = await attempt('/v1/wallet/refund', {}, bearer(purse.token));
    if (refund?.status === 200) received.push(refund.json.token as string);
  }
}

test(`${KILLS} times kill -9 in the middle of everything: drift 0, and every sat is charged or obtainable`, async () => {
  const purses: Purse[] = [];
  const received: string[] = [];
  for (let round = 0; round < KILLS; round++) {
    await start();
    const stop = new AbortController();
    const shoppers = Array.from({ length: 4 }, () => shopper(purses, received, stop.signal));
    await new Promise((done) => setTimeout(done, 50 + Math.random() * 500));
    await kill();
    stop.abort();
    await Promise.all(shoppers);
    const { stdout } = await cli('audit', '--json', '--offline');
    expect(JSON.parse(stdout).drift_msat).toBe(0);
  }

  await start();
  const buyer = await createBuyer({ mintUrl: mint.url });
  const payouts = new Set<string>();
  let deposited = 0;
  for (const purse of purses) {
    deposited += purse.sats;
    const collect = async (): Promise<Json> =>
      purse.kind === 'key'
        ? (await attempt('/v1/balance/create', { cashu_token: purse.token }, {}),
          attempt('/v1/wallet/refund', {}, bearer(purse.token)))
        : attempt('/v1/wallet/refund', {}, { 'x-cashu': purse.token });
    let answer: Json;
    await until('the money of a purse is obtainable', async () => {
      answer = await collect();
      return answer !== undefined && answer.status !== 425 && answer.status !== 503;
    });
    if (answer.status === 200) payouts.add(answer.json.token as string);
    // Never redeemed: the buyer still owns the token itself.
    else if (answer.status === 404) payouts.add(purse.token);
    else expect(answer.json.detail).toMatch(/^(?:No balance to refund|Balance too small to refund)$/);
  }
  for (const token of received) payouts.add(token);

  let collected = 0;
  for (const token of payouts) collected += await buyer.receive(token);
  child?.kill('SIGTERM');
  await new Promise((done) => child?.once('exit', done));
  child = undefined;
  const { stdout } = await cli('audit', '--json');
  const audit = JSON.parse(stdout);
  const kept = Object.values(audit.equity as Record<string, number>).reduce((sum, amount) => sum + amount, 0);
  const owed = Object.values(audit.liabilities as Record<string, number>).reduce(
    (sum, amount) => sum + amount,
    0,
  );
  expect(audit.drift_msat).toBe(0);
  expect(audit.unfinished_operations).toBe(0);
  expect(audit.mints[0].spent).toBe(0);
  // What was paid in is with the buyer again, earned by the node, or dust of less than a sat on an account.
  expect(collected * 1000 + kept + owed).toBe(deposited * 1000);
  expect(owed).toBeLessThan(purses.length * 1000);
}, 180_000);

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port: free } = probe.address() as { port: number };
  await new Promise<void>((done) => probe.close(() => done()));
  return free;
}
