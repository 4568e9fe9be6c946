/** Expired accounts: their rest goes to the refund address, once, or stays with them. */
import { expect, onTestFinished, test } from 'vitest';
import { type AccountId, accountOfKey } from '../../src/base/id.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { msat } from '../../src/base/money.ts';
import { unixSeconds } from '../../src/base/time.ts';
import { refundExpired } from '../../src/gateway/expiry.ts';
import type { AccountTerms } from '../../src/ledger/ledger.ts';
import { recordingLogger } from '../wallet/harness.ts';
import { type Crash, type LightningTill, expectAllBooked, newLightningTill } from './lightning-kit.ts';

const paid = (kit: LightningTill): number[] =>
  kit.mint
    .meltQuotes()
    .filter(({ state }) => state === 'PAID')
    .map(({ amount }) => amount);

/** An account that expires in a minute. */
async function expiring(
  kit: LightningTill,
  sats: number,
  name: string,
  address?: string,
): Promise<AccountId> {
  const terms: AccountTerms = {
    validityDate: msat(unixSeconds(kit.clock) + 60),
    refundAddress: address ?? kit.address.address,
  };
  return kit.account(sats, name, terms);
}

function sweep(kit: LightningTill): void {
  const stop = new AbortController();
  const { ledger, melts } = kit.till;
  const parts = { ledger, melts, clock: kit.clock, log: recordingLogger(kit.log), signal: stop.signal };
  const sweeping = refundExpired(parts);
  onTestFinished(async () => {
    stop.abort();
    await sweeping;
  });
}

/** As many sweeps as this time holds, with the rows of the index on disk. */
async function pass(kit: LightningTill, ms = 4 * LIMITS.expiry.sweepMs): Promise<void> {
  for (let passed = 0; passed < ms; passed += LIMITS.expiry.sweepMs) {
    await kit.clock.advance(LIMITS.expiry.sweepMs);
    await kit.settle(3_000);
  }
}

test('the rest of an expired account goes to its address once; what the fees gave back stays', async () => {
  const kit = await newLightningTill();
  const account = await expiring(kit, 1_000, 'rich');
  sweep(kit);
  await kit.settle(30_000);
  expect(paid(kit)).toEqual([]);
  await kit.until('paid', () => paid(kit).length === 1 && kit.operations().length === 0);
  expect(paid(kit)[0]).toBeGreaterThan(950);
  await pass(kit);
  expect(paid(kit)).toHaveLength(1);
  expect(kit.available(account)).toBe(1_000_000 - (paid(kit)[0] ?? 0) * 1_000);
  expect(kit.log).toContainEqual(expect.objectContaining({ event: 'gateway.expiry.paid' }));
  expectAllBooked(kit);

  // Money that comes later is the account's too.
  const late = kit.till.wallet.inspect(await kit.mint.issue(500));
  await kit.till.deposits.deposit(late, { account, accountKind: 'key', purpose: 'topup' });
  await kit.until('paid again', () => paid(kit).length === 2 && kit.operations().length === 0);
  expectAllBooked(kit);
});

test('without an address, or below what fees would eat, it stays and can be had', async () => {
  const kit = await newLightningTill();
  const account = accountOfKey('sk-nowhere');
  const terms = { validityDate: msat(unixSeconds(kit.clock) + 60) };
  await kit.account(800, 'nowhere', terms);
  const small = await expiring(kit, LIMITS.expiry.satsMin - 1, 'small');
  sweep(kit);
  await pass(kit);
  expect(paid(kit)).toEqual([]);
  expect([kit.available(account), kit.available(small)]).toEqual([800_000, 9_000]);
  expect(kit.till.ledger.earned()).toBe(0);
  const token = await kit.till.payouts.send({ account, purpose: 'refund' });
  expect(token?.amount).toBe(800);
});

test('while a request holds money nothing is sent', async () => {
  const kit = await newLightningTill();
  const account = await expiring(kit, 1_000, 'busy');
  kit.till.ledger.hold({ id: 'long', account, amount: msat(300_000) });
  sweep(kit);
  await pass(kit);
  expect(paid(kit)).toEqual([]);
  kit.till.ledger.settle('long', msat(200_000));
  await kit.until('paid', () => paid(kit).length === 1 && kit.operations().length === 0);
  expect(paid(kit)[0]).toBeLessThan(800);
  expect(paid(kit)[0]).toBeGreaterThan(750);
  expectAllBooked(kit);
});

test('a payment that fails leaves everything, and is tried again later and later', async () => {
  const kit = await newLightningTill();
  const account = await expiring(kit, 1_000, 'unlucky');
  for (let i = 0; i < 3; i++) kit.mint.meltNext('failed');
  sweep(kit);
  const tries = (): number => kit.mint.stats.requests['/v1/melt/bolt11'] ?? 0;
  await kit.until('tried', () => tries() === 1 && kit.operations().length === 0);
  await pass(kit, 10 * 60_000);
  expect([tries(), kit.available(account)]).toEqual([1, 1_000_000]);
  await kit.clock.advance(LIMITS.expiry.retryFirstMs);
  await kit.until('tried again', () => tries() === 2 && kit.operations().length === 0);
  await kit.clock.advance(LIMITS.expiry.retryFirstMs);
  await pass(kit, 5 * 60_000);
  expect([tries(), kit.available(account)]).toEqual([2, 1_000_000]);
  expectAllBooked(kit);
});

test('an address that does not answer keeps only its own accounts waiting', async () => {
  const kit = await newLightningTill();
  const dead = await expiring(kit, 500, 'dead', 'gone@127.0.0.1:9');
  await expiring(kit, 600, 'dead too', 'gone@127.0.0.1:9');
  await expiring(kit, 1_000, 'alive');
  sweep(kit);
  await kit.until('paid', () => paid(kit).length === 1 && kit.operations().length === 0);
  await pass(kit);
  expect(kit.available(dead)).toBe(500_000);
  const unpaid = kit.log.filter(({ event }) => event === 'gateway.expiry.unpaid');
  expect(unpaid).toHaveLength(1);
});

const deaths: Crash[] = (['openMelt', 'completeMelt'] as const).flatMap((verb) =>
  (['before', 'after'] as const).map((when) => ({ verb, when })),
);
test.each(deaths)('it is sent once when the process dies $when $verb', async (crash) => {
  const kit = await newLightningTill();
  const account = await expiring(kit, 1_000, 'mortal');
  kit.dieAt(crash);
  sweep(kit);
  await kit.until('it died', kit.crashed);
  await kit.settle(2_000);
  await kit.restart();
  sweep(kit);
  await kit.until('over', () => paid(kit).length === 1 && kit.operations().length === 0);
  await pass(kit);
  expect(paid(kit)).toHaveLength(1);
  expect(kit.available(account)).toBeLessThan(50_000);
  expectAllBooked(kit);
});
