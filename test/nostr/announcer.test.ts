import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { msat } from '../../src/base/money.ts';
import type { TestRelay } from '../../src/demo/relay.ts';
import { type AnnouncerOptions, createAnnouncer } from '../../src/nostr/announcer.ts';
import { type Announcement, parseAnnouncement } from '../../src/protocol/announcement.ts';
import type { NostrEvent, RelaySet } from '../../src/relay/relay.ts';
import { freePort } from '../node-kit.ts';
import {
  announcement,
  entry,
  hurried,
  manualClock,
  memoryStore,
  model,
  newKey,
  openings,
  settle,
  until,
} from './kit.ts';

const open = openings();
const key = newKey();
const stops: (() => Promise<void>)[] = [];
let now = announcement();
let values = new Map<string, string>();

beforeEach(() => {
  now = announcement();
  values = new Map();
});
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  await open.close();
});

function announcer(relays: RelaySet, options: Partial<AnnouncerOptions> = {}) {
  const made = createAnnouncer({
    key,
    relays,
    describe: () => now,
    store: memoryStore(values),
    clock: manualClock(),
    log: silentLogger,
    heartbeatSeconds: 3_600,
    ...options,
  });
  stops.push(() => made.stop({ tombstone: false }));
  return made;
}

const announced = (relay: TestRelay): NostrEvent[] => relay.events().filter(({ kind }) => kind === 38_421);
const on = (relay: TestRelay): Announcement | undefined => {
  const [event] = announced(relay);
  return event === undefined ? undefined : parseAnnouncement(event);
};

describe('story', () => {
  test('announces on every relay, follows changes, repeats itself, and says goodbye', async () => {
    const clock = manualClock();
    const [one, two] = [await open.relay({ clock }), await open.relay({ clock })];
    const node = announcer(open.set([one, two]), { clock });
    const report = await node.start();
    expect(report).toMatchObject({
      accepted: 2,
      kind: 38_421,
      outcomes: [{ outcome: 'ok' }, { outcome: 'ok' }],
    });
    expect(node.report()).toEqual(report);
    expect(on(one)).toMatchObject({ name: 'My node', urls: ['https://ai.example.com'], status: 'online' });
    expect(announced(one)).toEqual(announced(two));
    await until(() => one.events().length === 3, 'profile and relay list');
    expect(
      one
        .events()
        .map(({ kind }) => kind)
        .sort(),
    ).toEqual([0, 10_002, 38_421]);

    now = announcement({ name: 'Renamed' });
    node.changed();
    // The debounce is over, but two announcements are two minutes apart.
    await clock.advance(110_000);
    await settle(50);
    expect(on(one)?.name).toBe('My node');
    await clock.advance(11_000);
    await until(() => on(one)?.name === 'Renamed' && on(two)?.name === 'Renamed');

    const before = announced(one)[0]?.id;
    await until(() => node.report()?.eventId === before && node.report()?.accepted === 2);
    await clock.advance(3_600_000 * 1.1 + 1_000);
    await until(() => announced(one)[0]?.id !== before, 'the heartbeat');

    await node.stop({ tombstone: true });
    expect(on(one)).toMatchObject({ d: 'node-1', status: 'offline', urls: [] });
    expect(on(two)).toMatchObject({ status: 'offline' });
  });
});

describe('created_at', () => {
  test('grows across restarts, also when the clock stepped back', async () => {
    const relay = await open.relay();
    const set = open.set([relay]);
    const clock = manualClock();
    const first = await announcer(set, { clock }).start();
    clock.setWall(clock.now() - 600_000);
    const second = await announcer(set, { clock }).start();
    const third = await announcer(set, { clock }).start();
    expect([second.createdAt, third.createdAt]).toEqual([first.createdAt + 1, first.createdAt + 2]);
    expect(announced(relay).map(({ id }) => id)).toEqual([third.eventId]);
  });

  test('is durable before a relay hears of it', async () => {
    const relay = await open.relay();
    const node = announcer(open.set([relay]), {
      store: {
        get: (name) => values.get(name),
        put: async () => {
          await settle();
          throw new Error('disk full');
        },
      },
    });
    await expect(node.start()).rejects.toThrow('disk full');
    expect(relay.events()).toEqual([]);
  });

  test('that could not be written at the start is written when the disk takes it, and announced then', async () => {
    const relay = await open.relay();
    const clock = manualClock();
    const store = memoryStore(values);
    let failures = 2;
    const put = (name: string, value: string): Promise<void> =>
      failures-- > 0 ? Promise.reject(new Error('disk full')) : store.put(name, value);
    const node = announcer(open.set([relay]), { clock, store: { get: store.get, put } });
    await expect(node.start()).rejects.toThrow('disk full');
    expect(relay.events()).toEqual([]);
    await clock.advance(30_000);
    await until(() => on(relay)?.status === 'online', 'the announcement');
    expect(node.report()?.accepted).toBe(1);
    await until(() => relay.events().length === 3, 'profile and relay list');
  });

  test('of a tombstone is later than the announcement of the same second', async () => {
    const relay = await open.relay();
    const node = announcer(open.set([relay]));
    const { createdAt } = await node.start();
    await node.stop({ tombstone: true });
    expect(announced(relay)[0]?.created_at).toBe(createdAt + 1);
    expect(values.get('nostr/last/38421')).toBe(String(createdAt + 1));
    const next = announcer(open.set([relay]));
    await next.start();
    expect(on(relay)?.status).toBe('online');
  });
});

describe('changes', () => {
  test('a price that moved by two percent or less is left for the heartbeat, more waits for its turn', async () => {
    const clock = manualClock();
    const relay = await open.relay({ clock });
    const node = announcer(open.set([relay]), { clock });
    await node.start();
    const price = () => on(relay)?.models[0]?.in;
    now = announcement({ models: [model('gpt-4o-mini', 153_000)] });
    node.changed();
    await clock.advance(700_000);
    await settle(50);
    expect(price()).toBe(150_000);
    now = announcement({ models: [model('gpt-4o-mini', 153_001)] });
    node.changed();
    await clock.advance(31_000);
    await until(() => price() === 153_001);

    now = announcement({ models: [model('gpt-4o-mini', 300_000)] });
    node.changed();
    await clock.advance(500_000);
    await settle(50);
    expect(price()).toBe(153_001);
    await clock.advance(101_000);
    await until(() => price() === 300_000, 'ten minutes after the last price');
  });

  test('a change of facts does not wait for the turn of a price', async () => {
    const relay = await open.relay();
    const clock = manualClock();
    const node = announcer(open.set([relay]), { clock });
    await node.start();
    now = announcement({ models: [model('gpt-4o-mini', 300_000)] });
    node.changed();
    await clock.advance(150_000);
    now = { ...now, name: 'Renamed' };
    node.changed();
    await clock.advance(31_000);
    await until(() => on(relay)?.name === 'Renamed');
    expect(on(relay)?.models[0]?.in).toBe(300_000);
  });

  test('many changes in a row are one announcement, and no change is none', async () => {
    const relay = await open.relay();
    const clock = manualClock();
    const node = announcer(open.set([relay]), { clock });
    const first = await node.start();
    node.changed();
    await clock.advance(121_000);
    await settle(50);
    expect(node.report()?.eventId).toBe(first.eventId);
    for (let n = 1; n <= 5; n += 1) {
      now = announcement({ requestMsat: msat(n) });
      node.changed();
      await clock.advance(5_000);
    }
    await clock.advance(10_000);
    await until(() => on(relay)?.requestMsat === 5);
    expect(Number(values.get('nostr/last/38421'))).toBeLessThanOrEqual(first.createdAt + 200);
  });

  test('where messages are read is told to announce, message and index relays, and taken back', async () => {
    const [relay, dm, index] = [await open.relay(), await open.relay(), await open.relay()];
    const set = open.set([
      relay,
      entry(dm.url, { roles: ['dm'] }),
      entry(index.url, { roles: ['index'] }),
      entry('ws://127.0.0.1:9', { roles: ['discover'] }),
    ]);
    const clock = manualClock();
    now = announcement({ relays: [{ url: dm.url, use: 'dm' }] });
    const node = announcer(set, { clock });
    await node.start();
    const list = (on: TestRelay, kind: number) => on.events().find((event) => event.kind === kind)?.tags;
    await until(() => [relay, dm, index].every((one) => list(one, 10_050) !== undefined));
    expect(list(dm, 10_050)).toEqual([['relay', dm.url]]);
    expect(list(dm, 10_002)).toEqual([
      ['r', relay.url, 'write'],
      ['r', dm.url, 'read'],
    ]);
    expect(announced(dm)).toEqual([]);
    now = announcement({});
    node.changed();
    await until(() => values.has('nostr/done/10050'));
    await clock.advance(600_000);
    await until(() => list(dm, 10_050)?.length === 0, 'the empty list');
  });

  test('profile and relay list are not repeated within a week', async () => {
    const [relay, index] = [await open.relay(), await open.relay()];
    const set = open.set([relay, entry(index.url, { roles: ['index'] })]);
    const clock = manualClock();
    await announcer(set, { clock }).start();
    await until(() => index.events().length === 2 && values.has('nostr/done/10002'));
    const ids = index.events().map(({ id }) => id);
    const second = announcer(set, { clock });
    await second.start();
    await settle(50);
    expect(index.events().map(({ id }) => id)).toEqual(ids);
    expect(index.events().map(({ kind }) => kind)).not.toContain(38_421);
    now = announcement({ name: 'Renamed' });
    second.changed();
    await clock.advance(121_000);
    await until(() => index.events().some(({ content }) => content.includes('Renamed')));
  });
});

describe('relays in trouble', () => {
  test('one relay is enough, and the one that was down gets the same event when it is back', async () => {
    const port = await freePort();
    const up = await open.relay();
    const clock = hurried(10);
    const node = announcer(open.set([up, entry(`ws://127.0.0.1:${port}`)], { clock }), { clock });
    const report = await node.start();
    expect(report.accepted).toBe(1);
    expect(report.outcomes.map(({ outcome }) => outcome)).toEqual(['ok', 'unreachable']);
    const late = await open.relay({ port });
    await until(() => announced(late).length === 1, 'the late relay');
    expect(announced(late)[0]?.id).toBe(report.eventId);
    await until(() => node.report()?.accepted === 2);
  });

  test('with no relay at all it keeps trying', async () => {
    const port = await freePort();
    const clock = hurried(10);
    const node = announcer(open.set([entry(`ws://127.0.0.1:${port}`)], { clock }), { clock });
    expect((await node.start()).accepted).toBe(0);
    const late = await open.relay({ port });
    await until(() => announced(late).length === 1);
  });

  test('a refusal for good is reported and not repeated', async () => {
    const relay = await open.relay();
    relay.failNext('blocked: you are not on the list');
    const clock = manualClock();
    const node = announcer(open.set([relay]), { clock });
    expect((await node.start()).outcomes).toEqual([
      { url: relay.url, outcome: 'refused', reason: 'blocked: you are not on the list', sticky: true },
    ]);
    await clock.advance(3_600_000);
    await settle(50);
    expect(announced(relay)).toEqual([]);
  });

  test('goodbye does not wait for a relay that hangs', { timeout: 5_000 }, async () => {
    const [good, hanging] = [await open.relay(), await open.relay()];
    const clock = manualClock();
    const node = announcer(open.set([good, hanging], { clock }), { clock });
    await node.start();
    await until(() => hanging.events().length === 3);
    hanging.pause();
    const stopping = node.stop({ tombstone: true });
    await until(() => on(good)?.status === 'offline');
    // A publish may take eight seconds; on this clock they never come.
    await clock.advance(2_000);
    await stopping;
    expect(on(hanging)?.status).toBe('online');
    expect(on(good)?.status).toBe('offline');
  });
});

test('retracting deletes the announcement and ends announcing', async () => {
  const clock = manualClock();
  const relay = await open.relay({ clock });
  const node = announcer(open.set([relay]), { clock });
  await node.start();
  expect(await node.retract()).toMatchObject({ kind: 5, accepted: 1 });
  expect(announced(relay)).toEqual([]);
  now = announcement({ name: 'Renamed' });
  node.changed();
  await clock.advance(7_200_000);
  await node.stop({ tombstone: true });
  expect(announced(relay)).toEqual([]);
  await announcer(open.set([relay]), { clock }).start();
  expect(announced(relay)).toHaveLength(1);
});
