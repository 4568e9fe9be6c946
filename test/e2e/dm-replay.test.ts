import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestMint, createTestMint } from '../../src/demo/mint.ts';
import { type TestModel, createTestModel } from '../../src/demo/model.ts';
import { type TestRelay, createTestRelay } from '../../src/demo/relay.ts';
import type { ErrorFrame, RequestFrame, ResultFrame } from '../../src/protocol/dmi.ts';
import type { NostrEvent } from '../../src/relay/relay.ts';
import { loadFastSchnorr } from '../../src/relay/schnorr.ts';
import { MODEL, nodeSettings } from '../node-kit.ts';
import { type DmClient, dmClient, request } from './dm-kit.ts';
import { type NodeProcess, nodeProcess } from './process-kit.ts';
import { chat, until } from './support.ts';

const CLIENTS = 4;
const REQUESTS = 5;
/** 20 requests, each in five wraps, each sent five times to both relays. */
const WRAPS = 5;
const TIMES = 5;

let mint: TestMint;
let model: TestModel;
let relays: TestRelay[];
let dir: string;
let node: NodeProcess;
let pubkey: string;
const clients: DmClient[] = [];

beforeAll(async () => {
  await loadFastSchnorr();
  mint = await createTestMint({ dleq: false });
  model = await createTestModel({ models: [MODEL] });
  relays = [await createTestRelay(), await createTestRelay()];
  dir = await mkdtemp(join(tmpdir(), 'routstr-dm-'));
  const settings = nodeSettings(
    { port: 0, mint: mint.url, model: model.url },
    {
      public_urls: ['https://node.example'],
      announce: { enabled: false },
      relays: relays.map(({ url }) => ({ url, roles: ['dm', 'rpc'], perMinute: 6_000, burst: 1_000 })),
    },
  );
  await writeFile(join(dir, 'node.yaml'), JSON.stringify(settings), { mode: 0o600 });
  node = nodeProcess(dir);
  await node.cli('init', '--yes');
  const shown = JSON.parse(await node.cli('announce', 'show', '--json')) as { pubkey: string };
  pubkey = shown.pubkey;
}, 120_000);
afterAll(async () => {
  await node.stop('SIGKILL');
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all([mint.close(), model.close(), ...relays.map((relay) => relay.close())]);
  await rm(dir, { recursive: true, force: true });
});

/** Generous: a loaded machine must not fail a test. */
const eventually = (what: string, check: () => boolean | Promise<boolean>): Promise<void> =>
  until(what, check, 200_000);

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
  node.start();
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
  await node.stop('SIGKILL');
  model.chunkDelay(0);
  await first;
  expect(published).toBe(1_000);

  node.start();
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
  await node.stop('SIGTERM');
  const audit = JSON.parse(await node.cli('audit', '--offline', '--json')) as Record<string, unknown>;
  expect(audit).toMatchObject({ drift_msat: 0, open_holds: 0 });
}, 280_000);

test('a client that was away at the end gets its change when it returns, from a node that was killed meanwhile', async () => {
  node.start();
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
  await node.stop('SIGKILL');
  model.slow(0);
  node.start();

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
  await node.stop('SIGTERM');
  const audit = JSON.parse(await node.cli('audit', '--offline', '--json')) as Record<string, unknown>;
  expect(audit).toMatchObject({ drift_msat: 0, open_holds: 0 });
}, 280_000);
