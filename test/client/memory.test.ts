import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { type DiscoverOptions, survey } from '../../src/client/discover.ts';
import { createMemory } from '../../src/client/memory.ts';
import { buildAnnouncement } from '../../src/protocol/announcement-build.ts';
import type { Announcement } from '../../src/protocol/announcement.ts';
import type { NodeKey, NostrEvent } from '../../src/relay/relay.ts';
import { freePort } from '../node-kit.ts';
import { announcement, entry, model, newKey, openings } from '../nostr/kit.ts';

const open = openings();
afterEach(open.close);

const now = (): number => unixSeconds(systemClock);
const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const announce = (key: NodeKey, changes: Partial<Announcement> = {}): NostrEvent =>
  key.sign(buildAnnouncement(announcement(changes), { createdAt: now(), sha256Hex }));

function place(): string {
  const dir = mkdtempSync(join(tmpdir(), 'buyer-'));
  open.onClose(async () => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'own');
}

const memoryIn = (dir: string) => createMemory({ dir, log: silentLogger });

const look = (relays: readonly string[], options: Partial<DiscoverOptions> = {}) =>
  survey({
    relays: relays.map((url) => entry(url)),
    allowPrivate: true,
    clock: systemClock,
    log: silentLogger,
    ...options,
  });

/** A node that says whose it is; `asked` counts the questions. */
async function nodeOf(key: NodeKey) {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    response.end(JSON.stringify({ npub: key.npub }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  open.onClose(close);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked, close };
}

describe('story', () => {
  test('the second start answers from what the first one learned, though every relay is dead by then', async () => {
    const memory = memoryIn(place());
    const relay = await open.relay();
    const hole = await open.relay();
    const key = newKey();
    const node = await nodeOf(key);
    relay.plant(announce(key, { urls: [node.url] }));
    const first = await look([relay.url], { memory });
    expect(first).toMatchObject({ warm: false, providers: [{ npub: key.npub, bound: true }] });

    await relay.close();
    hole.blackHole();
    const dead = [relay.url, hole.url, `ws://127.0.0.1:${await freePort()}`];
    const second = await look(dead, { memory, model: 'gpt-4o-mini' });
    expect(second).toMatchObject({
      warm: true,
      answered: 0,
      providers: [{ npub: key.npub, bound: true, expectedMsat: 450 }],
    });
    expect(second.providers[0]?.reasons.join()).toMatch(/confirmed the key 0 minutes ago/);
    expect(node.asked()).toBe(1);
  });

  test('the time of a warm start is bounded by our own clock: neither relays nor nodes are waited for', async () => {
    const memory = memoryIn(place());
    const relay = await open.relay();
    const [key, other] = [newKey(), newKey()];
    const node = await nodeOf(key);
    relay.plant(announce(key, { urls: [node.url] }));
    await look([relay.url], { memory });
    const hanging = createServer(() => undefined);
    await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve));
    open.onClose(async () => {
      hanging.closeAllConnections();
      await new Promise((resolve) => hanging.close(resolve));
    });
    relay.plant(announce(other, { urls: [`http://127.0.0.1:${(hanging.address() as AddressInfo).port}`] }));
    const waits: number[] = [];
    const clock = {
      ...systemClock,
      sleep: (ms: number, signal?: AbortSignal) => {
        waits.push(ms);
        return systemClock.sleep(ms, signal);
      },
    };
    const { warm, providers, dropped } = await look([relay.url], { memory, clock });
    expect(warm).toBe(true);
    expect(providers.map(({ npub }) => npub)).toEqual([key.npub]);
    expect(dropped).toEqual({ unproven: 1 });
    expect(waits).toContain(400);
  });

  test('a warm start takes up what relays say in time', async () => {
    const memory = memoryIn(place());
    const relay = await open.relay();
    const [old, fresh] = [newKey(), newKey()];
    const [a, b] = [await nodeOf(old), await nodeOf(fresh)];
    relay.plant(announce(old, { urls: [a.url] }));
    await look([relay.url], { memory });
    relay.plant(announce(fresh, { urls: [b.url], models: [model('gpt-4o-mini', 10, 10)] }));
    const { warm, providers } = await look([relay.url], { memory });
    expect(warm).toBe(true);
    expect(providers.map(({ npub }) => npub)).toEqual([fresh.npub, old.npub]);
  });

  test('a model that nobody remembered sells is looked for with the full time', async () => {
    const memory = memoryIn(place());
    const relay = await open.relay();
    const [key, seller] = [newKey(), newKey()];
    const [a, b] = [await nodeOf(key), await nodeOf(seller)];
    relay.plant(announce(key, { urls: [a.url] }));
    await look([relay.url], { memory });
    relay.plant(announce(seller, { urls: [b.url], models: [model('rare')] }));
    expect(await look([relay.url], { memory, model: 'rare' })).toMatchObject({
      warm: false,
      providers: [{ npub: seller.npub }],
    });
  });

  test('--refresh asks again; a node that is silent now stays bound for a day, but is ranked as slow', async () => {
    const memory = memoryIn(place());
    const relay = await open.relay();
    const key = newKey();
    const node = await nodeOf(key);
    relay.plant(announce(key, { urls: [node.url] }));
    await look([relay.url], { memory });
    await look([relay.url], { memory, refresh: true });
    expect(node.asked()).toBe(2);
    await node.close();
    const { providers } = await look([relay.url], { memory, refresh: true });
    expect(providers).toMatchObject([{ bound: true, latencyMs: 5_000 }]);
    expect(providers[0]?.reasons.join()).toMatch(/minutes ago.*could not be reached/);
    const tomorrow = { ...systemClock, now: () => Date.now() + 86_400_000 + 5_000 };
    const aged = announcement({ urls: [node.url], heartbeatSeconds: 90_000 });
    relay.plant(key.sign(buildAnnouncement(aged, { createdAt: now() + 1, sha256Hex })));
    expect(await look([relay.url], { memory, clock: tomorrow })).toMatchObject({
      providers: [],
      dropped: { unproven: 1 },
    });
  });
});

describe('the file', () => {
  test('is private, complete and replaced in one step', async () => {
    const dir = place();
    const memory = memoryIn(dir);
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        memory.note({ pubkey: newKey().pubkey, ok: n % 2 === 0, at: now() }),
      ),
    );
    expect(readdirSync(dir)).toEqual(['discovery.json']);
    expect(statSync(join(dir, 'discovery.json')).mode & 0o777).toBe(0o600);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect((await memory.read()).history).toHaveLength(20);
  });

  test('what it holds is verified again: an event changed on disk is dropped and counted', async () => {
    const dir = place();
    const memory = memoryIn(dir);
    const relay = await open.relay();
    const key = newKey();
    const node = await nodeOf(key);
    relay.plant(announce(key, { urls: [node.url] }));
    await look([relay.url], { memory });
    await relay.close();
    const file = join(dir, 'discovery.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('150000', '1'));
    expect(await look([relay.url], { memory })).toMatchObject({
      warm: false,
      providers: [],
      dropped: { forged: 1 },
    });
  });

  test.each([
    ['is not JSON', '{'],
    ['is of another version', '{"v":2,"events":[],"trust":[],"proofs":[],"history":[]}'],
    ['holds something else', '{"v":1,"events":[{"id":7}],"trust":[],"proofs":[],"history":[]}'],
    [
      'names an absurd price',
      JSON.stringify({
        v: 1,
        events: [],
        trust: [],
        history: [],
        proofs: [
          {
            pubkey: 'a'.repeat(64),
            at: 1,
            urls: [],
            latencyMs: 0,
            models: [{ id: 'm', in: 1.5, out: 1, ctx: 1, maxOut: 1, io: 't' }],
          },
        ],
      }),
    ],
  ])('one that %s counts as empty and is written anew', async (_name, text) => {
    const dir = place();
    const memory = memoryIn(dir);
    const who = newKey().pubkey;
    await memory.note({ pubkey: who, ok: true, at: 1 });
    writeFileSync(join(dir, 'discovery.json'), text);
    expect(await memory.read()).toEqual({ events: [], trust: [], proofs: [], history: [] });
    await memory.note({ pubkey: who, ok: true, at: 2 });
    expect((await memory.read()).history).toEqual([{ pubkey: who, ok: 1, failed: 0, at: 2 }]);
  });

  test('a directory that cannot be written costs the memory, not the answer', async () => {
    const dir = place();
    writeFileSync(dir, 'a file where the directory should be');
    chmodSync(dir, 0o400);
    const relay = await open.relay();
    const key = newKey();
    const node = await nodeOf(key);
    relay.plant(announce(key, { urls: [node.url] }));
    expect(await look([relay.url], { memory: memoryIn(dir) })).toMatchObject({
      providers: [{ bound: true }],
    });
  });
});

test('own history: successes, failures and the moving average of the latency are kept and explain the rank', async () => {
  const memory = memoryIn(place());
  const relay = await open.relay();
  const [good, bad] = [newKey(), newKey()];
  const [a, b] = [await nodeOf(good), await nodeOf(bad)];
  relay.plant(announce(good, { urls: [a.url], models: [model('gpt-4o-mini', 200_000, 700_000)] }));
  relay.plant(announce(bad, { urls: [b.url] }));
  const order = async () =>
    (await look([relay.url], { memory, refresh: true })).providers.map(({ npub }) => npub);
  expect(await order()).toEqual([bad.npub, good.npub]);
  for (const ok of [true, true, false, true, true]) {
    await memory.note({ pubkey: good.pubkey, ok, latencyMs: ok ? 100 : 200, at: now() });
    await memory.note({ pubkey: bad.pubkey, ok: false, at: now() });
  }
  expect(await order()).toEqual([good.npub, bad.npub]);
  const { providers } = await look([relay.url], { memory });
  expect(providers.map(({ trust }) => [trust.ok, trust.failed])).toEqual([
    [4, 1],
    [0, 5],
  ]);
  expect(providers[0]?.reasons).toContain('4 of 5 own requests succeeded');
  const { history } = await memory.read();
  expect(history.find(({ pubkey }) => pubkey === good.pubkey)?.latencyMs).toBeCloseTo(114.7, 1);
});
