import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAnnouncement } from '../../src/protocol/announcement.ts';
import { pubkeyOf } from '../../src/relay/key.ts';
import { type TestWorld, testWorld, until } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld({ settings: { public_urls: [] } });
});
afterAll(() => world.close());

test('a node without any public address is announced by the relays on which it reads messages', async () => {
  const { url } = world.relay;
  await until('the announcement and the message relays are there', () =>
    [38_421, 10_050].every((kind) => world.relay.events().some((event) => event.kind === kind)),
  );
  const event = world.relay.events().find(({ kind }) => kind === 38_421);
  expect(event && parseAnnouncement(event)).toMatchObject({
    urls: [],
    relays: [{ url, use: 'rpc' }],
    rpc: ['dmi/1', 'nip59', '21059', '1059'],
    pmi: ['bitcoin-cashu', 'bitcoin-lightning-bolt11'],
  });
  const list = world.relay.events().find(({ kind }) => kind === 10_050);
  expect(list?.tags).toEqual([['relay', url]]);
});

test('its key is confirmed by its own address, and its page says how to reach it', async () => {
  const pubkey = pubkeyOf(world.node.npub) ?? '';
  const names = await world.get('/.well-known/nostr.json?name=_');
  expect(names.status).toBe(200);
  expect(names.json).toEqual({ names: { _: pubkey }, relays: { [pubkey]: [world.relay.url] } });
  expect(names.headers.get('access-control-allow-origin')).toBe('*');
  const { json } = await world.get('/v1/info');
  expect(json.dm).toEqual({ relays: [world.relay.url], protocol: 'dmi/1' });
});
