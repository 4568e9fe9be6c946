import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { verifyEvent } from '../../src/relay/event.ts';
import { generateNsec, nodeKey, npubOf, pubkeyOf } from '../../src/relay/key.ts';

// Test vector of NIP-19.
const NSEC = 'nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5';
const HEX = '67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa';
const NPUB = 'npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg';
const PUBKEY = '7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e';

const template = { kind: 1, created_at: 1_700_000_000, tags: [['t', 'a']], content: 'hi' };

test('nsec and hex are the same key, npub and hex the same name', () => {
  expect(nodeKey(new Secret(NSEC)).pubkey).toBe(nodeKey(new Secret(HEX)).pubkey);
  expect(npubOf(PUBKEY)).toBe(NPUB);
  expect(pubkeyOf(NPUB)).toBe(PUBKEY);
  expect(pubkeyOf(PUBKEY)).toBe(PUBKEY);
  const fresh = nodeKey(generateNsec());
  expect(pubkeyOf(fresh.npub)).toBe(fresh.pubkey);
});

test('what it signs verifies, and the template is left as it was', () => {
  const key = nodeKey(generateNsec());
  const before = structuredClone(template);
  const event = key.sign(template);
  expect(verifyEvent(event)).toEqual(event);
  expect(template).toEqual(before);
  expect(Object.getOwnPropertySymbols(event)).toEqual([]);
});

describe('what is not a key', () => {
  test.each(['', 'nsec1broken', NPUB, '0'.repeat(64), 'f'.repeat(64), `${HEX}00`])(
    '%s is refused',
    (text) => {
      expect(() => nodeKey(new Secret(text))).toThrow(/not a Nostr secret key/);
      try {
        nodeKey(new Secret(text));
      } catch (error) {
        if (text !== '') expect((error as Error).message).not.toContain(text);
      }
    },
  );
  test.each(['', 'npub1broken', NSEC, PUBKEY.toUpperCase()])('%s names nobody', (text) => {
    expect(pubkeyOf(text)).toBeUndefined();
  });
});

test('the secret does not show in a printed key', () => {
  const key = nodeKey(new Secret(NSEC));
  expect(inspect(key, { depth: 9, showHidden: true }) + JSON.stringify(key)).not.toContain(HEX);
});

describe('verifyEvent', () => {
  const event = nodeKey(new Secret(NSEC)).sign(template);
  test('a verified event, copied and changed, is not verified', () => {
    const verified = verifyEvent(event);
    expect(verified).toBeDefined();
    expect(verifyEvent({ ...verified, content: 'TAMPERED' })).toBeUndefined();
    expect(verifyEvent({ ...event, tags: [['t', 'b']] })).toBeUndefined();
  });
  test.each([
    ['an upper-case id', { ...event, id: event.id.toUpperCase() }],
    ['an upper-case key', { ...event, pubkey: event.pubkey.toUpperCase() }],
    ['a fraction of a second', { ...event, created_at: event.created_at + 0.5 }],
    ['tags that are not text', { ...event, tags: [[1]] }],
    ['no content', { ...event, content: undefined }],
    ['nothing', null],
    ['text', 'event'],
  ])('%s is not an event', (_name, value) => {
    expect(verifyEvent(value)).toBeUndefined();
  });
  test('unknown fields are left behind', () => {
    expect(verifyEvent({ ...event, seen: true })).toEqual(event);
  });
});
