import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { parseRelays } from '../../src/relay/config.ts';

test('the relays.json of the repository is valid and reaches the relays old clients read', () => {
  const file = resolve(import.meta.dirname, '../../relays.json');
  const relays = parseRelays(JSON.parse(readFileSync(file, 'utf8')));
  const announce = relays.filter(({ roles }) => roles.includes('announce')).map(({ url }) => url);
  expect(announce).toEqual([
    'wss://relay.routstr.com',
    'wss://nos.lol',
    'wss://relay.damus.io',
    'wss://relay.primal.net',
  ]);
});

test('a bare address announces and discovers; every field of an entry is kept', () => {
  const full = {
    url: 'wss://my-own.example/path',
    roles: ['announce', 'dm', 'rpc'],
    perMinute: 60,
    burst: 10,
    auth: true,
    maxEventBytes: 131_072,
  };
  expect(parseRelays(['ws://127.0.0.1:7000/', full])).toEqual([
    { url: 'ws://127.0.0.1:7000', roles: ['announce', 'discover'] },
    full,
  ]);
});

describe('refused, with the entry named', () => {
  const good = { url: 'wss://a.example', roles: ['announce'] };
  test.each([
    ['not a list', {}, /must be a list/],
    ['http', ['https://a.example'], /entry 1 \(https:\/\/a\.example\).*ws:\/\//],
    [
      'unknown role',
      [good, { url: 'wss://b.example', roles: ['gossip'] }],
      /entry 2 \(wss:\/\/b\.example\): roles/,
    ],
    ['no role', [{ ...good, roles: [] }], /entry 1 .*roles/],
    ['unknown field', [{ ...good, burts: 3 }], /entry 1 .*burts/],
    ['twice', [good, 'wss://a.example/'], /entry 2 \(wss:\/\/a\.example\/\): url: is listed twice/],
    ['credentials', ['wss://me:pw@a.example'], /without user and password/],
    ['a number', [7], /entry 1 \(without url\)/],
    ['negative rate', [{ ...good, perMinute: -1 }], /perMinute/],
    [
      'too many',
      Array.from({ length: LIMITS.relay.relaysMax + 1 }, (_, n) => `wss://r${n}.example`),
      /at most 20/,
    ],
  ])('%s', (_name, json, message) => {
    expect(() => parseRelays(json)).toThrow(message);
  });

  test.each([
    'wss://me:hunter2@a.example',
    'wss://hunter2@a.example/path',
    'wss://me:hunter2/@a.example',
    'wss://me:x@hunter2@a.example',
    'wss://me:hunter2?x#y@a.example',
    'me:hunter2@a.example',
    'https://a.example/?key=hunter2',
    'https://a.example#hunter2',
  ])('%s is named without what may be a secret', (url) => {
    for (const json of [[url], [{ url, roles: ['announce'] }]]) {
      const message = (() => {
        try {
          return JSON.stringify(parseRelays(json));
        } catch (error) {
          return (error as Error).message;
        }
      })();
      expect(message).toMatch(/entry 1 \(.*a\.example/);
      expect(message).not.toMatch(/hunter2|\bme\b/);
    }
  });
});
