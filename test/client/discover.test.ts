import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { msat } from '../../src/base/money.ts';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { discover, type DiscoverOptions, survey } from '../../src/client/discover.ts';
import type { TestRelay } from '../../src/demo/relay.ts';
import { createAnnouncer } from '../../src/nostr/announcer.ts';
import { buildAnnouncement, buildTombstone } from '../../src/protocol/announcement-build.ts';
import type { Announcement } from '../../src/protocol/announcement.ts';
import type { NodeKey, NostrEvent } from '../../src/relay/relay.ts';
import {
  announcement,
  entry,
  hurried,
  manualClock,
  memoryStore,
  model,
  newKey,
  openings,
} from '../nostr/kit.ts';

const open = openings();
afterEach(open.close);

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const now = (): number => unixSeconds(systemClock);

const announce = (key: NodeKey, changes: Partial<Announcement> = {}, createdAt = now()): NostrEvent =>
  key.sign(buildAnnouncement(announcement(changes), { createdAt, sha256Hex }));

const find = (relays: TestRelay[], options: Partial<DiscoverOptions> = {}) =>
  discover({
    relays: relays.map(({ url }) => entry(url)),
    allowPrivate: true,
    unproven: true,
    clock: systemClock,
    log: silentLogger,
    ...options,
  });

const look = (relays: TestRelay[], options: Partial<DiscoverOptions> = {}) =>
  survey({
    relays: relays.map(({ url }) => entry(url)),
    allowPrivate: true,
    unproven: true,
    clock: systemClock,
    log: silentLogger,
    ...options,
  });

/** No latency is measured and no answer comes too late, so the order follows from the prices alone. */
const unhurried = (): Pick<DiscoverOptions, 'clock'> => ({ clock: manualClock() });

/** An HTTP server that counts connections. */
async function serve(
  handler: RequestListener,
): Promise<{ url: string; port: number; connections: () => number }> {
  let connections = 0;
  const server = createServer(handler);
  server.on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.onClose(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, connections: () => connections };
}

const json =
  (answers: Record<string, unknown>): RequestListener =>
  (request, response) => {
    const answer = answers[request.url ?? ''];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(JSON.stringify(answer ?? {}));
  };
const nodeOf = (key: NodeKey, more: Record<string, unknown> = {}) =>
  serve(json({ '/v1/info': { name: 'n', npub: key.npub }, ...more }));

describe('story', () => {
  test('a node announces itself and a buyer finds it, bound to its address and priced', async () => {
    const relay = await open.relay();
    const key = newKey();
    const node = await nodeOf(key);
    const announcer = createAnnouncer({
      key,
      relays: open.set([relay]),
      describe: () => announcement({ urls: [node.url], contact: ['mailto:op@example.com'] }),
      store: memoryStore(),
      clock: systemClock,
      log: silentLogger,
      heartbeatSeconds: 3_600,
    });
    await announcer.start();
    const [provider, ...others] = await find([relay]);
    expect(others).toEqual([]);
    expect(provider).toMatchObject({
      pubkey: key.pubkey,
      npub: key.npub,
      name: 'My node',
      urls: [node.url],
      mints: [{ url: 'https://mint.example.com', unit: 'sat' }],
      version: '1.0.0',
      models: [{ id: 'gpt-4o-mini', in: 150_000, out: 600_000, ctx: 128_000, maxOut: 16_384, io: 'ti' }],
      bound: true,
      expectedMsat: 450,
      contact: ['mailto:op@example.com'],
    });
    expect(provider?.latencyMs).toBeGreaterThanOrEqual(0);
    expect(provider?.reasons.join('\n')).toMatch(/rank 1 of 1[^]*450 msat[^]*confirms the key/);
    expect(JSON.parse(JSON.stringify([provider]))).toEqual([provider]);

    await announcer.stop({ tombstone: true });
    expect(await find([relay])).toEqual([]);
  });

  test('cheaper comes first, unproven last, and the rank is explained', async () => {
    const relay = await open.relay();
    const [cheap, dear, claims] = [newKey(), newKey(), newKey()];
    const [a, b] = [await nodeOf(cheap), await nodeOf(dear)];
    relay.plant(announce(dear, { urls: [b.url], models: [model('gpt-4o-mini', 9_000_000, 9_000_000)] }));
    relay.plant(announce(cheap, { urls: [a.url] }));
    relay.plant(announce(claims, { urls: ['http://127.0.0.1:1'], models: [model('gpt-4o-mini', 1, 1)] }));
    const list = await find([relay], unhurried());
    expect(list.map(({ pubkey }) => pubkey)).toEqual([cheap.pubkey, dear.pubkey, claims.pubkey]);
    expect(list.map(({ bound }) => bound)).toEqual([true, true, false]);
    expect(list[2]?.reasons[0]).toBe('rank 3 of 3');
  });

  test('a model, with or without vendor, and a price limit select', async () => {
    const relay = await open.relay();
    const [one, two] = [newKey(), newKey()];
    const [a, b] = [await nodeOf(one), await nodeOf(two)];
    relay.plant(
      announce(one, {
        urls: [a.url],
        models: [model('openai/gpt-4o-mini', 100_000, 200_000), model('big', 5, 5)],
      }),
    );
    relay.plant(announce(two, { urls: [b.url], models: [model('gpt-4o-mini', 900_000, 900_000)] }));
    const by = async (options: Partial<DiscoverOptions>) =>
      (await find([relay], { ...unhurried(), ...options })).map((p) => [
        p.pubkey,
        p.models.map(({ id }) => id),
      ]);
    expect(await by({ model: 'gpt-4o-mini' })).toEqual([
      [one.pubkey, ['openai/gpt-4o-mini']],
      [two.pubkey, ['gpt-4o-mini']],
    ]);
    expect(await by({ model: 'gpt-4o-mini', maxPrice: msat(200_000) })).toEqual([
      [one.pubkey, ['openai/gpt-4o-mini']],
    ]);
    expect(await by({ maxPrice: msat(10) })).toEqual([[one.pubkey, ['big']]]);
    expect(await by({ model: 'mini' })).toEqual([]);
  });

  test('works on a running relay set, and when one relay is a black hole and another drops', async () => {
    const [good, hole, dropping] = [await open.relay(), await open.relay(), await open.relay()];
    const key = newKey();
    const node = await nodeOf(key);
    good.plant(announce(key, { urls: [node.url] }));
    hole.blackHole();
    dropping.pause();
    setTimeout(dropping.drop, 100);
    const clock = hurried(10);
    expect(await find([good, hole, dropping], { clock })).toMatchObject([{ bound: true }]);
    const set = open.set([good]);
    expect(await find([], { relays: set })).toMatchObject([{ bound: true }]);
    expect(set.status()[0]?.state).toBe('open');
  });

  test('absurd prices and fees neither count nor break the list', async () => {
    const huge = msat(Number.MAX_SAFE_INTEGER);
    const relay = await open.relay();
    relay.plant(announce(newKey(), { urls: [], rpc: ['dmi/1'], requestMsat: huge, minimumMsat: huge }));
    relay.plant(announce(newKey(), { urls: [], rpc: ['dmi/1'], models: [model('x', huge, huge)] }));
    const list = await find([relay]);
    expect(list.map(({ expectedMsat }) => expectedMsat)).toEqual([450, undefined]);
  });

  test('no relay answers: an empty list, not an error', async () => {
    const relay = await open.relay();
    expect(await look([relay])).toMatchObject({ providers: [], answered: 1 });
    await relay.close();
    expect(await find([relay])).toEqual([]);
    expect(await look([relay])).toMatchObject({ providers: [], answered: 0 });
  });
});

describe('older nodes', () => {
  const old = (key: NodeKey, url: string, createdAt = now()): NostrEvent =>
    key.sign({
      kind: 38_421,
      created_at: createdAt,
      tags: [
        ['d', 'old'],
        ['u', url],
        ['mint', 'https://mint.example'],
        ['version', '0.4.0'],
      ],
      content: JSON.stringify({ name: 'Old', about: 'node' }),
    });
  const models = {
    data: [
      {
        id: 'llama',
        sats_pricing: { prompt: 0.00015, completion: 0.0006, request: 0 },
        context_length: 8_192,
        top_provider: { max_completion_tokens: 4_096 },
        architecture: { input_modalities: ['text', 'image'], output_modalities: ['text'] },
      },
      { id: 'no-price' },
      null,
    ],
  };

  test('prices come from /v1/models when the event has none', async () => {
    const relay = await open.relay();
    const key = newKey();
    const node = await nodeOf(key, { '/v1/models': models });
    relay.plant(old(key, node.url));
    expect(await find([relay], { model: 'llama' })).toMatchObject([
      {
        bound: true,
        models: [{ id: 'llama', in: 150_000, out: 600_000, ctx: 8_192, maxOut: 4_096, io: 'ti' }],
      },
    ]);
  });

  test('an event of last month is believed only if its node answers', async () => {
    const relay = await open.relay();
    const [alive, dead] = [newKey(), newKey()];
    const node = await nodeOf(alive, { '/v1/models': models });
    relay.plant(old(alive, node.url, now() - 30 * 86_400));
    relay.plant(old(dead, 'http://127.0.0.1:1', now() - 30 * 86_400));
    expect((await find([relay])).map(({ pubkey }) => pubkey)).toEqual([alive.pubkey]);
  });

  test('of a catalogue too large for the event, the rest is found over HTTP', async () => {
    const relay = await open.relay();
    const key = newKey();
    const node = await nodeOf(key, { '/v1/models': models });
    const many = Array.from({ length: 1_500 }, (_, n) => model(`vendor/model-${n}`));
    relay.plant(announce(key, { urls: [node.url], models: many }));
    expect(await find([relay], { model: 'llama' })).toMatchObject([{ models: [{ id: 'llama' }] }]);
  });
});

describe('announcements that are not believed', () => {
  const list = async (...events: NostrEvent[]) => {
    const relay = await open.relay();
    events.forEach((event) => relay.plant(event));
    return find([relay], { fetchInfo: async () => ({ outcome: 'failed', reason: 'not asked' }) });
  };

  test('forged, tampered, upper-case', async () => {
    const key = newKey();
    const event = announce(key);
    expect(
      await list(
        { ...event, content: event.content.replace('150000', '1') },
        { ...announce(key, { d: 'b' }), pubkey: newKey().pubkey },
        { ...event, id: event.id.toUpperCase() },
      ),
    ).toEqual([]);
  });

  test.each([
    ['from the future', announcement(), 1_000, 0],
    ['just ahead of our clock', announcement(), 600, 1],
    ['two heartbeats old', announcement(), -7_100, 1],
    ['stale, and expired with it', announcement(), -10_900, 0],
    ['stale by a short heartbeat', announcement({ heartbeatSeconds: 60 }), -200, 0],
    ['without address', announcement({ urls: [] }), 0, 0],
    ['without address, but reachable over relays', announcement({ urls: [], rpc: ['dmi/1'] }), 0, 1],
  ])('%s', async (_name, said, offset, listed) => {
    expect(await list(announce(newKey(), said, now() + offset))).toHaveLength(listed);
  });

  test('expired though its heartbeat says otherwise', async () => {
    const key = newKey();
    const template = buildAnnouncement(announcement(), { createdAt: now() - 100, sha256Hex });
    const tags = template.tags.map((tag) =>
      tag[0] === 'expiration' ? ['expiration', String(now() - 1)] : tag,
    );
    expect(await list(key.sign({ ...template, tags }))).toEqual([]);
  });

  test('offline though it still names an address', async () => {
    const template = buildAnnouncement(announcement(), { createdAt: now(), sha256Hex });
    const tags = template.tags.map((tag) => (tag[0] === 'status' ? ['status', 'offline'] : tag));
    expect(await list(newKey().sign({ ...template, tags }))).toEqual([]);
  });

  test('only the newest of each address counts, and a tombstone is the newest word', async () => {
    const key = newKey();
    const older = announce(key, { name: 'older' }, now() - 20);
    const newer = announce(key, { name: 'newer' }, now() - 10);
    const forgedNewest = { ...announce(key, { name: 'forged' }, now()), sig: older.sig };
    expect(await list(newer, older, forgedNewest)).toMatchObject([{ name: 'newer' }]);
    const gone = key.sign(buildTombstone(announcement(), { createdAt: now() }));
    expect(await list(newer, gone, older)).toEqual([]);
    const other = announce(key, { d: 'second', name: 'second' }, now());
    expect(await list(newer, gone, other)).toMatchObject([{ name: 'second' }]);
  });

  test('an impostor who announces the address of somebody else is not listed', async () => {
    const relay = await open.relay();
    const [owner, impostor] = [newKey(), newKey()];
    const node = await nodeOf(owner);
    relay.plant(announce(owner, { urls: [node.url] }));
    relay.plant(announce(impostor, { urls: [node.url] }));
    const { providers, dropped } = await look([relay]);
    expect(providers.map(({ pubkey, bound }) => [pubkey, bound])).toEqual([[owner.pubkey, true]]);
    expect(dropped).toEqual({ impostor: 1 });
    expect(node.connections()).toBe(1);
  });

  test('an address that nobody could confirm is left out unless it is asked for, and counted', async () => {
    const relay = await open.relay();
    relay.plant(announce(newKey(), { urls: ['http://127.0.0.1:1'] }));
    expect(await look([relay], { unproven: false })).toMatchObject({
      providers: [],
      dropped: { unproven: 1 },
    });
    expect(await find([relay])).toMatchObject([{ bound: false }]);
  });

  test('an address that nobody could confirm is not handed out because its node takes messages too', async () => {
    const relay = await open.relay();
    const key = newKey();
    const away = 'http://127.0.0.1:1';
    const relays = [{ url: relay.url, use: 'rpc' as const }];
    relay.plant(announce(key, { urls: [away], rpc: ['dmi/1'], relays }));
    expect(await find([relay], { unproven: false })).toMatchObject([
      { pubkey: key.pubkey, bound: false, urls: [], dm: relays },
    ]);
    expect(await find([relay])).toMatchObject([{ bound: false, urls: [away], dm: relays }]);
    const node = await nodeOf(key);
    relay.plant(announce(key, { urls: [node.url], rpc: ['dmi/1'], relays }, now() + 1));
    expect(await find([relay], { unproven: false })).toMatchObject([{ bound: true, urls: [node.url] }]);
  });

  test('everything that is left out is counted by its reason', async () => {
    // A relay whose clock is behind still hands out what has expired.
    const relay = await open.relay({ clock: { ...systemClock, now: () => Date.now() - 86_400_000 } });
    const key = newKey();
    const offline = buildTombstone(announcement({ d: 'gone' }), { createdAt: now() });
    const mute = buildAnnouncement(announcement({ urls: [], d: 'mute' }), { createdAt: now(), sha256Hex });
    const slow = buildAnnouncement(announcement({ d: 'slow', heartbeatSeconds: 60 }), {
      createdAt: now() - 200,
      sha256Hex,
    });
    const events = [
      announce(key, {}, now() - 5),
      announce(key, {}, now() - 50),
      announce(key, { d: 'future' }, now() + 1_000),
      announce(key, { d: 'expired' }, now() - 10_900),
      key.sign({ ...slow, tags: slow.tags.filter(([name]) => name !== 'expiration') }),
      key.sign(mute),
      key.sign(offline),
      key.sign({ kind: 38_421, created_at: now(), tags: [['u', 'lnproxy']], content: '' }),
    ];
    events.forEach((event) => relay.plant(event));
    const { dropped } = await look([relay], { model: 'nobody-sells-this' });
    expect(dropped).toEqual({
      superseded: 1,
      future: 1,
      expired: 1,
      stale: 1,
      no_address: 1,
      offline: 1,
      malformed: 1,
      not_wanted: 1,
    });
  });

  test.each([
    ['redirects', (_q, s) => s.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), /redirects/],
    ['hangs', () => undefined, /in time/],
    ['never ends', (_q, s) => void s.write('{'), /in time/],
    ['sends 5 MB', (_q, s) => s.end('x'.repeat(5 << 20)), /too large/],
    ['sends HTML', (_q, s) => s.end('<html>'), /not JSON/],
    ['fails', (_q, s) => s.writeHead(500).end('{}'), /status 500/],
    ['cuts the line', (q) => void q.socket.destroy(), /not be reached/],
    ['names nobody', json({ '/v1/info': { name: 'x' } }), /names no key/],
  ])('an /v1/info that %s does not bind', async (_name, handler, reason) => {
    const relay = await open.relay();
    const server = await serve(handler);
    relay.plant(announce(newKey(), { urls: [server.url] }));
    const [provider] = await find([relay], { clock: hurried(20) });
    expect(provider?.bound).toBe(false);
    expect(provider?.reasons.join()).toMatch(reason);
    expect(provider?.urls).toEqual([server.url]);
    expect(provider).not.toHaveProperty('latencyMs');
  });

  test('probing ends in time however many hang', async () => {
    const relay = await open.relay();
    const server = await serve(() => undefined);
    for (let n = 0; n < 30; n += 1) relay.plant(announce(newKey(), { urls: [`${server.url}/${n}`] }));
    expect(await find([relay], { clock: hurried(4), timeoutMs: 6_000 })).toHaveLength(30);
    // Eight at a time with 5 s each: the second round is cut off, the rest is never asked.
    expect(server.connections()).toBeLessThanOrEqual(16);
  });
});

describe('private addresses', () => {
  test.each(['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1', '0.0.0.0'])(
    'http://%s is not contacted unless it is allowed',
    async (host) => {
      const relay = await open.relay();
      const key = newKey();
      const node = await nodeOf(key);
      relay.plant(announce(key, { urls: [`http://${host}:${node.port}`] }));
      const [closed] = await find([relay], { allowPrivate: false });
      expect(closed).toMatchObject({ pubkey: key.pubkey, bound: false });
      expect(closed?.reasons.join()).toContain('private');
      expect(node.connections()).toBe(0);
      const [allowed] = await find([relay], { allowPrivate: true });
      expect(allowed?.bound).toBe(true);
    },
  );

  test('an onion address is listed and not contacted', async () => {
    const relay = await open.relay();
    relay.plant(announce(newKey(), { urls: ['http://abcdefghij.onion'] }));
    const [provider] = await find([relay]);
    expect(provider).toMatchObject({ bound: false, urls: ['http://abcdefghij.onion'] });
    expect(provider?.reasons.join()).toContain('onion');
  });
});
