import { Mint, Wallet as StockWallet, sumProofs } from '@cashu/cashu-ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { createWallet } from '../../src/wallet/cashu.ts';
import { createWorlds, proofsOf, SEED, total, type World } from './harness.ts';

/** Tests that watch counters, rotations or fees have a mint of their own. */
const MINTS = {
  shared: {},
  version0: { keysetVersion: 0 as const },
  version1: { keysetVersion: 1 as const },
  fee100: { feePpk: 100 },
  fee1000: { feePpk: 1000 },
  fee1001: { feePpk: 1001 },
  msat: { unit: 'msat' as const },
  rotating: {},
  looked: {},
  counted: {},
};
let worlds: Record<keyof typeof MINTS, World>;
beforeAll(async () => {
  worlds = await createWorlds(MINTS);
});
afterAll(() => worlds.shared[Symbol.asyncDispose]());

test('a token becomes proofs of our own, and a stock wallet can redeem the token made of them', async () => {
  const world = worlds.shared;
  const { wallet, mint } = world;
  const info = wallet.inspect(await mint.issue(100));
  expect(info).toMatchObject({ mint: mint.url, unit: 'sat', face: 100_000 });
  const plan = await wallet.planReceive(info);
  expect(plan).toMatchObject({ keyset: mint.keyset(), fee: 0, net: 100 });

  const proofs = await world.receive(await mint.issue(100));
  expect(total(proofs)).toBe(100);
  expect(await wallet.checkStates(mint.url, 'sat', proofs)).toEqual(proofs.map(() => 'UNSPENT'));

  wallet.prepare(mint.url, 'sat', proofs);
  const token = await wallet.encodeToken(mint.url, 'sat', proofs);
  expect(token).toMatch(/^cashuB/);
  expect(await wallet.encodeToken(mint.url, 'sat', [...proofs].reverse())).toBe(token);
  const stock = new StockWallet(new Mint(mint.url), { unit: 'sat' });
  await stock.loadMint();
  expect(sumProofs(await stock.receive(token)).toNumber()).toBe(100);
  expect(await wallet.checkStates(mint.url, 'sat', proofs)).toEqual(proofs.map(() => 'SPENT'));
});

test.each([0, 1] as const)(
  'outputs follow from the seed as NUT-13 says: a stock wallet restores them (keyset ids of version %i)',
  async (keysetVersion) => {
    const world = worlds[`version${keysetVersion}`];
    const proofs = await world.receive(await world.mint.issue(21));
    const stock = new StockWallet(new Mint(world.mint.url), { unit: 'sat', bip39seed: SEED });
    await stock.loadMint();
    const restored = await stock.restore(0, 30);
    expect(sumProofs(restored.proofs).toNumber()).toBe(21);
    const token = await world.wallet.encodeToken(world.mint.url, 'sat', proofs);
    const buyer = new StockWallet(new Mint(world.mint.url), { unit: 'sat' });
    await buyer.loadMint();
    expect(sumProofs(await buyer.receive(token)).toNumber()).toBe(21);
  },
);

test.each([
  { feePpk: 100, amounts: [1, 2, 4, 8], fee: 1, net: 14 },
  { feePpk: 1000, amounts: [1, 2, 4, 8], fee: 4, net: 11 },
])('the presenter pays the input fee: $feePpk ppk', async ({ feePpk, amounts, fee, net }) => {
  const world = feePpk === 100 ? worlds.fee100 : worlds.fee1000;
  const info = world.wallet.inspect(await world.mint.issue(15, { amounts }));
  expect(await world.wallet.planReceive(info)).toMatchObject({ fee, net });
  expect(total(await world.receive(await world.mint.issue(15, { amounts })))).toBe(net);
});

test('a token that the fee would eat is refused before the mint hears of it', async () => {
  const world = worlds.fee1000;
  const swaps = world.mint.stats.requests['/v1/swap'];
  const info = world.wallet.inspect(await world.mint.issue(1));
  await expect(world.wallet.planReceive(info)).rejects.toMatchObject({
    code: 'cashu_token_swap_fees_exceed_amount',
  });
  expect(world.mint.stats.requests['/v1/swap']).toBe(swaps);
});

test('a fee above the bound is not passed on to presenters', async () => {
  const world = worlds.fee1001;
  const info = world.wallet.inspect(await world.mint.issue(100));
  await expect(world.wallet.planReceive(info)).rejects.toMatchObject({ code: 'unsupported_keyset' });
});

test('a mint in msat is one to one', async () => {
  const world = worlds.msat;
  const info = world.wallet.inspect(await world.mint.issue(12_345));
  expect(info).toMatchObject({ unit: 'msat', face: 12_345 });
  expect(total(await world.receive(await world.mint.issue(12_345)))).toBe(12_345);
});

test('proofs of an inactive keyset are good; outputs are on the active one', async () => {
  const world = worlds.rotating;
  const token = await world.mint.issue(10);
  const old = world.mint.keyset();
  world.mint.rotate();
  world.clock.advance(60_000);
  const request = await world.request(token);
  expect(request.plan.keyset).toBe(old); // The rotation is not known yet; the mint will say so.
  expect(await world.wallet.swap(request)).toEqual({ outcome: 'replan', code: 12002 });
  const again = await world.request(token);
  expect(again.plan.keyset).toBe(world.mint.keyset());
  expect(total(proofsOf(await world.wallet.swap({ ...again, oldPlans: [request.plan] })))).toBe(10);
});

test('keysets are looked for again when a token names an unknown one, but not at every token', async () => {
  const world = worlds.looked;
  const loads = () => world.mint.stats.requests['/v1/keysets'] ?? 0;
  world.clock.advance(30_000);
  world.mint.rotate();
  expect(total(await world.receive(await world.mint.issue(4)))).toBe(4);
  expect(loads()).toBe(2);
  world.mint.rotate();
  const token = await world.mint.issue(4);
  await expect(world.request(token)).rejects.toMatchObject({ code: 'unknown_keyset' });
  expect(loads()).toBe(2);
  world.clock.advance(30_000);
  expect(total(await world.receive(token))).toBe(4);
  expect(loads()).toBe(3);
});

test('our own proofs are swapped as well: exact coins for a refund', async () => {
  const world = worlds.fee100;
  const { wallet, mint } = world;
  const proofs = await world.receive(await mint.issue(101));
  const { keyset, feePpk } = await wallet.activeKeyset(mint.url, 'sat');
  const fee = Math.ceil(proofs.reduce((sum, proof) => sum + feePpk(proof.keyset), 0) / 1000);
  const plan = world.plan(keyset, wallet.split(total(proofs) - fee));
  const request = { mint: mint.url, unit: 'sat', inputs: proofs, plan, firstAttempt: true } as const;
  const fresh = proofsOf(await wallet.swap(request));
  expect(total(fresh)).toBe(100 - fee);
  expect(await wallet.checkStates(mint.url, 'sat', [...proofs, ...fresh])).toEqual([
    ...proofs.map(() => 'SPENT'),
    ...fresh.map(() => 'UNSPENT'),
  ]);
});

test('the same request has the same bytes, whether blinded ahead or anew in another process', async () => {
  const world = worlds.counted;
  await world.receive(await world.mint.issue(1));
  const request = await world.request(await world.mint.issue(1000));
  expect(request.plan.counter).toBe(1); // The stock was made from here on.
  const first = await world.wallet.swap(request);
  expect(first.outcome).toBe('signed');

  // The mint restores by B_: only an equal request finds the signatures of the first one.
  const afterRestart = createWallet({
    mints: [{ url: world.mint.url, unit: 'sat', allowPrivate: true }],
    seed: SEED,
    clock: world.clock,
    log: silentLogger,
  });
  expect(await afterRestart.swap({ ...request, firstAttempt: false })).toEqual(first);
  await afterRestart.close();
  expect(world.mint.stats.swaps).toBe(2);
});
