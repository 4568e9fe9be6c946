import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { createRawRelay, type RawRelay } from '../relay/raw-relay.ts';
import { newKey } from '../nostr/kit.ts';
import { bearer, chat, type TestWorld, testWorld, until } from './support.ts';

const closers: (() => Promise<void>)[] = [];
const crashes: unknown[] = [];
const onCrash = (error: unknown): void => void crashes.push(error);
let world: TestWorld;
let flood: RawRelay;
let accepted = 0;

/** Accepts TCP and never answers the upgrade: with a stock client this ended the process. */
async function blackHole(): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    sockets.forEach((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  process.on('uncaughtException', onCrash);
  process.on('unhandledRejection', onCrash);
  const junk = newKey().sign({ kind: 1059, created_at: unixSeconds(systemClock), tags: [], content: 'junk' });
  flood = await createRawRelay({
    req: ({ send, socket }, id) => {
      const pour = setInterval(() => {
        if (socket.bufferedAmount > 1_000_000) return;
        for (let n = 0; n < 100; n += 1) send('EVENT', id, junk);
      }, 20);
      socket.on('close', () => clearInterval(pour));
    },
  });
  const rude = await createRawRelay({ connect: ({ socket }) => socket.terminate() });
  const shouting = await createRawRelay({ connect: ({ socket }) => socket.send('x'.repeat(2_000_000)) });
  const asking = await createRawRelay({
    connect: ({ send }) => send('AUTH', 'who?'),
    auth: ({ socket }) => socket.terminate(),
  });
  closers.push(flood.close, rude.close, shouting.close, asking.close);
  const urls = [flood.url, rude.url, shouting.url, asking.url, await blackHole(), 'ws://127.0.0.1:9'];
  const roles = ['announce', 'discover', 'dm', 'rpc', 'index'];
  world = await testWorld({ settings: { relays: urls.map((url) => ({ url, roles, auth: true })) } });
});
afterAll(async () => {
  await world.close();
  for (const close of closers) await close();
  process.off('uncaughtException', onCrash);
  process.off('unhandledRejection', onCrash);
});

test('with nothing but hostile relays a node still serves over HTTP, keeps its books and does not crash', async () => {
  await until('the black hole was tried', () => accepted > 0);
  const key = await world.key(500);
  for (let n = 0; n < 10; n += 1) {
    const answer = await world.post('/v1/chat/completions', chat(`hello ${n}`), bearer(key));
    expect(answer.status).toBe(200);
    expect((await world.get('/livez')).status).toBe(200);
  }
  const { json } = await world.get('/readyz');
  expect(json).toMatchObject({ ready: true, relays: { total: 6 } });
  expect(world.node.totals().drift).toBe(0);
  expect(world.node.announced()).toBe(0);
  expect(crashes).toEqual([]);
});

test('it stops in spite of them', async () => {
  await world.node.stop();
  await until('the flooding relay is left', () => flood.sockets().every(({ readyState }) => readyState > 1));
  expect(crashes).toEqual([]);
});
