import * as nip44 from 'nostr-tools/nip44';
import * as nip59 from 'nostr-tools/nip59';
import {
  finalizeEvent,
  generateSecretKey,
  getPublicKey,
  verifyEvent as verifySlowly,
} from 'nostr-tools/pure';
import { beforeAll, describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/id.ts';
import { Secret } from '../../src/base/secret.ts';
import { unixSeconds } from '../../src/base/time.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { verifyEvent } from '../../src/relay/event.ts';
import { nodeKey } from '../../src/relay/key.ts';
import type { NostrEvent } from '../../src/relay/relay.ts';
import { loadFastSchnorr, signEvent, verifySignature } from '../../src/relay/schnorr.ts';
import { createWrapper, openWrap, rumorId } from '../../src/relay/wrap.ts';
import { fakeClock } from '../base/clock.ts';

const clock = fakeClock();
const now = unixSeconds(clock);
const person = () => {
  const secret = generateSecretKey();
  const key = nodeKey(new Secret(Buffer.from(secret).toString('hex')));
  return { secret, key, wrapper: createWrapper(key, systemRandom, clock) };
};
const [alice, bob, eve] = [person(), person(), person()];
const tag = (event: { tags: string[][] }, name: string) => event.tags.find((tag) => tag[0] === name)?.[1];
const fresh = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** What a stranger with a library of his own can put together, each layer as he likes. */
function madeUp(layers: {
  rumor: unknown;
  sealBy?: Uint8Array;
  seal?: (seal: NostrEvent) => unknown;
  wrapKind?: number;
}): NostrEvent {
  const { rumor, sealBy = alice.secret, seal = (made) => made, wrapKind = KIND.wrap } = layers;
  const to = bob.key.pubkey;
  const inner = nip44.encrypt(JSON.stringify(rumor), nip44.getConversationKey(sealBy, to));
  const sealed = finalizeEvent({ kind: 13, created_at: now, tags: [], content: inner }, sealBy);
  const once = generateSecretKey();
  const content = nip44.encrypt(JSON.stringify(seal(fresh(sealed))), nip44.getConversationKey(once, to));
  return fresh(finalizeEvent({ kind: wrapKind, created_at: now, tags: [['p', to]], content }, once));
}
const rumorOf = (pubkey: string, content = 'hello') => {
  const rest = { pubkey, created_at: now, kind: KIND.frame, tags: [], content };
  return { id: rumorId(rest), ...rest };
};

describe.each(['slowly', 'fast'])('signatures made and checked %s', (pace) => {
  beforeAll(async () => {
    if (pace === 'fast') expect(await loadFastSchnorr()).toBe(true);
  });

  test('one makes what the other takes, and neither takes what was changed', () => {
    const odd = ['', 'a', 'é🍕', 'control \u0000\u0001\b\f\n\r\t\u001f', '\\ " / \u2028', 'lone \ud800'];
    for (const content of [...odd, 'x'.repeat(300_000)]) {
      const event = signEvent({ kind: 1, created_at: now, tags: [['t', content]], content }, alice.secret);
      expect(event.pubkey).toBe(alice.key.pubkey);
      expect(verifySlowly({ ...event })).toBe(true);
      expect(verifySignature(event)).toBe(true);
      expect(Object.getOwnPropertySymbols(event)).toEqual([]);
      const theirs = finalizeEvent({ kind: 1, created_at: now, tags: [], content }, alice.secret);
      expect(verifySignature(fresh(theirs))).toBe(true);
      // The mark of the library comes along with a spread copy, and must count for nothing.
      expect(verifySignature({ ...theirs, content: `${content}!` })).toBe(false);
      expect(
        verifySignature({ ...event, sig: event.sig.replace(/^./, (d) => (d === '0' ? '1' : '0')) }),
      ).toBe(false);
      expect(verifySignature({ ...event, pubkey: 'f'.repeat(64) })).toBe(false);
    }
  });

  test('an event has one name: the same in upper case is none, though the fast check would take it', () => {
    const event = signEvent({ kind: 1, created_at: now, tags: [], content: 'ab' }, alice.secret);
    const upper = (name: 'id' | 'pubkey' | 'sig') => ({ ...event, [name]: event[name].toUpperCase() });
    expect(verifyEvent(event)).toEqual(event);
    for (const name of ['id', 'pubkey', 'sig'] as const) {
      expect(upper(name)[name]).not.toBe(event[name]);
      expect(verifyEvent(upper(name)), name).toBeUndefined();
    }
    const { sig: _sig, ...unsigned } = event;
    expect(verifyEvent(unsigned)).toBeUndefined();
  });

  test('an event beyond the memory of the fast check is signed and checked all the same, and so is the next', () => {
    const manyTags = Array.from({ length: 40 }, () => ['t', 'x'.repeat(50_000)]);
    const small = signEvent({ kind: 1, created_at: now, tags: [], content: 'small' }, alice.secret);
    for (const [turn, { tags, content }] of [
      { tags: manyTags, content: '' },
      // Six bytes each in JSON.
      { tags: [], content: '\u0001'.repeat(250_000) },
      { tags: [['t', '\u0001'.repeat(250_000)]], content: '' },
    ].entries()) {
      const large = signEvent({ kind: 1, created_at: now, tags, content }, alice.secret);
      expect(verifySlowly({ ...large })).toBe(true);
      expect(verifySignature(large)).toBe(true);
      expect(verifySignature({ ...large, content: 'other' })).toBe(false);
      expect(verifySignature(small)).toBe(true);
      expect(verifySignature({ ...small, content: 'other' })).toBe(false);
      const next = signEvent({ kind: 1, created_at: now, tags: [], content: `${turn}` }, alice.secret);
      expect(verifySlowly({ ...next })).toBe(true);
    }
  });

  test('a wrap arrives, whoever made it', () => {
    for (const kind of [KIND.wrap, KIND.ephemeralWrap] as const) {
      const event = alice.wrapper.wrap({ kind: KIND.frame, content: '{"t":"ping"}' }, bob.key.pubkey, {
        kind,
      });
      const opened = openWrap(fresh(event), bob.key);
      expect(opened).toMatchObject({
        sender: alice.key.pubkey,
        rumor: { content: '{"t":"ping"}', kind: KIND.frame },
      });
      expect(openWrap(fresh(event), eve.key)).toEqual({ refused: 'decrypt' });
    }
    const ours = alice.wrapper.wrap({ kind: 14, content: 'hi', created_at: 5 }, bob.key.pubkey, {
      kind: KIND.wrap,
    });
    const read = nip59.unwrapEvent(ours, bob.secret);
    expect(read).toMatchObject({ kind: 14, content: 'hi', created_at: 5, tags: [['p', bob.key.pubkey]] });
    const theirs = nip59.wrapEvent({ kind: 14, content: 'hi back', tags: [] }, bob.secret, alice.key.pubkey);
    expect(openWrap(fresh(theirs), alice.key)).toMatchObject({
      sender: bob.key.pubkey,
      rumor: { content: 'hi back' },
    });
  });

  test('nobody speaks for another', () => {
    const good = rumorOf(alice.key.pubkey);
    expect(openWrap(madeUp({ rumor: good }), bob.key)).toEqual({ rumor: good, sender: alice.key.pubkey });
    expect(openWrap(madeUp({ rumor: good, sealBy: eve.secret }), bob.key)).toEqual({ refused: 'author' });
    const forged = (seal: NostrEvent) => ({ ...seal, pubkey: alice.key.pubkey });
    expect(openWrap(madeUp({ rumor: good, sealBy: eve.secret, seal: forged }), bob.key)).toEqual({
      refused: 'seal',
    });
    const renamed = (seal: NostrEvent) => {
      const { id, ...rest } = seal;
      const claimed = { ...rest, pubkey: alice.key.pubkey };
      return { ...claimed, id: rumorId(claimed), was: id };
    };
    expect(openWrap(madeUp({ rumor: good, sealBy: eve.secret, seal: renamed }), bob.key)).toEqual({
      refused: 'seal',
    });
    const other = (seal: NostrEvent) => fresh(finalizeEvent({ ...seal, kind: 1 }, alice.secret));
    expect(openWrap(madeUp({ rumor: good, seal: other }), bob.key)).toEqual({ refused: 'seal' });
    expect(openWrap(madeUp({ rumor: good, seal: () => 'text' }), bob.key)).toEqual({ refused: 'seal' });
    const upper = (seal: NostrEvent) => ({ ...seal, id: seal.id.toUpperCase() });
    expect(openWrap(madeUp({ rumor: good, seal: upper }), bob.key)).toEqual({ refused: 'seal' });
  });

  test('a rumor has the id of what it says', () => {
    const good = rumorOf(alice.key.pubkey);
    const { id, ...unnamed } = good;
    expect(openWrap(madeUp({ rumor: unnamed }), bob.key)).toMatchObject({ rumor: { id } });
    expect(openWrap(madeUp({ rumor: { ...good, sig: '0'.repeat(128) } }), bob.key)).toMatchObject({
      rumor: { id },
    });
    expect(openWrap(madeUp({ rumor: { ...good, id: 'a'.repeat(64) } }), bob.key)).toEqual({
      refused: 'rumor-id',
    });
    expect(openWrap(madeUp({ rumor: { ...good, content: 'more' } }), bob.key)).toEqual({
      refused: 'rumor-id',
    });
    expect(openWrap(madeUp({ rumor: { ...good, id: id.toUpperCase() } }), bob.key)).toEqual({
      refused: 'rumor',
    });
    for (const rumor of [null, 5, 'text', [], {}, { ...good, tags: [[1]] }, { ...good, created_at: -1 }])
      expect(openWrap(madeUp({ rumor }), bob.key)).toEqual({ refused: 'rumor' });
  });

  test('a changed wrap is not opened, whatever it was marked as before', () => {
    const event = madeUp({ rumor: rumorOf(alice.key.pubkey) });
    expect(verifySlowly(event)).toBe(true);
    for (const changed of [
      { ...event, content: madeUp({ rumor: rumorOf(eve.key.pubkey), sealBy: eve.secret }).content },
      { ...event, created_at: event.created_at + 1 },
      { ...event, tags: [['p', eve.key.pubkey]] },
      { ...event, sig: '0'.repeat(128) },
    ])
      expect(openWrap(changed, bob.key)).toEqual({ refused: 'signature' });
    expect(openWrap({ ...event, kind: 4 }, bob.key)).toEqual({ refused: 'kind' });
    expect(openWrap({ ...event, content: 'A'.repeat(131_073) }, bob.key)).toEqual({ refused: 'size' });
    expect(openWrap(madeUp({ rumor: rumorOf(alice.key.pubkey), wrapKind: 4 }), bob.key)).toEqual({
      refused: 'kind',
    });
  });
});

describe('what a relay sees', () => {
  const wrap = (kind: 1059 | 21059, more = {}) =>
    alice.wrapper.wrap({ kind: KIND.frame, content: 'x' }, bob.key.pubkey, { kind, ...more });

  test('a stored wrap is dated anywhere within the last two days, a passing one now', () => {
    const ages = Array.from({ length: 200 }, () => now - wrap(KIND.wrap).created_at);
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...ages)).toBeLessThanOrEqual(172_800);
    expect(Math.max(...ages) - Math.min(...ages)).toBeGreaterThan(86_400);
    expect(wrap(KIND.ephemeralWrap).created_at).toBe(now);
    expect(wrap(KIND.wrap, { undated: true }).created_at).toBe(now);
  });

  test('its expiration, its recipient and a key that is never seen again', () => {
    const event = wrap(KIND.wrap, { expiration: now + 60 });
    expect([tag(event, 'p'), tag(event, 'expiration')]).toEqual([bob.key.pubkey, String(now + 60)]);
    expect(event.tags).toHaveLength(2);
    expect(event.pubkey).not.toBe(alice.key.pubkey);
    expect(wrap(KIND.wrap).pubkey).not.toBe(event.pubkey);
  });

  test('one key for the frames of one stream', () => {
    const stream = alice.wrapper.streamKey(bob.key.pubkey);
    const events = [1, 2, 3].map(() => wrap(KIND.ephemeralWrap, { stream }));
    expect(new Set(events.map(({ pubkey }) => pubkey)).size).toBe(1);
    expect(new Set(events.map(({ id }) => id)).size).toBe(3);
    for (const event of events) expect(openWrap(event, bob.key)).toMatchObject({ sender: alice.key.pubkey });
  });

  test('nothing is wrapped for what is no key', () => {
    expect(() => alice.wrapper.streamKey('f'.repeat(64))).toThrow();
    expect(() =>
      alice.key.encrypt(getPublicKey(alice.secret).replace(/^../, 'zz'), 'x', systemRandom(32)),
    ).toThrow();
    expect(alice.key.decrypt('0'.repeat(64), 'A'.repeat(200), 'wrap')).toBeUndefined();
  });
});
