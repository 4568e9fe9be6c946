import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { createAnnouncer } from '../../src/nostr/announcer.ts';
import { editionsFor } from '../../src/nostr/editions.ts';
import { parseAnnouncement } from '../../src/protocol/announcement.ts';
import type { RelayConfig, RelayLimits } from '../../src/relay/relay.ts';
import type { TestRelay } from '../../src/demo/relay.ts';
import {
  announcement,
  entry,
  hurried,
  memoryStore,
  model,
  newKey,
  openings,
  patientClock,
  until,
} from './kit.ts';

const open = openings();
afterEach(open.close);

const many = announcement({ models: Array.from({ length: 400 }, (_, n) => model(`vendor/model-${n}`)) });

/** A relay's web side alone. */
async function web(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.onClose(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function announcer(relays: (TestRelay | RelayConfig)[], clock = patientClock) {
  const set = open.set(relays, { clock });
  const made = createAnnouncer({
    key: newKey(),
    relays: set,
    describe: () => many,
    store: memoryStore(),
    clock,
    log: silentLogger,
    heartbeatSeconds: 3_600,
  });
  open.onClose(() => made.stop({ tombstone: false }));
  return made;
}

const on = (relay: TestRelay) => {
  const event = relay.events().find(({ kind }) => kind === 38_421);
  return event && { bytes: JSON.stringify(event).length, event, said: parseAnnouncement(event) };
};

describe('a relay that says what it takes', () => {
  test('gets as many models as fit, and the others get all, a second later', async () => {
    const usual = await open.relay();
    const small = await open.relay({ limitation: { max_message_length: 16_384, max_event_tags: 40 } });
    const report = await announcer([usual, small]).start();
    expect(report.accepted).toBe(2);
    expect(on(usual)?.said?.models).toHaveLength(400);
    const less = on(small);
    expect(less?.bytes).toBeLessThanOrEqual(16_384 - 10);
    expect(less?.bytes).toBeGreaterThan(14_000);
    expect(less?.event.tags.length).toBeLessThanOrEqual(40);
    expect(less?.said).toMatchObject({ modelsTotal: 400, modelsSha256: on(usual)?.said?.modelsSha256 });
    expect(less?.event.created_at).toBe((on(usual)?.event.created_at ?? 0) - 1);
    expect(report.eventId).toBe(on(usual)?.event.id);
  });

  test('is left out with a reason if not even the head fits', async () => {
    const [usual, tiny] = [await open.relay(), await open.relay({ limitation: { max_message_length: 400 } })];
    const report = await announcer([usual, tiny]).start();
    expect(report.accepted).toBe(1);
    expect(report.outcomes[1]).toMatchObject({
      url: tiny.url,
      outcome: 'refused',
      reason: expect.stringContaining('does not fit') as string,
    });
    expect(tiny.events()).toEqual([]);
  });

  test.each<[string, RelayLimits]>([
    ['a short content', { contentChars: 8_196 }],
    ['few tags', { tags: 20 }],
    ['small messages', { messageBytes: 9_000 }],
  ])('%s', (_name, limits) => {
    const { editions, skipped } = editionsFor(many, [
      { url: 'wss://small.example', roles: ['announce'], state: 'open', dropped: 0, limits },
    ]);
    const event = editions[0]?.build(1_700_000_000);
    expect(skipped).toEqual([]);
    expect(editions.map(({ urls }) => urls)).toEqual([['wss://small.example']]);
    expect(event?.content.length).toBeLessThanOrEqual(limits.contentChars ?? Infinity);
    expect(event?.tags.length).toBeLessThanOrEqual(limits.tags ?? Infinity);
    expect(JSON.stringify(event).length).toBeLessThanOrEqual(limits.messageBytes ?? Infinity);
    expect(event && parseAnnouncement(event)?.models.length).toBeGreaterThan(50);
  });
});

describe('a document that cannot be trusted', () => {
  const followed: string[] = [];
  test.each<[string, RequestListener]>([
    ['is not JSON', (_req, res) => res.end('<html>')],
    [
      'is nonsense',
      (_req, res) => res.end('{"limitation":{"max_message_length":-1,"max_event_tags":"many"}}'),
    ],
    ['is endless', (_req, res) => res.end(`{"x":"${'x'.repeat(200_000)}"}`)],
    ['never ends', (_req, res) => void res.write('{"limitation":')],
    ['is an error', (_req, res) => res.writeHead(500).end('{"limitation":{"max_message_length":5}}')],
    ['breaks off', (_req, res) => res.destroy()],
    [
      'leads elsewhere',
      (req, res) => {
        followed.push(req.url ?? '');
        res.writeHead(302, { location: '/secret' }).end();
      },
    ],
  ])('and %s changes nothing', async (_name, answer) => {
    const url = await web(answer);
    const set = open.set([entry(url)], { clock: hurried(4) });
    await set.informed();
    const { messageBytes, tags, contentChars } = set.status()[0]?.limits ?? {};
    expect([messageBytes, tags, contentChars]).toEqual([undefined, undefined, undefined]);
    expect(followed).not.toContain('/secret');
  });

  test('is not asked of relays that are only read', async () => {
    let asked = 0;
    const url = await web((_req, res) => {
      asked += 1;
      res.end('{}');
    });
    const set = open.set([entry(url, { roles: ['discover'] })]);
    await set.informed();
    expect(asked).toBe(0);
  });

  test('two clocks that agree stop an announcement with the wrong time, one does not', async () => {
    const late: RequestListener = (_req, res) => {
      res.setHeader('date', new Date(Date.now() + 600_000).toUTCString());
      res.end('{}');
    };
    const [one, two] = [await web(late), await web(late)];
    await expect(announcer([entry(one), entry(two)]).start()).rejects.toThrow(/clock/);
    const relay = await open.relay();
    expect((await announcer([entry(one), relay]).start()).accepted).toBe(1);
  });

  test('and a clock that was set since is believed, without a restart', async () => {
    let off = 600_000;
    const late: RequestListener = (_req, res) => {
      res.setHeader('date', new Date(Date.now() + off).toUTCString());
      res.end('{}');
    };
    const relay = await open.relay();
    const node = announcer([entry(await web(late)), entry(await web(late)), relay], hurried(4));
    await expect(node.start()).rejects.toThrow(/clock/);
    expect(on(relay)).toBeUndefined();
    off = 0;
    await until(() => on(relay) !== undefined, 'the announcement');
  });
});
