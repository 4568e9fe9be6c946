import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { msat } from '../../src/base/money.ts';
import { buildAnnouncement, buildTombstone } from '../../src/protocol/announcement-build.ts';
import { type Announcement, type EventTemplate, parseAnnouncement } from '../../src/protocol/announcement.ts';
import { buildProfile, buildRelayList, buildRetraction } from '../../src/protocol/identity.ts';
import { announcement, model, newKey } from '../nostr/kit.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const createdAt = 1_800_000_000;
const build = (changes: Partial<Announcement> = {}): EventTemplate =>
  buildAnnouncement(announcement(changes), { createdAt, sha256Hex });
const values = (event: EventTemplate, name: string): (string | undefined)[] =>
  event.tags.filter((tag) => tag[0] === name).map((tag) => tag[1]);

const full: Partial<Announcement> = {
  urls: ['https://ai.example.com', 'http://abcdef.onion'],
  mints: [
    { url: 'https://mint.example.com', unit: 'sat' },
    { url: 'https://other.example.com', unit: 'msat' },
  ],
  picture: 'https://ai.example.com/logo.png',
  terms: 'https://ai.example.com/terms',
  models: [model('gpt-4o-mini'), model('vendor/other "quoted"', 1, 0)],
  requestMsat: msat(5),
  minimumMsat: msat(1_000),
  contact: ['nostr:npub1xyz', 'mailto:op@example.com'],
  pmi: ['bitcoin-cashu', 'bitcoin-lightning-bolt11'],
  geohash: 'u33d',
  country: 'DE',
  relays: [{ url: 'wss://dm.example.com', use: 'rpc' }],
  rpc: ['dmi/1', 'nip59', '21059', '1059'],
};

describe('story', () => {
  test('what is announced is what a buyer reads', () => {
    const event = build(full);
    expect(parseAnnouncement(event)).toEqual({
      ...announcement(full),
      modelsTotal: 2,
      modelsSha256: sha256Hex(
        JSON.stringify([
          ['gpt-4o-mini', 150_000, 600_000, 128_000, 16_384, 'ti'],
          ['vendor/other "quoted"', 1, 0, 128_000, 16_384, 'ti'],
        ]),
      ),
      expiresAt: createdAt + 3 * 3_600,
    });
  });

  test('tags and content are those of the protocol page', () => {
    const event = build();
    expect(event.kind).toBe(38_421);
    expect(event.tags).toEqual([
      ['d', 'node-1'],
      ['u', 'https://ai.example.com'],
      ['mint', 'https://mint.example.com', 'sat'],
      ['version', '1.0.0'],
      ['alt', 'AI inference node: OpenAI-compatible API paid with Cashu'],
      ['status', 'online'],
      ['heartbeat', '3600'],
      ['expiration', String(createdAt + 10_800)],
      ['t', 'ai-inference'],
      ['t', 'openai-api'],
      ['models_total', '1'],
      ['models_sha256', expect.stringMatching(/^[0-9a-f]{64}$/)],
      ['L', 'ai.model'],
      ['l', 'gpt-4o-mini', 'ai.model'],
    ]);
    expect(JSON.parse(event.content)).toEqual({
      name: 'My node',
      about: 'Fast inference, paid in sats',
      models_v: 1,
      unit: 'msat',
      per: 1_000_000,
      fields: ['id', 'in', 'out', 'ctx', 'max_out', 'io'],
      models: [['gpt-4o-mini', 150_000, 600_000, 128_000, 16_384, 'ti']],
      req_msat: 0,
      min_msat: 0,
    });
  });

  test('a configured /v1 or slash at the end of a URL is not announced', () => {
    const event = build({
      urls: ['https://a.example/v1/', 'https://b.example/', 'https://c.example/api/v1'],
    });
    expect(values(event, 'u')).toEqual(['https://a.example', 'https://b.example', 'https://c.example/api']);
  });
});

describe('bounds', () => {
  const key = newKey();
  const signedBytes = (event: EventTemplate): number => Buffer.byteLength(JSON.stringify(key.sign(event)));
  const many = (count: number, id = (n: number) => `vendor-${n % 40}/model-${n}-instruct`) =>
    Array.from({ length: count }, (_, n) => model(id(n), 150_000 + n, 600_000 + n));

  test('a catalogue of 700 models fits into one event', () => {
    const event = build({ ...full, models: many(700) });
    expect(parseAnnouncement(event)?.models).toHaveLength(700);
    expect(signedBytes(event)).toBeLessThanOrEqual(LIMITS.announce.eventBytesMax);
    expect(event.tags.length).toBeLessThanOrEqual(LIMITS.announce.tagsMax);
    expect(values(event, 'l').filter((id) => id !== 'DE')).toHaveLength(LIMITS.announce.modelLabelsMax);
  });

  test.each([
    ['plain ids', (n: number) => `vendor/model-${n}`],
    ['quotes and umlauts', (n: number) => `"ü"\\model\n${n}`],
    ['long ids', (n: number) => `${'x'.repeat(240)}${n}`],
  ])('of 3,000 models with %s the first ones are taken, and no more than fit', (_name, id) => {
    const models = many(3_000, id);
    const event = build({ ...full, models });
    const taken = parseAnnouncement(event)?.models ?? [];
    expect(taken).toEqual(models.slice(0, taken.length));
    expect(signedBytes(event)).toBeLessThanOrEqual(LIMITS.announce.eventBytesMax);
    // Less than one row of room is left.
    expect(signedBytes(event)).toBeGreaterThan(LIMITS.announce.eventBytesMax - 400);
    expect(values(event, 'models_total')).toEqual(['3000']);
  });

  test('endless lists and texts are cut', () => {
    const list = Array.from({ length: 100 }, (_, n) => `https://u${n}.example`);
    const event = build({
      ...full,
      urls: list,
      mints: list.map((url) => ({ url, unit: 'sat' })),
      contact: list,
      pmi: list,
      relays: list.map((url) => ({ url, use: 'dm' as const })),
      about: 'x'.repeat(200_000),
      models: many(100),
    });
    expect(event.tags.length).toBeLessThanOrEqual(LIMITS.announce.tagsMax);
    expect(signedBytes(event)).toBeLessThanOrEqual(LIMITS.announce.eventBytesMax);
  });

  test('a single-letter tag that relays would refuse is left out', () => {
    const url = `https://a.example/${'x'.repeat(2_000)}`;
    expect(values(build({ urls: ['https://ok.example', url] }), 'u')).toEqual(['https://ok.example']);
  });
});

describe('parsers of older clients read it', () => {
  /** Routstr core: `d`, the first `u`, `mint[1]`, `version[1]`, name and about of the content; nothing without `u`. */
  function readAsCore(event: EventTemplate): Record<string, unknown> | undefined {
    const first = (name: string) => event.tags.find((tag) => tag[0] === name)?.[1];
    if (first('d') === undefined || first('u') === undefined) return undefined;
    const { name, about } = JSON.parse(event.content) as { name?: unknown; about?: unknown };
    const mints = event.tags.filter((tag) => tag[0] === 'mint').map((tag) => tag[1]);
    return { d: first('d'), endpoint: first('u'), mints, version: first('version'), name, about };
  }
  /** Routstr SDK: each `u` becomes a base URL to which `v1/models` is appended; far future is dropped. */
  function readAsSdk(event: EventTemplate, now: number): string[] | undefined {
    const urls = event.tags
      .filter((tag) => tag[0] === 'u' && tag[1] !== undefined)
      .map((tag) => tag[1] ?? '');
    if (event.kind !== 38_421 || urls.length === 0 || event.created_at > now + 900) return undefined;
    return urls.map((url) => new URL('v1/models', url.endsWith('/') ? url : `${url}/`).href);
  }
  /** otrta: rejects content without string name and about; all tag values are strings. */
  function readAsOtrta(event: EventTemplate): boolean {
    const content = JSON.parse(event.content) as { name?: unknown; about?: unknown };
    return typeof content.name === 'string' && typeof content.about === 'string';
  }

  test('online', () => {
    const event = build(full);
    expect(readAsCore(event)).toEqual({
      d: 'node-1',
      endpoint: 'https://ai.example.com',
      mints: ['https://mint.example.com', 'https://other.example.com'],
      version: '1.0.0',
      name: 'My node',
      about: 'Fast inference, paid in sats',
    });
    expect(readAsSdk(event, createdAt)).toEqual([
      'https://ai.example.com/v1/models',
      'http://abcdef.onion/v1/models',
    ]);
    expect(readAsOtrta(event)).toBe(true);
  });

  test('a tombstone has no URL, so they drop the node', () => {
    const event = buildTombstone(announcement(full), { createdAt });
    expect(readAsCore(event)).toBeUndefined();
    expect(readAsSdk(event, createdAt)).toBeUndefined();
    expect(parseAnnouncement(event)).toMatchObject({ d: 'node-1', status: 'offline', urls: [], models: [] });
  });
});

describe('reading what others announce', () => {
  const raw = (tags: string[][], content: unknown): EventTemplate => ({
    kind: 38_421,
    created_at: createdAt,
    tags,
    content: typeof content === 'string' ? content : JSON.stringify(content),
  });

  test('an older node without models or heartbeat', () => {
    const read = parseAnnouncement(
      raw(
        [
          ['d', 'old'],
          ['u', 'api.old.example'],
          ['u', 'abc.onion/'],
          ['u', 'wss://not-http.example'],
          ['mint', 'https://mint.example/'],
        ],
        { name: 'Old', about: '' },
      ),
    );
    expect(read).toMatchObject({
      urls: ['https://api.old.example', 'http://abc.onion'],
      mints: [{ url: 'https://mint.example', unit: 'sat' }],
      name: 'Old',
      models: [],
      version: '',
    });
    expect(read?.heartbeatSeconds).toBeUndefined();
  });

  test('columns are found by name, in any order, with unknown ones between', () => {
    const content = {
      unit: 'msat',
      per: 1_000_000,
      fields: ['cache_read', 'out', 'id', 'in'],
      models: [
        [1, 20, 'a', 10.2],
        [1, -1, 'negative', 1],
        [1, '2', 'text', 1],
        'row',
        [1, 2],
        [1, 2, '', 3],
        [1, 1e300, 'huge', 1],
      ],
    };
    const read = parseAnnouncement(raw([['d', 'x']], content));
    expect(read?.models).toEqual([{ id: 'a', in: 11, out: 20, ctx: 0, maxOut: 0, io: '' }]);
  });

  test('prices in an unknown unit are not believed', () => {
    const content = { unit: 'sat', per: 1_000_000, fields: ['id', 'in', 'out'], models: [['a', 1, 2]] };
    expect(parseAnnouncement(raw([['d', 'x']], content))?.models).toEqual([]);
  });

  test.each([
    ['text', 'just text'],
    ['null', 'null'],
    ['a list', '[1]'],
    ['numbers for names', { name: 1, about: [], models: {}, fields: 7 }],
  ])('content that is %s', (_name, content) => {
    expect(parseAnnouncement(raw([['d', 'x']], content))).toMatchObject({ name: '', about: '', models: [] });
  });

  test('no d, an empty d, or another kind is not an announcement', () => {
    expect(parseAnnouncement(raw([['u', 'https://a.example']], {}))).toBeUndefined();
    expect(parseAnnouncement(raw([['d', '']], {}))).toBeUndefined();
    expect(parseAnnouncement({ ...raw([['d', 'x']], {}), kind: 1 })).toBeUndefined();
  });
});

describe('events about the key', () => {
  test('profile, relay list and retraction', () => {
    const profile = buildProfile(announcement(), { createdAt });
    expect(profile.kind).toBe(0);
    expect(JSON.parse(profile.content)).toEqual({
      name: 'My node',
      about: 'Fast inference, paid in sats',
      website: 'https://ai.example.com',
      nip05: '_@ai.example.com',
      bot: true,
    });
    const list = buildRelayList(
      { write: ['wss://a', 'wss://b'], read: ['wss://b', 'wss://c'] },
      { createdAt },
    );
    expect(list).toMatchObject({
      kind: 10_002,
      tags: [
        ['r', 'wss://b'],
        ['r', 'wss://a', 'write'],
        ['r', 'wss://c', 'read'],
      ],
    });
    expect(buildRetraction({ pubkey: 'ab', d: 'node-1' }, { createdAt })).toMatchObject({
      kind: 5,
      tags: [
        ['a', '38421:ab:node-1'],
        ['k', '38421'],
      ],
    });
  });
});
