import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock } from '../../src/base/time.ts';
import { discover } from '../../src/client/discover.ts';
import { createBuyer, tellStory } from '../../src/demo/buyer.ts';
import { type TestWorld, MODEL, testWorld, until } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld();
});
afterAll(() => world.close());

const find = (more: { model?: string; allowPrivate?: boolean } = {}) =>
  discover({
    relays: world.config.relayList,
    clock: systemClock,
    log: silentLogger,
    allowPrivate: true,
    ...more,
  });

test('a buyer finds the node on a relay, pays three ways at the discovered URL, and the books balance', async () => {
  await until('the announcement is on the relay', () =>
    world.relay.events().some(({ kind }) => kind === 38421),
  );
  const [provider] = await find({ model: MODEL });
  expect(provider).toMatchObject({ npub: world.node.npub, bound: true, urls: [world.url] });
  expect(provider?.models.find(({ id }) => id === MODEL)).toMatchObject({ ctx: 128_000, maxOut: 4_096 });

  const buyer = await createBuyer({ mintUrl: provider?.mints[0]?.url ?? '' });
  const { paid } = await tellStory({
    url: provider?.urls[0] ?? '',
    model: MODEL,
    buyer,
    onStep: () => undefined,
  });
  expect(paid.map(({ how }) => how)).toEqual(['bearer-cashu', 'sk-key', 'x-cashu']);
  for (const step of paid.slice(0, 2)) {
    expect(step.cost_msats).toBeGreaterThan(0);
    expect(step.balance_before_msats - step.balance_after_msats).toBe(step.cost_msats);
  }
  expect(paid[2]?.change_sats).toBe(100 - Math.ceil((paid[2]?.cost_msats ?? 0) / 1000));
  expect(world.node.totals().drift).toBe(0);
});

test('the price in the announcement is the price that is charged', async () => {
  const [provider] = await find();
  const announced = provider?.models.find(({ id }) => id === MODEL);
  const { json } = await world.get('/v1/models');
  const listed = (json.data as { id: string; sats_pricing: { prompt: number; completion: number } }[]).find(
    ({ id }) => id === MODEL,
  );
  expect(Math.round((listed?.sats_pricing.prompt ?? 0) * 1e9)).toBe(announced?.in);
  expect(Math.round((listed?.sats_pricing.completion ?? 0) * 1e9)).toBe(announced?.out);
});

test('a private address counts as unproven unless it may be contacted', async () => {
  expect(await find()).toMatchObject([{ npub: world.node.npub, bound: true }]);
  const found = await find({ allowPrivate: false });
  expect(found).toMatchObject([{ npub: world.node.npub, bound: false }]);
});

test('a node that stops withdraws its announcement', async () => {
  await world.node.stop();
  expect(await find()).toEqual([]);
  const newest = world.relay
    .events()
    .filter(({ kind }) => kind === 38421)
    .sort((a, b) => b.created_at - a.created_at)[0];
  expect(newest?.tags).toContainEqual(['status', 'offline']);
});
