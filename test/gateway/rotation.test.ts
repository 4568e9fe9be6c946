/** Our own proofs leave keysets that end, and small ones become few, without anybody's balance moving. */
import { expect, onTestFinished, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { unixSeconds } from '../../src/base/time.ts';
import { isSound } from '../../src/node-audit.ts';
import { rotateProofs } from '../../src/gateway/rotate.ts';
import type { Wallet } from '../../src/wallet/wallet.ts';
import { recordingLogger } from '../wallet/harness.ts';
import { type Crash, type LightningTill, expectAllBooked, newLightningTill } from './lightning-kit.ts';

const keysetsOf = (kit: LightningTill): string[] => [
  ...new Set(kit.till.ledger.proofs().map(({ proof }) => proof.keyset)),
];
const sweeps = async (kit: LightningTill, count = 1): Promise<void> => {
  for (let i = 0; i < count; i++) {
    await kit.clock.advance(LIMITS.rotation.sweepMs);
    await kit.settle(3_000);
    await kit.until('over', () => kit.operations().length === 0);
  }
};

function rotate(kit: LightningTill, wallet: Wallet = kit.till.wallet, proofsMax?: number): void {
  const stop = new AbortController();
  const { ledger, payouts, driver } = kit.till;
  const parts = { ledger, wallet, payouts, driver, clock: kit.clock, log: recordingLogger(kit.log) };
  const most = proofsMax === undefined ? {} : { proofsMax };
  const rotating = rotateProofs({ ...parts, ...most, signal: stop.signal });
  onTestFinished(async () => {
    stop.abort();
    await rotating;
  });
}

/** The same wallet, to which the mint has announced when it forgets this keyset. */
const announcing = (wallet: Wallet, keyset: string, finalExpiry: number): Wallet => ({
  ...wallet,
  activeKeyset: async (...args) => ({
    ...(await wallet.activeKeyset(...args)),
    facts: (id) => ({ active: false, ...(id === keyset && { finalExpiry }) }),
  }),
});

test('proofs of a keyset that the mint retired move to the new one, and only once', async () => {
  const kit = await newLightningTill();
  const account = await kit.account(1_000);
  rotate(kit);
  await sweeps(kit);
  const before = kit.mint.stats.swaps;
  kit.mint.rotate();
  await sweeps(kit, 2);
  expect(keysetsOf(kit)).toEqual([kit.mint.keyset()]);
  expect(kit.mint.stats.swaps).toBe(before + 1);
  expect(kit.available(account)).toBe(1_000_000);
  expectAllBooked(kit);
});

test('where that costs a fee it is paid by the operator, and only before an announced end', async () => {
  const kit = await newLightningTill({ feePpk: 1_000 });
  const account = await kit.account(1_000);
  const available = kit.available(account);
  const old = kit.mint.keyset();
  kit.mint.rotate();
  const end = unixSeconds(kit.clock) + LIMITS.rotation.beforeExpirySeconds + 5 * 3_600;
  rotate(kit, announcing(kit.till.wallet, old, end));
  await sweeps(kit, 3);
  expect(keysetsOf(kit)).toEqual([old]);
  await sweeps(kit, 4);
  expect(keysetsOf(kit)).toEqual([kit.mint.keyset()]);
  expect(kit.available(account)).toBe(available);
  const { equity, drift } = kit.till.ledger.totals();
  expect(equity).toMatchObject({ mint_fees: 0 });
  expect(equity['keyset_fees']).toBeLessThan(0);
  expectAllBooked(kit);
  // Nothing was earned, and still this is a sound node; a missing msat more, and it is none.
  const sum = Object.values(equity).reduce((total, amount) => total + amount, 0);
  const report = { drift_msat: drift, equity_msat: sum, equity, mirror: null };
  expect(sum).toBeLessThan(0);
  expect(isSound(report)).toBe(true);
  expect(isSound({ ...report, equity_msat: sum - 1 })).toBe(false);
  // The first earnings pay for it, before anything can be taken out.
  await kit.earn(account, 100);
  expect(kit.till.ledger.earned()).toBe(100_000 + sum);
  expect(kit.log.some(({ event }) => event === 'gateway.rotation.unearned')).toBe(true);
});

test('what was earned pays first', async () => {
  const kit = await newLightningTill({ feePpk: 1_000 });
  const account = await kit.account(1_000);
  await kit.earn(account, 500);
  const old = kit.mint.keyset();
  kit.mint.rotate();
  rotate(kit, announcing(kit.till.wallet, old, unixSeconds(kit.clock) + 3_600));
  await sweeps(kit);
  expect(keysetsOf(kit)).toEqual([kit.mint.keyset()]);
  const { equity } = kit.till.ledger.totals();
  expect(equity['mint_fees']).toBeLessThan(0);
  expect(equity).toMatchObject({ keyset_fees: 0 });
});

test('a rotation that was refused leaves no trace in the books', async () => {
  const kit = await newLightningTill({ feePpk: 1_000 });
  await kit.account(1_000);
  const before = kit.till.ledger.totals();
  const old = kit.mint.keyset();
  kit.mint.rotate();
  kit.mint.failNext('refuse', { path: '/v1/swap' });
  rotate(kit, announcing(kit.till.wallet, old, unixSeconds(kit.clock) + 3_600));
  await kit.clock.advance(LIMITS.rotation.sweepMs);
  await kit.until('refused', () => (kit.mint.stats.requests['/v1/swap'] ?? 0) > 1);
  await kit.until('over', () => kit.operations().length === 0);
  expect(kit.till.ledger.totals().equity).toEqual(before.equity);
  expectAllBooked(kit);
});

test('far more small proofs than anybody needs become few', async () => {
  const kit = await newLightningTill();
  const { wallet, deposits } = kit.till;
  const account = await kit.account(1);
  const count = (): number => kit.till.ledger.proofs().length;
  for (let i = 0; i < 12; i++) {
    const info = wallet.inspect(await kit.mint.issue(15));
    await deposits.deposit(info, { account, accountKind: 'key', purpose: 'topup' });
  }
  const [before, available] = [count(), kit.available(account)];
  rotate(kit, kit.till.wallet, before);
  await sweeps(kit);
  expect(count()).toBe(before);
  rotate(kit, kit.till.wallet, 20);
  await sweeps(kit);
  expect(count()).toBeLessThanOrEqual(20);
  expect(kit.available(account)).toBe(available);
  expectAllBooked(kit);
});

const deaths: Crash[] = (['openRotation', 'completeSend'] as const).flatMap((verb) =>
  (['before', 'after'] as const).map((when) => ({ verb, when })),
);
test.each(deaths)('nothing is lost when the process dies $when $verb', async (crash) => {
  const kit = await newLightningTill();
  const account = await kit.account(1_000);
  kit.mint.rotate();
  kit.dieAt(crash);
  rotate(kit);
  await kit.clock.advance(LIMITS.rotation.sweepMs);
  await kit.until('it died', kit.crashed);
  await kit.settle(2_000);
  await kit.restart();
  rotate(kit);
  await kit.until('over', () => kit.operations().length === 0);
  await sweeps(kit);
  await kit.until('over', () => kit.operations().length === 0);
  expect(keysetsOf(kit)).toEqual([kit.mint.keyset()]);
  expect(kit.available(account)).toBe(1_000_000);
  expectAllBooked(kit);
});
