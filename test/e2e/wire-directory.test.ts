import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import type { Announcement } from '../../src/protocol/announcement.ts';
import { buildAnnouncement } from '../../src/protocol/announcement-build.ts';
import { announcement, newKey } from '../nostr/kit.ts';
import { type TestWorld, MODEL, testWorld } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld();
});
afterAll(() => world.close());

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const announce = (key = newKey(), changes: Partial<Announcement> = {}) =>
  key.sign(buildAnnouncement(announcement(changes), { createdAt: unixSeconds(systemClock), sha256Hex }));

test('GET /v1/providers/ lists what is signed, fresh and public, in the shape of Routstr clients', async () => {
  const key = newKey();
  const genuine = announce(key, { urls: ['https://other.example.com', 'http://abcdefghij.onion'] });
  world.relay.plant(genuine);
  world.relay.plant(announce(newKey(), { urls: ['http://192.168.1.1:8000'] }));
  const victim = announce(newKey(), { name: 'forged' });
  world.relay.plant({ ...victim, content: victim.content.replace('forged', 'Forged') });

  const { status, json } = await world.get('/v1/providers/');
  expect(status).toBe(200);
  expect(json).toEqual({
    providers: [
      {
        id: 'node-1',
        pubkey: key.pubkey,
        created_at: genuine.created_at,
        kind: 38421,
        endpoint_url: 'https://other.example.com',
        endpoint_urls: ['https://other.example.com', 'http://abcdefghij.onion'],
        onion_url: 'http://abcdefghij.onion',
        onion_urls: ['http://abcdefghij.onion'],
        name: 'My node',
        description: 'Fast inference, paid in sats',
        mint_urls: ['https://mint.example.com'],
        version: '1.0.0',
        content: genuine.content,
      },
    ],
  });
  expect((await world.get('/providers')).json).toEqual(json);
  expect((await world.get(`/v1/providers/?pubkey=${newKey().pubkey}`)).json).toEqual({ providers: [] });
  const detailed = await world.get(`/v1/providers/?include_json=true&pubkey=${key.pubkey}`);
  expect(detailed.json.providers).toMatchObject([
    { provider: { pubkey: key.pubkey }, health: { endpoint: 'error' } },
  ]);
  expect((await world.post('/v1/providers/', {})).status).toBe(405);
});

test('GET /v1/models/paths names this node as the path to each model', async () => {
  const { json } = await world.get('/v1/models/paths');
  const path = `url=${encodeURIComponent(world.url)}&provider-id=0&model-id=${encodeURIComponent(MODEL)}`;
  expect(json.data.find(({ id }: { id: string }) => id === MODEL)).toMatchObject({
    paths: [{ path, endpoint: null }],
  });
  expect(json.updated_at).toBeGreaterThan(0);
  const one = await world.get(`/v1/models/paths/model?model_id=${encodeURIComponent(MODEL)}`);
  expect(one.json.data).toMatchObject([{ path }]);
  expect((await world.get('/v1/models/paths/model?model_id=none')).status).toBe(404);
});
