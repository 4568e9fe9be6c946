import { describe, expect, test } from 'vitest';
import { buildProfile, nip05Of } from '../../src/protocol/identity.ts';
import { announcement } from '../nostr/kit.ts';

test('the profile is marked as a bot and names the web address that answers for its key', () => {
  const urls = ['http://abcdef.onion', 'https://ai.example.com'];
  const { content } = buildProfile(announcement({ urls, picture: 'https://ai.example.com/me.png' }), {
    createdAt: 0,
  });
  expect(JSON.parse(content)).toEqual({
    name: 'My node',
    about: 'Fast inference, paid in sats',
    picture: 'https://ai.example.com/me.png',
    website: 'http://abcdef.onion',
    nip05: '_@ai.example.com',
    bot: true,
  });
});

describe('a NIP-05 name', () => {
  test.each([
    ['https://ai.example.com', '_@ai.example.com'],
    ['https://ai.example.com/', '_@ai.example.com'],
    ['https://ai.example.com:8443', undefined],
    ['https://example.com/node', undefined],
    ['http://ai.example.com', undefined],
    ['https://abcdef.onion', undefined],
    ['not an address', undefined],
  ])('of %s is %s', (url, name) => {
    expect(nip05Of(url)).toBe(name);
  });
});
