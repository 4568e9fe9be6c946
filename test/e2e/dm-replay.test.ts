import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestMint, createTestMint } from '../../src/demo/mint.ts';
import { type TestModel, createTestModel } from '../../src/demo/model.ts';
import { type TestRelay, createTestRelay } from '../../src/demo/relay.ts';
import type { ErrorFrame, RequestFrame, ResultFrame } from '../../src/protocol/dmi.ts';
import type { NostrEvent } from '../../src/relay/relay.ts';
import { loadFastSchnorr } from '../../src/relay/schnorr.ts';
import { type DmClient, dmClient, request } from './dm-kit.ts';
import { chat } from './support.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
const run = promisify(execFile);
const CLIENTS = 4;
const REQUESTS = 5;
/** 20 requests, each in five wraps, each sent five times to both relays. */
const WRAPS = 5;
const TIMES = 5;

let mint: TestMint;
let model: TestModel;
let relays: TestRelay[];
let dir: string;
let child: ChildProcess | undefined;
let pubkey: string;
const clients: DmClient[] = [];

beforeAll(async () => {
  await loadFastSchnorr();
  mint = await createTestMint({ dleq: false });
  model = await createTestModel({ models: ['demo/echo'] });
  relays = [await createTestRelay(), await createTestRelay()];
  dir = await mkdtemp(join(tmpdir(), 'routstr-dm-'));
  await writeFile(join(dir, 'node.yaml'), JSON.stringify(settings()), { mode: 0o600 });
  await cli('init', '--yes');
  const shown = JSON.parse((await cli('announce', 'show', '--json')).stdout) as { pubkey: string };
  pubkey = shown.pubkey;
}, 120_000);
afterAll(async () => {
  child?.kill('SIGKILL');
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all([mint.close(), model.close(), ...relays.map((relay) => relay.close())]);
  await rm(dir, { recursive: true, force: true });
});

const settings = () => ({
  data_dir: './data',
  listen: { host: '127.0.0.1', port: 0 },
  public_urls: ['https://node.example'],
  announce: { enabled: false },
  relays: relays.map(({ url }) => ({ url, roles: ['dm', 'rpc'], perMinute: 6_000, burst: 1_000 })),
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

const cli = (...words: string[]) =>
  run(process.execPath, ['--import', 'tsx', MAIN, ...words, '--config', join(dir, 'node.yaml')]);

/** Generous: a loaded machine must not fail a test. */
async function eventually(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 200_000; Date.now() < end;) {
    if (await check()) return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`never happened: ${what}`);
}

function start(): void {
  child = spawn(
    process.execPath,
    ['--import', 'tsx', MAIN, 'start', '--config', join(dir, 'node.yaml'), '--log-level', 'error'],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
}
async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const gone = new Promise((done) => child?.once('exit', done));
  child?.kill(signal);
  await gone;
}
/** The node is there when it answers; ephemeral wraps that came before are lost. */
async function answers(client: DmClient): Promise<void> {
  let n = Math.floor(Math.random() * 1e9);
  await eventually('pong', async () => {
    await client.send({ t: 'ping', n: ++n });
    await new Promise((wake) => setTimeout(wake, 300));
    return client.got.some(({ frame }) => frame.t === 'pong' && frame.n > n - 20);
  });
}
const ends = (client: DmClient, id: string): (ResultFrame | ErrorFrame)[] =>
  client
    .about(id)
    .filter(
      (frame): frame is ResultFrame | ErrorFrame =>
        frame.t === 'res' || (frame.t === 'err' && frame.code !== 'busy'),
    );
const json = async (client: DmClient, over: Partial<RequestFrame> & { content?: string }) =>
  JSON.parse((await client.ask(over)).bytes.toString('utf8'));

test('a thousand wraps of twenty requests over two relays and two processes have twenty effects', async () => {
  start();
  for (let i = 0; i < CLIENTS; i++)
    clients.push(
      await dmClient(
        pubkey,
        relays.map(({ url }) => url),
      ),
    );
  const work: { client: DmClient; frame: RequestFrame; wraps: NostrEvent[] }[] = [];
  for (const client of clients) {
    await answers(client);
    const token = await mint.issue(1_000);
    const paid = await json(client, {
      path: '/v1/balance/topup',
      content: JSON.stringify({ cashu_token: token }),
    });
    expect(paid).toEqual({ msats: 1_000_000 });
    for (let i = 0; i < REQUESTS; i++) {
      const stream = i === 0;
      const frame = request({
        method: 'POST',
        path: '/v1/chat/completions',
        exp: Math.floor(Date.now() / 1000) + 590,
        body: JSON.stringify(chat(`request ${i} ${'word '.repeat(stream ? 80 : 5)}`, { stream })),
        ...(stream && { stream: {} }),
      });
      work.push({ client, frame, wraps: Array.from({ length: WRAPS }, () => client.wrap(frame)) });
    }
  }
  let published = 0;
  const flood = async () => {
    for (let time = 0; time < TIMES; time++) {
      await Promise.all(
        work.flatMap(({ client, wraps }) =>
          wraps.map(async (wrap) => {
            await client.publish(wrap);
            published += relays.length;
          }),
        ),
      );
    }
  };
  model.chunkDelay(60);
  const first = flood();
  await eventually('streams are under way', () =>
    work.some(({ client, frame }) => client.about(frame.id).some(({ t }) => t === 'data')),
  );
  await end('SIGKILL');
  model.chunkDelay(0);
  await first;
  expect(published).toBe(1_000);

  start();
  for (const client of clients) await answers(client);
  // Each client repeats what has no end yet, as one that lost its answers does.
  const open = () => work.filter(({ client, frame }) => ends(client, frame.id).length === 0);
  await eventually('every request has an end', async () => {
    for (const { client, frame, wraps } of open()) {
      await client.publish(wraps[0] as NostrEvent);
      await client.publish(client.wrap(frame));
    }
    await new Promise((wake) => setTimeout(wake, 700));
    return open().length === 0;
  });
  await flood();

  for (const client of clients) {
    const own = work.filter((each) => each.client === client);
    const costs = own.map(({ frame }) => new Set(ends(client, frame.id).map((each) => each.cost_msat ?? 0)));
    for (const each of costs) expect(each.size).toBe(1);
    const spent = costs.reduce((sum, each) => sum + ([...each][0] ?? 0), 0);
    expect(spent).toBeGreaterThan(0);
    const info = await json(client, { path: '/v1/balance/info' });
    expect(info).toMatchObject({ balance: 1_000_000 - spent, reserved: 0 });
  }
  await end('SIGTERM');
  const audit = JSON.parse((await cli('audit', '--offline', '--json')).stdout) as Record<string, unknown>;
  expect(audit).toMatchObject({ drift_msat: 0, open_holds: 0 });
}, 280_000);

test('a client that was away at the end gets its change when it returns, from a node that was killed meanwhile', async () => {
  start();
  const secret = 'c'.repeat(64);
  const urls = relays.map(({ url }) => url);
  const before = await dmClient(pubkey, urls, secret);
  await answers(before);
  const frame = request({
    method: 'POST',
    path: '/v1/chat/completions',
    body: JSON.stringify(chat('I will be away')),
    auth: { cashu: await mint.issue(200) },
  });
  model.slow(1_500);
  await before.send(frame);
  await eventually('it is accepted', () => before.about(frame.id).some(({ t }) => t === 'acc'));
  await before.close();
  await new Promise((wake) => setTimeout(wake, 500));
  await end('SIGKILL');
  model.slow(0);
  start();

  const stored = () => relays.flatMap((relay) => relay.events()).filter(({ kind }) => kind === 1059);
  await eventually('the change waits on a relay', () => stored().length > 0);
  const after = await dmClient(pubkey, urls, secret);
  clients.push(after);
  await eventually('the change', () =>
    ends(after, frame.id).some((each) => each.t === 'res' && each.change !== undefined),
  );
  const got = after.got.find((each) => each.frame.t === 'res');
  expect(got?.kind).toBe(1059);
  const { change, cost_msat: cost } = got?.frame as ResultFrame;
  await after.send({ t: 'ack', id: frame.id });
  const kept = await json(after, {
    path: '/v1/balance/create',
    content: JSON.stringify({ cashu_token: change }),
  });
  expect(kept.balance).toBe(Math.floor((200_000 - cost) / 1000) * 1000);
  await end('SIGTERM');
  const audit = JSON.parse((await cli('audit', '--offline', '--json')).stdout) as Record<string, unknown>;
  expect(audit).toMatchObject({ drift_msat: 0, open_holds: 0 });
}, 280_000);
