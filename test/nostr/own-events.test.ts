import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { type AnnouncerOptions, createAnnouncer } from '../../src/nostr/announcer.ts';
import { type Announcement, parseAnnouncement } from '../../src/protocol/announcement.ts';
import { buildAnnouncement, buildTombstone } from '../../src/protocol/announcement-build.ts';
import type { NodeKey, RelaySet } from '../../src/relay/relay.ts';
import { announcement, manualClock, memoryStore, newKey, openings, until } from './kit.ts';

const open = openings();
afterEach(open.close);

const now = (): number => unixSeconds(systemClock);
const signed = (key: NodeKey, changes: Partial<Announcement>, createdAt = now()) =>
  key.sign(buildAnnouncement(announcement(changes), { createdAt, sha256Hex: () => 'hash' }));

function announcer(relays: RelaySet, options: Partial<AnnouncerOptions> = {}) {
  const made = createAnnouncer({
    key: newKey(),
    relays,
    describe: () => announcement(),
    store: memoryStore(),
    clock: manualClock(),
    log: silentLogger,
    heartbeatSeconds: 3_600,
    ...options,
  });
  open.onClose(() => made.stop({ tombstone: false }));
  return made;
}

describe('an identifier that the relays know', () => {
  test('is kept by a node that has none of its own, over restarts and when it retracts', async () => {
    const [relay, key, store] = [await open.relay(), newKey(), memoryStore()];
    relay.plant(signed(key, { d: 'from-elsewhere' }, now() - 9_000));
    const set = open.set([relay]);
    const options = { key, store, reuseIdentifier: true };
    await announcer(set, options).start();
    expect(relay.events().map((event) => parseAnnouncement(event)?.d)).toContain('from-elsewhere');
    expect(relay.events().filter(({ kind }) => kind === 38_421)).toHaveLength(1);
    await announcer(set, { ...options, describe: () => announcement({ name: 'Again' }) }).start();
    await announcer(set, { ...options, store: memoryStore() }).retract();
    expect(relay.events().filter(({ kind }) => kind === 38_421)).toEqual([]);
  });

  test('is left alone if the operator chose one, and if the default is among them', async () => {
    const [relay, key] = [await open.relay(), newKey()];
    relay.plant(signed(key, { d: 'from-elsewhere' }, now() - 9_000));
    const set = open.set([relay]);
    await announcer(set, { key }).start();
    await announcer(set, { key, reuseIdentifier: true, store: memoryStore() }).start();
    const ids = relay.events().flatMap((event) => parseAnnouncement(event)?.d ?? []);
    expect(ids.sort()).toEqual(['from-elsewhere', 'node-1']);
  });
});

describe('another process with the same key', () => {
  test.each([
    ['another address', { urls: ['https://twin.example.com'] }, 60, true],
    ['another version', { version: '9.9.9' }, 60, true],
    ['the same facts, as from the command line', {}, 60, false],
    ['an announcement older than two heartbeats', { urls: ['https://twin.example.com'] }, 7_300, false],
  ])('%s', async (_name, changes, age, alarming) => {
    const [relay, key] = [await open.relay(), newKey()];
    relay.plant(signed(key, changes, now() - age));
    const node = announcer(open.set([relay]), { key });
    await node.start();
    expect(node.rival() !== undefined).toBe(alarming);
  });

  test('is noticed while we run, and forgotten when it is silent', async () => {
    const clock = manualClock();
    const [relay, key] = [await open.relay({ clock }), newKey()];
    const node = announcer(open.set([relay]), { key, clock });
    await node.start();
    expect(node.rival()).toBeUndefined();
    await clock.advance(600_000);
    relay.plant(signed(key, { urls: ['https://twin.example.com'] }, Math.floor(clock.now() / 1000)));
    await clock.advance(3_600_000);
    await until(() => node.rival()?.urls[0] === 'https://twin.example.com', 'the alarm');
    const rounds = () => relay.events().filter(({ kind }) => kind === 38_421)[0]?.created_at ?? 0;
    for (let hour = 0; hour < 3; hour += 1) {
      const before = rounds();
      await clock.advance(4_000_000);
      await until(() => rounds() > before, 'the next heartbeat');
    }
    expect(node.rival()).toBeUndefined();
  });

  test('that said goodbye is none', async () => {
    const [relay, key] = [await open.relay(), newKey()];
    relay.plant(key.sign(buildTombstone(announcement({ version: '0.9.0' }), { createdAt: now() - 5 })));
    const node = announcer(open.set([relay]), { key });
    await node.start();
    expect(node.rival()).toBeUndefined();
  });
});

test('a new store still signs later than what the relays hold', async () => {
  const [relay, key] = [await open.relay(), newKey()];
  relay.plant(signed(key, {}, now() + 500));
  const report = await announcer(open.set([relay]), { key }).start();
  expect(report.createdAt).toBeGreaterThan(now() + 490);
  expect(
    relay
      .events()
      .filter(({ kind }) => kind === 38_421)
      .map(({ id }) => id),
  ).toEqual([report.eventId]);
});

test('a forged event does not make us sign in the future or raise an alarm', async () => {
  const [relay, key] = [await open.relay(), newKey()];
  relay.plant({ ...signed(key, { version: '9.9.9' }, now() + 500), sig: 'f'.repeat(128) });
  const node = announcer(open.set([relay]), { key });
  expect((await node.start()).createdAt).toBeLessThan(now() + 60);
  expect(node.rival()).toBeUndefined();
});
