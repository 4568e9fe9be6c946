import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getPublicKey, nip44 } from 'nostr-tools';
import { describe, expect, test } from 'vitest';
import { publicSide, secretSide } from '../../src/relay/ecdh.ts';
import { conversationKey, decrypt, encrypt, paddedLength } from '../../src/relay/nip44.ts';
import { seeded } from '../base/random.ts';

const vectors = JSON.parse(readFileSync(join(import.meta.dirname, 'nip44.vectors.json'), 'utf8'));
const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('official vectors', () => {
  test.each(vectors.get_conversation_key as string[][])('conversation key of %s', (secret, pubkey, key) => {
    expect(conversationKey(secretSide(bytes(secret ?? '')), publicSide(pubkey ?? '')).toString('hex')).toBe(
      key,
    );
  });
  test.each(vectors.calc_padded_len as number[][])('%i bytes are padded to %i', (length, padded) => {
    expect(paddedLength(length ?? 0)).toBe(padded);
  });
  test.each(vectors.encrypt_decrypt as Record<string, string>[])(
    '"$plaintext" in both directions',
    (vector) => {
      const { sec1 = '', sec2 = '', conversation_key, nonce = '', plaintext = '', payload = '' } = vector;
      const key = conversationKey(secretSide(bytes(sec1)), publicSide(getPublicKey(bytes(sec2))));
      expect(key.toString('hex')).toBe(conversation_key);
      expect(encrypt(plaintext, key, bytes(nonce))).toBe(payload);
      expect(decrypt(payload, key)).toBe(plaintext);
    },
  );
  test.each(vectors.extended.cases as [number, string, string][])('%i letters', (length, plain, sealed) => {
    const { conversation_key, nonce, letter } = vectors.extended;
    const text = letter.repeat(length);
    expect(sha256(text)).toBe(plain);
    const payload = encrypt(text, bytes(conversation_key), bytes(nonce));
    expect(sha256(payload)).toBe(sealed);
    expect(decrypt(payload, bytes(conversation_key))).toBe(text);
  });
  test.each(vectors.invalid_conversation_key as string[][])('no key of %s and %s: %s', (secret, pubkey) => {
    expect(() => conversationKey(secretSide(bytes(secret ?? '')), publicSide(pubkey ?? ''))).toThrow();
  });
  test.each(vectors.invalid_decrypt as Record<string, string>[])('refused: $note', (vector) => {
    const { conversation_key = '', payload = '' } = vector;
    expect(decrypt(payload, bytes(conversation_key))).toBeUndefined();
  });
});

describe('beside the reference implementation', () => {
  const random = seeded(44);
  const draw = (count: number): Buffer => Buffer.from(Array.from({ length: count }, () => random() * 256));
  const sizes = [1, 31, 32, 33, 255, 256, 257, 65_534, 65_535, 65_536, 65_537, 200_000];
  for (let i = 0; i < 60; i++) sizes.push(1 + Math.floor(random() ** 3 * 40_000));

  test('the same bytes for every size, and each reads the other', () => {
    for (const size of sizes) {
      const [one, two] = [draw(32), draw(32)];
      const [mine, theirs] = [getPublicKey(one), getPublicKey(two)];
      const key = conversationKey(secretSide(one), publicSide(theirs));
      expect(key).toEqual(conversationKey(secretSide(two), publicSide(mine)));
      expect(key).toEqual(Buffer.from(nip44.getConversationKey(one, theirs)));
      const text = draw(size).toString('latin1').slice(0, size);
      const nonce = draw(32);
      const payload = encrypt(text, key, nonce);
      expect(payload === nip44.encrypt(text, key, nonce), `${size} bytes`).toBe(true);
      expect(decrypt(payload, key, Infinity) === text).toBe(true);
    }
  });

  test('one bit changed anywhere is noticed', () => {
    const key = draw(32);
    const payload = Buffer.from(encrypt('one bit changed anywhere', key, draw(32)), 'base64');
    for (let at = 0; at < payload.length; at++) {
      const changed = Buffer.from(payload);
      changed.writeUInt8(changed.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
      expect(decrypt(changed.toString('base64'), key), `byte ${at}`).toBeUndefined();
    }
    for (let length = 0; length < payload.length; length++) {
      expect(decrypt(payload.subarray(0, length).toString('base64'), key)).toBeUndefined();
    }
  });

  test('base64 in another spelling is another text', () => {
    const key = draw(32);
    const payload = encrypt('spelling', key, draw(32));
    for (const other of [` ${payload}`, `${payload}\n`, payload.replaceAll('/', '_'), `${payload}=`]) {
      if (other !== payload) expect(decrypt(other, key)).toBeUndefined();
    }
  });

  test('an empty text and one beyond the limit are not encrypted, a long payload is not even read', () => {
    const key = draw(32);
    expect(() => encrypt('', key, draw(32))).toThrow(RangeError);
    expect(() => encrypt('a'.repeat(1024 * 1024 + 1), key, draw(32))).toThrow(RangeError);
    const payload = encrypt('a'.repeat(1_000), key, draw(32));
    expect(decrypt(payload, key, payload.length)).toBeDefined();
    expect(decrypt(payload, key, payload.length - 1)).toBeUndefined();
  });
});
