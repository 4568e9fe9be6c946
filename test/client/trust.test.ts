import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { type DiscoverOptions, discover } from '../../src/client/discover.ts';
import { MIX, rank } from '../../src/client/rank.ts';
import { weigh } from '../../src/client/trust.ts';
import { buildAnnouncement } from '../../src/protocol/announcement-build.ts';
import type { Announcement } from '../../src/protocol/announcement.ts';
import type { NodeKey, NostrEvent } from '../../src/relay/relay.ts';
import { announcement, entry, manualClock, model, newKey, openings } from '../nostr/kit.ts';

const open = openings();
afterEach(open.close);

const now = (): number => unixSeconds(systemClock);
const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const announce = (key: NodeKey, changes: Partial<Announcement>): NostrEvent =>
  key.sign(buildAnnouncement(announcement(changes), { createdAt: now(), sha256Hex }));

async function nodeOf(key: NodeKey): Promise<string> {
  const server = createServer((_request, response) => response.end(JSON.stringify({ npub: key.npub })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.onClose(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** NIP-87 recommendation of an announcement. */
const recommend = (by: NodeKey, of: NodeKey, changes: Partial<NostrEvent> = {}): NostrEvent =>
  by.sign({
    kind: 38_000,
    created_at: changes.created_at ?? now(),
    tags: changes.tags ?? [
      ['k', '38421'],
      ['d', of.pubkey],
      ['a', `38421:${of.pubkey}:node-1`],
    ],
    content: 'good',
  });
const verdict = (by: NodeKey, of: NodeKey, label: string, createdAt = now()): NostrEvent =>
  by.sign({
    kind: 38_425,
    created_at: createdAt,
    tags: [
      ['node', of.pubkey],
      ['t', label],
    ],
    content: '',
  });

describe('story', () => {
  test('pinned before own friends before auditors, each against a lower price, and each rank is explained', async () => {
    const relay = await open.relay();
    const [friend, auditor, stranger] = [newKey(), newKey(), newKey()];
    const [pinned, friendly, audited, plain, avoided] = [newKey(), newKey(), newKey(), newKey(), newKey()];
    const prices: [NodeKey, number][] = [
      [pinned, 9_000_000],
      [friendly, 135_000],
      [audited, 110_000],
      [plain, 100_000],
      [avoided, 80_000],
    ];
    for (const [key, price] of prices) {
      relay.plant(announce(key, { urls: [await nodeOf(key)], models: [model('gpt-4o-mini', price, price)] }));
    }
    relay.plant(recommend(friend, friendly));
    relay.plant(recommend(stranger, avoided));
    relay.plant(verdict(auditor, audited, 'lgtm'));
    relay.plant(verdict(auditor, avoided, 'avoid'));
    const options: DiscoverOptions = {
      relays: [entry(relay.url)],
      allowPrivate: true,
      clock: manualClock(),
      log: silentLogger,
    };
    const names = new Map([
      [pinned.npub, 'pinned'],
      [friendly.npub, 'friendly'],
      [audited.npub, 'audited'],
      [plain.npub, 'plain'],
      [avoided.npub, 'avoided'],
    ]);
    const order = async (more: Partial<DiscoverOptions>) =>
      (await discover({ ...options, ...more })).map(({ npub }) => names.get(npub));
    expect(await order({})).toEqual(['avoided', 'plain', 'audited', 'friendly', 'pinned']);

    const circle = { pinned: [pinned.pubkey], follows: [friend.pubkey], auditors: [auditor.pubkey] };
    expect(await order(circle)).toEqual(['pinned', 'friendly', 'audited', 'plain', 'avoided']);
    const ranked = await discover({ ...options, ...circle });
    expect(ranked.map(({ reasons }) => reasons.slice(0, 2))).toEqual([
      ['rank 1 of 5', 'pinned by you'],
      ['rank 2 of 5', 'recommended by 1 of those you follow'],
      ['rank 3 of 5', 'approved by 1 auditor'],
      ['rank 4 of 5', expect.stringContaining('cost 150 msat')],
      ['rank 5 of 5', '1 auditor warned'],
    ]);
  });

  test('an auditor who is silent or warns of everyone shuts nobody out', async () => {
    const relay = await open.relay();
    const [key, auditor] = [newKey(), newKey()];
    relay.plant(announce(key, { urls: [await nodeOf(key)] }));
    const ask = () =>
      discover({
        relays: [entry(relay.url)],
        auditors: [auditor.pubkey],
        allowPrivate: true,
        clock: systemClock,
        log: silentLogger,
      });
    expect(await ask()).toMatchObject([{ npub: key.npub, trust: { warnedBy: 0 } }]);
    relay.plant(verdict(auditor, key, 'blacklisted'));
    expect(await ask()).toMatchObject([{ npub: key.npub, trust: { warnedBy: 1 } }]);
  });

  test('prices are compared by the tokens that the buyer expects', async () => {
    const relay = await open.relay();
    const [reads, writes] = [newKey(), newKey()];
    relay.plant(announce(reads, { urls: [await nodeOf(reads)], models: [model('m', 10, 9_000)] }));
    relay.plant(announce(writes, { urls: [await nodeOf(writes)], models: [model('m', 9_000, 10)] }));
    const first = async (promptTokens: number, completionTokens: number) =>
      (
        await discover({
          relays: [entry(relay.url)],
          mix: { promptTokens, completionTokens },
          allowPrivate: true,
          clock: manualClock(),
          log: silentLogger,
        })
      )[0];
    expect(await first(1_000_000, 1_000)).toMatchObject({ npub: reads.npub, expectedMsat: 19 });
    expect(await first(1_000, 1_000_000)).toMatchObject({ npub: writes.npub });
  });
});

describe('words that do not count', () => {
  const [friend, node] = [newKey(), newKey()];
  const circle = { pinned: [], follows: [friend.pubkey], auditors: [friend.pubkey] };
  const opinion = (...events: NostrEvent[]) => weigh(events, circle, now()).opinions.get(node.pubkey);
  const none = undefined;

  test.each<[string, NostrEvent[], number | undefined]>([
    ['a genuine one', [recommend(friend, node)], 1],
    [
      'the same twice, and under another place',
      [
        recommend(friend, node),
        recommend(friend, node, {
          created_at: now() - 9,
          tags: [
            ['k', '38421'],
            ['d', 'x'],
            ['a', `38421:${node.pubkey}:x`],
          ],
        }),
      ],
      1,
    ],
    ['of a stranger', [recommend(newKey(), node)], none],
    ['forged in the name of a friend', [{ ...recommend(newKey(), node), pubkey: friend.pubkey }], none],
    [
      'about another kind',
      [
        recommend(friend, node, {
          tags: [
            ['k', '38172'],
            ['a', `38421:${node.pubkey}:x`],
          ],
        }),
      ],
      none,
    ],
    ['from the future', [recommend(friend, node, { created_at: now() + 2_000 })], none],
    [
      'taken back by a newer one in its place',
      [
        recommend(friend, node),
        recommend(friend, newKey(), {
          created_at: now() + 1,
          tags: [
            ['k', '38421'],
            ['d', node.pubkey],
            ['a', `38421:${newKey().pubkey}:x`],
          ],
        }),
      ],
      none,
    ],
  ])('%s', (_name, events, recommendedBy) => {
    expect(opinion(...events)?.recommendedBy).toBe(recommendedBy);
  });

  test('the newest verdict of an auditor counts, and one that is neither good nor bad takes it back', () => {
    const at = now() - 100;
    expect(opinion(verdict(friend, node, 'lgtm', at), verdict(friend, node, 'avoid', at + 1))).toMatchObject({
      approvedBy: 0,
      warnedBy: 1,
    });
    expect(opinion(verdict(friend, node, 'avoid', at), verdict(friend, node, 'lgtm', at + 1))).toMatchObject({
      approvedBy: 1,
      warnedBy: 0,
    });
    expect(opinion(verdict(friend, node, 'avoid', at), verdict(friend, node, 'hm', at + 1))).toBeUndefined();
  });
});

test('latency, failures and unknown prices move a provider down', () => {
  const provider = {
    pubkey: 'a',
    npub: 'a',
    name: '',
    about: '',
    urls: [],
    mints: [],
    version: '',
    models: [],
    createdAt: 0,
    bound: true,
    trust: { pinned: false, ok: 0, failed: 0, recommendedBy: 0, approvedBy: 0, warnedBy: 0 },
    reasons: [],
  };
  const cost = { expectedMsat: announcement().requestMsat };
  const list = rank([
    { ...provider, name: 'unknown price' },
    { ...provider, name: 'failing', ...cost, trust: { ...provider.trust, ok: 1, failed: 9 } },
    { ...provider, name: 'slow', ...cost, latencyMs: 3_000 },
    { ...provider, name: 'plain', ...cost },
    { ...provider, name: 'used', ...cost, trust: { ...provider.trust, ok: 9 } },
    { ...provider, name: 'by message', ...cost, bound: false, dm: [] },
  ]);
  expect(list.map(({ name }) => name)).toEqual([
    'used',
    'plain',
    'slow',
    'failing',
    'unknown price',
    'by message',
  ]);
  expect(MIX).toEqual({ promptTokens: 1_000, completionTokens: 500 });
});
