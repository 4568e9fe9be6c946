import { expect, test } from 'vitest';
import { msat } from '../../src/base/money.ts';
import { limitPeriod } from '../../src/ledger/limit.ts';
import { deposit, digits, newLedger } from './fixture.ts';

const at = (iso: string): number => Date.parse(iso);

test('a period is named by its first day, in UTC, and weeks begin on Monday', () => {
  const monday = at('2026-11-23T00:00:00Z');
  expect(limitPeriod('daily', monday - 1)).toBe('2026-11-22');
  expect(limitPeriod('daily', monday)).toBe('2026-11-23');
  expect(limitPeriod('weekly', monday - 1)).toBe('2026-11-16');
  expect(limitPeriod('weekly', monday)).toBe('2026-11-23');
  expect(limitPeriod('monthly', monday)).toBe('2026-11-01');
  expect(limitPeriod(undefined, monday)).toBeUndefined();
  expect(limitPeriod('hourly', monday)).toBeUndefined();
});

test('a daily limit stops a key for the rest of the day, and the next day counts anew', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'payer', { amounts: digits(100) });
  await ledger.setAccountTerms(account, { balanceLimit: msat(5_000), balanceLimitReset: 'daily' }).durable;
  expect(ledger.hold({ id: 'a', account, amount: msat(4_000) }).outcome).toBe('held');
  expect(ledger.limitLeft(account)).toBe(1_000);
  expect(ledger.hold({ id: 'b', account, amount: msat(1_001) })).toMatchObject({ outcome: 'limit' });
  // What the hold does not cover comes from the free balance, but never past the limit.
  expect(ledger.settle('a', msat(9_000))).toMatchObject({ outcome: 'settled', charged: 5_000 });
  expect(ledger.limitLeft(account)).toBe(0);

  place.clock.advance(86_400_000);
  expect(ledger.limitLeft(account)).toBe(5_000);
  expect(ledger.hold({ id: 'c', account, amount: msat(3_000) }).outcome).toBe('held');
  expect(ledger.limitLeft(account)).toBe(2_000);
  ledger.settle('c', msat(2_500));
  expect(ledger.limitLeft(account)).toBe(2_500);
  expect(ledger.account(account)?.totalSpent).toBe(7_500);
});

test('a clock that steps back over midnight gives no limit anew, and one that was years ahead does not keep it', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'payer', { amounts: digits(100) });
  await ledger.setAccountTerms(account, { balanceLimit: msat(5_000), balanceLimitReset: 'daily' }).durable;
  const spend = (id: string, amount: number): string => {
    const { outcome } = ledger.hold({ id, account, amount: msat(amount) });
    if (outcome === 'held') ledger.settle(id, msat(amount));
    return outcome;
  };
  const at = (ms: number): void => place.clock.advance(ms - place.clock.now());
  const midnight = Math.ceil(place.clock.now() / 86_400_000) * 86_400_000;
  at(midnight + 100);
  expect(spend('a', 5_000)).toBe('held');
  at(midnight - 400);
  expect(spend('b', 1_000)).toBe('limit');
  at(midnight + 200);
  expect(spend('c', 1_000)).toBe('limit');

  at(midnight + 1_000 * 86_400_000);
  expect(spend('d', 5_000)).toBe('held');
  at(midnight + 86_400_000);
  expect(spend('e', 5_000)).toBe('held');
});

test('the count of the day survives a restart', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'payer', { amounts: digits(100) });
  await ledger.setAccountTerms(account, { balanceLimit: msat(5_000), balanceLimitReset: 'daily' }).durable;
  ledger.hold({ id: 'a', account, amount: msat(4_000) });
  ledger.settle('a', msat(4_000));
  await ledger.close();
  const again = await place.open();
  expect(again.limitLeft(account)).toBe(1_000);
  await again.close();
});
