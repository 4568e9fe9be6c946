import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MintFault } from '../../src/demo/mint.ts';
import type { SwapRequest } from '../../src/wallet/wallet.ts';
import { createWorlds, proofsOf, total, until, type World } from './harness.ts';

/** Quarantine lasts, so whatever leads to it has a mint of its own. */
const MINTS = {
  shared: {},
  vague: { vagueCodes: true },
  'wrong-amounts': {},
  'wrong-count': {},
  'wrong-keyset': {},
  lyingRestore: {},
};
let worlds: Record<keyof typeof MINTS, World>;
let shared: World;
beforeAll(async () => {
  worlds = await createWorlds(MINTS);
  shared = worlds.shared;
});
afterAll(() => shared[Symbol.asyncDispose]());

/** What the gateway does after "unresolved": the same request again, no longer as the first attempt. */
const again = (request: SwapRequest): SwapRequest => ({ ...request, firstAttempt: false });

test.each<{ kind: MintFault; swaps: number }>([
  { kind: 'drop-before', swaps: 0 },
  { kind: 'hang', swaps: 0 },
  { kind: 'status-500', swaps: 0 },
  { kind: 'html-502', swaps: 0 },
  { kind: 'redirect', swaps: 0 },
  { kind: 'huge-body', swaps: 0 },
  { kind: 'drop-after', swaps: 1 },
  { kind: 'hang-after', swaps: 1 },
  { kind: 'bad-json', swaps: 1 },
])('$kind: not known at first, and signed exactly once by the same request', async ({ kind, swaps }) => {
  const { mint, wallet, clock } = shared;
  const { swaps: before, outstanding } = mint.stats;
  const asked = mint.stats.requests['/v1/swap'] ?? 0;
  const request = await shared.request(await mint.issue(12));
  mint.failNext(kind, { path: '/v1/swap' });
  const unresolved = wallet.swap(request);
  await until(() => (mint.stats.requests['/v1/swap'] ?? 0) > asked && mint.stats.swaps === before + swaps);
  if (kind.startsWith('hang')) clock.advance(10_000);
  expect(await unresolved).toEqual({ outcome: 'unresolved' });

  const proofs = proofsOf(await wallet.swap(again(request)));
  expect(total(proofs)).toBe(12);
  expect(proofsOf(await wallet.swap(again(request)))).toEqual(proofs);
  expect(mint.stats.swaps).toBe(before + 1);
  expect(mint.stats.outstanding).toBe(outstanding + 12);
});

test('an answer lost, then the look at the inputs lost, then the restore lost: still signed once', async () => {
  const world = shared;
  const { mint, wallet } = world;
  const before = mint.stats.swaps;
  const request = await world.request(await mint.issue(9));
  mint.failNext('drop-after', { path: '/v1/swap' });
  mint.failNext('drop-after', { path: '/v1/checkstate' });
  mint.failNext('drop-after', { path: '/v1/restore' });
  expect((await wallet.swap(request)).outcome).toBe('unresolved');
  expect((await wallet.swap(again(request))).outcome).toBe('unresolved');
  expect((await wallet.swap(again(request))).outcome).toBe('unresolved');
  world.clock.advance(15_000);
  expect(total(proofsOf(await wallet.swap(again(request))))).toBe(9);
  expect(mint.stats.swaps).toBe(before + 1);
});

test('a token that somebody else spent is spent, at the first attempt and at any later one', async () => {
  const world = shared;
  const token = await world.mint.issue(16);
  const thief = await world.request(token);
  const request = await world.request(token);
  expect((await world.wallet.swap(thief)).outcome).toBe('signed');
  expect(await world.wallet.swap(request)).toEqual({ outcome: 'spent' });
  expect(await world.wallet.swap(again(request))).toEqual({ outcome: 'spent' });
});

test('an old plan that landed late is found, although the new plan was never signed', async () => {
  const world = shared;
  const { mint, wallet } = world;
  const token = await mint.issue(30);
  const old = await world.request(token);
  mint.failNext('drop-after', { path: '/v1/swap' });
  expect((await wallet.swap(old)).outcome).toBe('unresolved');
  const fresh = await world.request(token);
  const outcome = await wallet.swap({ ...fresh, oldPlans: [old.plan] });
  expect(outcome).toMatchObject({ outcome: 'signed', plan: old.plan });
  expect(total(proofsOf(outcome))).toBe(30);
});

test('pending inputs are waited for', async () => {
  const world = shared;
  const { mint, wallet } = world;
  const request = await world.request(await mint.issue(8));
  const pending = await yOf(request);
  mint.setPending(pending, true);
  expect(await wallet.swap(request)).toEqual({ outcome: 'unresolved' });
  mint.setPending(pending, false);
  expect((await wallet.swap(again(request))).outcome).toBe('signed');
});

test('a proof that the mint did not sign is refused, and what it was worth stays with its presenter', async () => {
  const world = shared;
  const request = await world.request(await world.mint.issue(8));
  const [input] = request.inputs;
  const forged = { ...request, inputs: [{ ...input, secret: 'another secret' }] } as SwapRequest;
  expect(await world.wallet.swap(forged)).toEqual({ outcome: 'refused', code: 10001 });
  expect(await world.wallet.swap(again(forged))).toEqual({ outcome: 'refused', code: 10001 });
  expect((await world.wallet.swap(request)).outcome).toBe('signed');
});

test('a fee that rose between plan and request asks for a new plan', async () => {
  const world = shared;
  const request = await world.request(await world.mint.issue(8));
  const [, ...fewer] = request.plan.amounts;
  const wrong = { ...request, plan: { ...request.plan, amounts: fewer } };
  expect(await world.wallet.swap(wrong)).toEqual({ outcome: 'replan', code: 11005 });
});

test('a mint that only says "something is wrong" is understood by its keysets', async () => {
  const world = worlds.vague;
  const { mint, wallet } = world;
  const request = await world.request(await mint.issue(8));
  const [input] = request.inputs;
  const forged = { ...request, inputs: [{ ...input, amount: 3 }, ...request.inputs.slice(1)] } as SwapRequest;
  expect((await wallet.swap(forged)).outcome).toBe('replan'); // The sums do not fit.
  const three = { ...forged, plan: { ...request.plan, amounts: [1, 2] } };
  expect(await wallet.swap(three)).toEqual({ outcome: 'refused', code: 11000, vague: true });

  mint.rotate({ feePpk: 100 });
  expect(await wallet.swap(request)).toEqual({ outcome: 'replan', code: 11000 });
  const info = wallet.inspect(await mint.issue(8));
  expect(await wallet.planReceive(info)).toMatchObject({ keyset: mint.keyset(), fee: 1 });
});

test('refusals without a known code are believed after ten of them, not at once', async () => {
  const world = shared;
  const request = await world.request(await world.mint.issue(8));
  const [input] = request.inputs;
  // A body that this mint cannot read: it answers 400 with code 0.
  const odd = { ...request, inputs: [{ ...input, id: 7 }] } as unknown as SwapRequest;
  for (let i = 0; i < 9; i++)
    expect(await world.wallet.swap(odd)).toEqual({ outcome: 'unresolved', unsent: true });
  expect(await world.wallet.swap(odd)).toEqual({ outcome: 'refused', code: 0, vague: true });
  expect((await world.wallet.swap(request)).outcome).toBe('signed');
});

test('counters that were used before ask for a new plan, never for a credit', async () => {
  const world = shared;
  const first = await world.request(await world.mint.issue(8));
  expect((await world.wallet.swap(first)).outcome).toBe('signed');
  const request = await world.request(await world.mint.issue(8));
  const reused = { ...request, plan: first.plan };
  expect(await world.wallet.swap(reused)).toEqual({ outcome: 'replan', code: 11003 });
});

test.each(['wrong-amounts', 'wrong-count', 'wrong-keyset'] as const)(
  '%s: nothing is credited and the mint is quarantined',
  async (kind) => {
    const world = worlds[kind];
    const { mint, wallet } = world;
    const request = await world.request(await mint.issue(20));
    const next = wallet.inspect(await mint.issue(1));
    mint.failNext(kind, { path: '/v1/swap' });
    expect((await wallet.swap(request)).outcome).toBe('contradiction');
    expect(world.status()).toMatchObject({ quarantined: true });
    expect(world.log).toContainEqual({
      level: 'error',
      event: 'wallet.mint.quarantined',
      fields: { mint: new URL(mint.url).host, why: expect.any(String) as string },
    });
    await expect(wallet.planReceive(next)).rejects.toMatchObject({ code: 'mint_quarantined' });
  },
);

test('a restore that lies is a contradiction too', async () => {
  const world = worlds.lyingRestore;
  const request = await world.request(await world.mint.issue(20));
  world.mint.failNext('drop-after', { path: '/v1/swap' });
  world.mint.failNext('wrong-amounts', { path: '/v1/restore' });
  expect((await world.wallet.swap(request)).outcome).toBe('unresolved');
  expect((await world.wallet.swap(again(request))).outcome).toBe('contradiction');
});

test('a mint that is down is not asked again and again, and is found when it comes back', async () => {
  const world = shared;
  const { mint, wallet, clock } = world;
  const request = await world.request(await mint.issue(4));
  mint.failNext('html-502', { times: 3 });
  for (let i = 0; i < 3; i++) expect(await wallet.swap(again(request))).toEqual({ outcome: 'unresolved' });
  const asked = mint.stats.requests['/v1/swap'];
  const refused = await wallet.swap(again(request));
  expect(refused).toMatchObject({ outcome: 'unresolved' });
  expect((refused as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(0);
  expect(mint.stats.requests['/v1/swap']).toBe(asked);
  expect(world.status()).toMatchObject({ reachable: false });
  clock.advance(15_000);
  expect((await wallet.swap(again(request))).outcome).toBe('signed');
  expect(world.status()).toMatchObject({ reachable: true });
});

test('a mint that asks for a pause gets it', async () => {
  const world = shared;
  const { mint, wallet, clock } = world;
  const request = await world.request(await mint.issue(4));
  mint.failNext('rate-limit', { path: '/v1/swap' });
  const asked = mint.stats.requests['/v1/swap'] ?? 0;
  expect(await wallet.swap(request)).toEqual({ outcome: 'unresolved', retryAfterMs: 7_000, unsent: true });
  expect(await wallet.swap(request)).toMatchObject({ outcome: 'unresolved' });
  expect(mint.stats.requests['/v1/swap']).toBe(asked + 1);
  clock.advance(7_000);
  expect((await wallet.swap(request)).outcome).toBe('signed');
});

async function yOf(request: SwapRequest): Promise<string> {
  const { hashToCurve } = await import('@cashu/cashu-ts');
  const [input] = request.inputs;
  const secret = input !== undefined && 'secret' in input ? input.secret : '';
  return hashToCurve(new TextEncoder().encode(secret)).toHex(true);
}
