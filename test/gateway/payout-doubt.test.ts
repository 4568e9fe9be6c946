/** Tokens whose swap lost its answer: no refusal afterwards proves anything, and a late landing takes nothing away. */
import { expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import type { AccountId } from '../../src/base/id.ts';
import type { SendOperation } from '../../src/ledger/ledger.ts';
import type { PaidOut } from '../../src/gateway/payout.ts';
import { outcome } from './kit.ts';
import { type LightningTill, newLightningTill } from './lightning-kit.ts';

/** An account whose mint has to be asked for the next token: the small coins are gone. */
async function inNeedOfChange(kit: LightningTill): Promise<{ account: AccountId; out: number }> {
  const account = await kit.account(64);
  const { payouts } = kit.till;
  let out = 0;
  const least = () => Math.min(...kit.till.ledger.proofs().map(({ proof }) => proof.amount));
  while (least() === 1) {
    await payouts.send({ account, purpose: 'refund', amount: 1 });
    out += 1;
  }
  return { account, out };
}
const sendOne = (kit: LightningTill, account: AccountId) =>
  outcome<PaidOut | undefined>(kit.till.payouts.send({ account, purpose: 'refund', amount: 1 }));
const open = (kit: LightningTill): SendOperation => {
  const [operation] = kit.operations();
  if (operation?.kind !== 'send') throw new Error('no token is being made');
  return operation;
};
const swaps = (kit: LightningTill): number => kit.mint.stats.requests['/v1/swap'] ?? 0;

/** Nothing open, and the mint owes what the pool holds and what was handed out. */
function expectBooked(kit: LightningTill, account: AccountId, out: number): void {
  expect(kit.operations()).toEqual([]);
  expect(kit.drift()).toBe(0);
  expect(kit.mint.stats.outstanding - kit.backing()).toBe(out);
  expect(kit.available(account)).toBe(kit.backing() * 1000);
}

test('a lost answer and many vague refusals give nothing back; the late landing is found', async () => {
  const kit = await newLightningTill();
  const { account, out } = await inNeedOfChange(kit);
  const before = kit.available(account);
  kit.mint.failNext('land-late', { path: '/v1/swap' });
  kit.mint.failNext('refuse', { path: '/v1/swap', times: 3 });
  const asked = swaps(kit);
  void sendOne(kit, account);
  await kit.until('refused', () => swaps(kit) > asked + 3);
  expect(open(kit).state).toBe('executing');
  expect(kit.available(account)).toBe(before - 1000);
  kit.mint.landLate();
  await kit.until('made', () => kit.operations().length === 0);
  const id = kit.till.ledger.account(account)?.lastRefund;
  const operation = id && kit.operation(id);
  expect(operation).toMatchObject({ kind: 'send', state: 'done', amount: 1, debit: 1000 });
  expect(await sendOne(kit, account)).toMatchObject({ amount: 1 });
  expectBooked(kit, account, out + 2);
});

test('a mint that never explains itself ends in an alarm, and an operator who tries again finds the money', async () => {
  const kit = await newLightningTill();
  const { account, out } = await inNeedOfChange(kit);
  kit.mint.failNext('land-late', { path: '/v1/swap' });
  kit.mint.failNext('refuse', { path: '/v1/swap', times: 1_000 });
  void sendOne(kit, account);
  await kit.until('blocked', async () => {
    await kit.clock.advance(LIMITS.mint.retryMaxMs);
    return open(kit).state === 'blocked';
  });
  expect(open(kit).reason).toBe('vague_refusals');
  expect(kit.log.some(({ event }) => event === 'gateway.payout.blocked')).toBe(true);
  expect(kit.drift()).toBe(0);
  // Whoever asks again is told so, and is not sent back to it for ever when something else can be paid.
  expect(await outcome(kit.till.payouts.again(open(kit).id))).toBe('mint_quarantined');
  expect(kit.till.payouts.promised(account, 1)).toBeUndefined();
  kit.mint.landLate();
  await kit.till.ledger.retryOperation(open(kit).id).durable;
  kit.till.payouts.resume(open(kit));
  await kit.until('made', () => kit.operations().length === 0);
  expectBooked(kit, account, out + 1);
});

test('the keyset ends between a lost attempt and the next: other outputs make the token, once', async () => {
  const kit = await newLightningTill({ vagueCodes: true });
  const { account, out } = await inNeedOfChange(kit);
  kit.mint.failNext('land-late', { path: '/v1/swap' });
  // The wallet does not know of it yet.
  const keyset = kit.mint.rotate().id;
  void sendOne(kit, account);
  await kit.until('made', () => kit.operations().length === 0);
  kit.mint.landLate();
  await kit.settle();
  const id = kit.till.ledger.account(account)?.lastRefund;
  expect(id && kit.operation(id)).toMatchObject({ state: 'done', amount: 1, token: [{ keyset }] });
  expectBooked(kit, account, out + 1);
});

test('refusals alone, each of them answered, give the money back', async () => {
  const kit = await newLightningTill();
  const { account, out } = await inNeedOfChange(kit);
  const before = kit.available(account);
  kit.mint.failNext('rate-limit', { path: '/v1/swap' });
  kit.mint.failNext('refuse', { path: '/v1/swap' });
  void sendOne(kit, account);
  await kit.until('begun', () => kit.operations().length === 1);
  await kit.until('over', () => kit.operations().length === 0);
  expect(kit.available(account)).toBe(before);
  expectBooked(kit, account, out);
});
