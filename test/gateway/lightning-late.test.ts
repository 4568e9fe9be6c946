/** Payments whose request arrives at the mint long after its answer was given up, and after a later one was refused. */
import { expect, test } from 'vitest';
import type { AccountId } from '../../src/base/id.ts';
import { outcome } from './kit.ts';
import { type Crash, type LightningTill, expectAllBooked, newLightningTill } from './lightning-kit.ts';

const MELT = { path: '/v1/melt/bolt11' };
const SWAP = { path: '/v1/swap' };
const paidMelts = (kit: LightningTill): number =>
  kit.mint.meltQuotes().filter(({ state }) => state === 'PAID').length;
const over = (kit: LightningTill): Promise<void> => kit.until('over', () => kit.operations().length === 0);

/** A refund of 100 sat whose first request is held up somewhere, and whose second one is refused. */
function lateRefund(kit: LightningTill, account: AccountId): Promise<unknown> {
  kit.mint.failNext('land-late', MELT);
  kit.mint.meltNext('failed');
  return outcome(kit.refund(account, 100));
}

test.each([0, 1_000])('what was given back is not spent by it, with a fee of %i ppk', async (feePpk) => {
  const kit = await newLightningTill({ feePpk });
  const account = await kit.account(1_000);
  const before = kit.available(account);
  let answer: unknown;
  void lateRefund(kit, account).then((value) => (answer = value));
  await kit.until('answered', () => answer !== undefined);
  await over(kit);
  expect(['payment_failed', 'refund_pending']).toContain(answer);
  kit.mint.landLate();
  await kit.settle();
  expect(paidMelts(kit)).toBe(0);
  const fee = before - kit.available(account);
  expect(fee > 0).toBe(feePpk > 0);
  expect(fee).toBeLessThan(10_000);
  expectAllBooked(kit);
  // The same money can be spent now, and only once.
  await kit.refund(account, 100);
  expect(paidMelts(kit)).toBe(1);
  expectAllBooked(kit);
});

test('it pays when it arrives before the inputs are swapped away', async () => {
  const kit = await newLightningTill();
  const account = await kit.account(1_000);
  kit.mint.failNext('drop-before', { ...SWAP, times: 2 });
  void lateRefund(kit, account);
  await kit.until('taken back', () => (kit.mint.stats.requests['/v1/swap'] ?? 0) >= 3);
  kit.mint.landLate();
  await over(kit);
  expect(paidMelts(kit)).toBe(1);
  expect(kit.available(account)).toBe(900_000);
  expectAllBooked(kit);
});

test('it pays when it arrives while the swap is under way', async () => {
  const kit = await newLightningTill();
  const account = await kit.account(1_000);
  kit.mint.slow(4_000, '/v1/swap');
  void lateRefund(kit, account);
  await kit.until('taken back', () => (kit.mint.stats.requests['/v1/swap'] ?? 0) >= 2);
  kit.mint.landLate();
  kit.mint.slow(0);
  await over(kit);
  expect(paidMelts(kit)).toBe(1);
  expect(kit.available(account)).toBe(900_000);
  expectAllBooked(kit);
});

test('after the mint only asked for patience a refusal is final at once', async () => {
  const kit = await newLightningTill();
  const account = await kit.account(1_000);
  kit.mint.failNext('rate-limit', MELT);
  kit.mint.meltNext('failed');
  const { swaps } = kit.mint.stats;
  void outcome(kit.refund(account, 100));
  await kit.until('begun', () => kit.operations().length === 1);
  await over(kit);
  expect(kit.mint.stats.swaps).toBe(swaps);
  expect(kit.available(account)).toBe(1_000_000);
  expectAllBooked(kit);
});

test('the inputs are swapped to a new keyset when the old one is retired meanwhile', async () => {
  const kit = await newLightningTill();
  const account = await kit.account(1_000);
  kit.mint.failNext('drop-before', SWAP);
  void lateRefund(kit, account);
  await kit.until('taken back', () => (kit.mint.stats.requests['/v1/swap'] ?? 0) >= 2);
  kit.mint.rotate();
  await over(kit);
  kit.mint.landLate();
  expect(paidMelts(kit)).toBe(0);
  expect(kit.available(account)).toBe(1_000_000);
  expectAllBooked(kit);
});

test('the mint fee of an operator whose payout failed late is booked as such', async () => {
  const kit = await newLightningTill({ feePpk: 1_000 });
  const account = await kit.account(1_000);
  await kit.earn(account, 300);
  kit.mint.failNext('land-late', MELT);
  kit.mint.meltNext('failed');
  const order = { account: 'operator' as AccountId, purpose: 'withdraw', asked: 200 } as const;
  void outcome(kit.till.melts.pay({ ...order, recipient: kit.address.address }));
  await kit.until('begun', () => kit.operations().length === 1);
  await over(kit);
  kit.mint.landLate();
  const { equity } = kit.till.ledger.totals();
  expect(equity['payouts']).toBe(0);
  expect(equity['mint_fees']).toBeLessThan(0);
  expect(kit.till.ledger.earned()).toBe(300_000 + (equity['mint_fees'] ?? 0));
  expectAllBooked(kit);
});

const deaths: Crash[] = (['planReclaim', 'completeReclaim'] as const).flatMap((verb) =>
  (['before', 'after'] as const).map((when) => ({ verb, when })),
);
test.each(deaths)('it is decided once when the process dies $when $verb', async (crash) => {
  const kit = await newLightningTill();
  const account = await kit.account(1_000);
  kit.dieAt(crash);
  // The node that comes after it tries the payment once more, too.
  kit.mint.meltNext('failed');
  void lateRefund(kit, account);
  await kit.until('it died', kit.crashed);
  await kit.settle(2_000);
  await kit.restart();
  await over(kit);
  kit.mint.landLate();
  await kit.settle(2_000);
  expect(paidMelts(kit)).toBe(0);
  expect(kit.available(account)).toBe(1_000_000);
  expectAllBooked(kit);
});
