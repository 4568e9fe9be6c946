import { afterEach, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { createAnnouncer } from '../../src/nostr/announcer.ts';
import { parseAnnouncement } from '../../src/protocol/announcement.ts';
import type { NostrEvent } from '../../src/relay/relay.ts';
import {
  announcement,
  entry,
  hasty,
  memoryStore,
  model,
  newKey,
  openings,
  patientClock,
  until,
} from '../nostr/kit.ts';
import { createForeignRelay } from './foreign-relay.ts';

const open = openings();
afterEach(open.close);

const PATIENCE_MS = 60_000;
const node = newKey();
const letter = (kind: number, content: string, to = node.pubkey): NostrEvent =>
  newKey().sign({ kind, created_at: unixSeconds(systemClock), tags: [['p', to]], content });

async function foreign(options: { auth?: boolean } = {}) {
  const relay = await createForeignRelay(options);
  open.onClose(relay.close);
  return relay;
}
const allRoles = (url: string, auth = false) =>
  entry(url, { roles: ['announce', 'discover', 'dm', 'rpc'], ...(auth ? { auth } : {}) });

test('a relay of other people takes, replaces and finds announcements', async () => {
  const relay = await foreign();
  const set = open.set([allRoles(relay.url)]);
  const announcer = createAnnouncer({
    key: node,
    relays: set,
    describe: () =>
      announcement({ models: Array.from({ length: 300 }, (_, n) => model(`vendor/model-${n}`)) }),
    store: memoryStore(),
    clock: patientClock,
    log: silentLogger,
    heartbeatSeconds: 3_600,
  });
  expect((await announcer.start()).outcomes).toEqual([{ url: relay.url, outcome: 'ok' }]);
  const find = () => set.query({ kinds: [38_421], authors: [node.pubkey] }, 'discover');
  const [first] = await find();
  expect(first && parseAnnouncement(first)?.models).toHaveLength(300);
  const labelled = await set.query({ kinds: [38_421], '#l': ['vendor/model-7'] }, 'discover');
  expect(labelled.map(({ id }) => id)).toEqual([first?.id]);
  expect(await set.publishTo(first as NostrEvent, [relay.url])).toMatchObject([
    { outcome: expect.stringMatching(/^(ok|duplicate)$/) as string },
  ]);
  await announcer.stop({ tombstone: true });
  const left = await find();
  expect(left.map((event) => parseAnnouncement(event)?.status)).toEqual(['offline']);
});

test('it passes stored and ephemeral wraps to a subscription, also after it dropped us', async () => {
  const relay = await foreign();
  const set = open.set([allRoles(relay.url)], { random: hasty });
  const sender = open.set([allRoles(relay.url)], { random: hasty });
  const heard: string[] = [];
  const live = set.subscribe({
    filter: () => ({ kinds: [1059, 21_059], '#p': [node.pubkey] }),
    roles: ['dm', 'rpc'],
    onEvent: ({ content }) => void heard.push(content),
  });
  expect(await live.ready(PATIENCE_MS)).toBe(1);
  await sender.publishTo(letter(21_059, 'live'), [relay.url]);
  await sender.publishTo(letter(1059, 'stored'), [relay.url]);
  await sender.publishTo(letter(1059, 'for another', newKey().pubkey), [relay.url]);
  await until(() => heard.length === 2);
  expect(relay.events().map(({ content }) => content)).not.toContain('live');
  const before = relay.accepted();
  relay.drop();
  await until(() => relay.accepted() === before + 2, 'both to come back');
  expect(await live.ready(PATIENCE_MS)).toBe(1);
  await sender.publishTo(letter(21_059, 'again'), [relay.url]);
  await until(() => heard.includes('again'));
  expect(heard).toEqual(['live', 'stored', 'stored', 'again']);
});

test('where it wants to know who reads kind 4, letters arrive after AUTH, and a stranger gets none', async () => {
  const relay = await foreign({ auth: true });
  const sender = open.set([allRoles(relay.url)]);
  await sender.publishTo(letter(4, 'before'), [relay.url]);
  const set = open.set([allRoles(relay.url, true)], { key: node });
  const heard: string[] = [];
  const read = { filter: () => ({ kinds: [4], '#p': [node.pubkey] }), roles: ['dm'] as const };
  const live = set.subscribe({ ...read, onEvent: ({ content }) => void heard.push(content) });
  expect(await live.ready(PATIENCE_MS)).toBe(1);
  await until(() => heard.includes('before'));
  await sender.publishTo(letter(4, 'after'), [relay.url]);
  await until(() => heard.includes('after'));
  expect(set.status()[0]?.refused).toBeUndefined();

  const stranger = open.set([allRoles(relay.url)]);
  const overheard: NostrEvent[] = [];
  stranger.subscribe({ ...read, onEvent: (event) => void overheard.push(event) });
  await until(() => stranger.status()[0]?.refused !== undefined);
  expect(overheard).toEqual([]);
});
