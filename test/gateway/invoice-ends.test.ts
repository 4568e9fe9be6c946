/** How long an invoice is looked after: as long as somebody can pay it, whatever end the mint names for its quote. */
import { expect, test } from 'vitest';
import type { OperationId } from '../../src/base/id.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { MintOperation } from '../../src/ledger/lightning.ts';
import { type LightningTill, expectAllBooked, newLightningTill } from './lightning-kit.ts';

const HOUR = 3_600;
const DAY = 86_400;
const WEEK = 7 * DAY;

const credited = (kit: LightningTill): number => kit.till.ledger.totals().liabilities['avail'] ?? 0;
const asked = (kit: LightningTill): number => kit.mint.stats.requests['/v1/mint/quote/bolt11'] ?? 0;

function operation(kit: LightningTill, id: OperationId): MintOperation {
  const found = kit.operation(id);
  if (found?.kind !== 'mint') throw new Error('no invoice');
  return found;
}

/** So much time at once, and the rounds that became due. */
async function pass(kit: LightningTill, seconds: number): Promise<void> {
  await kit.clock.advance(seconds * 1000);
  await kit.settle(3_000);
}

test.each([
  ['none', 0],
  ['one before the beginning', -1],
  ['one that is past', 1_700_000_000],
])('an invoice whose quote names %s as its end waits for its payment', async (_, quoteExpiry) => {
  const kit = await newLightningTill({ quoteExpiry });
  const made = await kit.invoice(100);
  await kit.until('a round', () => asked(kit) > 1);
  await pass(kit, 60);
  const { state, createdAt, expiresAt } = operation(kit, made.id);
  // With this end it is counted among those that can still be paid, too.
  expect([state, expiresAt - createdAt]).toEqual(['executing', HOUR]);
  expect((await kit.till.lightning.status(made.id, {})).status).toBe('pending');
  kit.mint.payQuote(made.invoice);
  await kit.until('credited', () => credited(kit) === 100_000);
  expect(operation(kit, made.id).state).toBe('done');
  expectAllBooked(kit);
});

test('an invoice that can be paid for a week is credited at hour 26, and ends a day after the week', async () => {
  const kit = await newLightningTill({ invoiceSeconds: WEEK, quoteExpiry: 0 });
  const late = await kit.invoice(100);
  const never = await kit.invoice(7);
  const { createdAt, expiresAt } = operation(kit, late.id);
  expect(expiresAt - createdAt).toBe(HOUR);
  await pass(kit, 2 * HOUR);
  expect((await kit.till.lightning.status(late.id, {})).status).toBe('expired');
  await pass(kit, 24 * HOUR);
  kit.mint.payQuote(late.invoice);
  await pass(kit, LIMITS.invoice.askOldMs / 1000);
  await kit.until('credited', () => credited(kit) === 100_000);
  expect((await kit.till.lightning.status(late.id, {})).status).toBe('paid');

  await pass(kit, WEEK - 28 * HOUR);
  await kit.restart();
  await pass(kit, 22 * HOUR);
  expect(operation(kit, never.id).state).toBe('executing');
  await pass(kit, 4 * HOUR);
  await kit.until('ended', () => operation(kit, never.id).state === 'failed');
  expect(operation(kit, never.id).reason).toBe('expired');
  expectAllBooked(kit);
});

test('an invoice that is days old is asked about once an hour', async () => {
  const kit = await newLightningTill({ invoiceSeconds: WEEK });
  await kit.invoice(100);
  await pass(kit, 2 * HOUR);
  await pass(kit, 2 * DAY);
  const before = asked(kit);
  for (let minutes = 0; minutes < 120; minutes += 10) await pass(kit, 600);
  expect(asked(kit) - before).toBe(2);
});

test('an invoice that claims to be payable for years is given up after thirty days and one', async () => {
  const kit = await newLightningTill({ invoiceSeconds: 1_000 * DAY });
  const made = await kit.invoice(100);
  await pass(kit, 2 * HOUR);
  await pass(kit, 30 * DAY);
  expect(operation(kit, made.id).state).toBe('executing');
  await pass(kit, DAY);
  await kit.until('ended', () => operation(kit, made.id).state === 'failed');
  expectAllBooked(kit);
});

test('an invoice opened by an earlier version ends a day after its shown end', async () => {
  const kit = await newLightningTill({ invoiceSeconds: WEEK });
  const { ledger } = kit.till;
  const open = ledger.openMint;
  ledger.openMint = ({ payableUntil: _, ...intent }) => open(intent);
  const late = await kit.invoice(100);
  const never = await kit.invoice(7);
  expect(operation(kit, late.id)).not.toHaveProperty('payableUntil');
  await kit.restart();
  await pass(kit, 20 * HOUR);
  kit.mint.payQuote(late.invoice);
  await pass(kit, LIMITS.invoice.askExpiredMs / 1000);
  await kit.until('credited', () => credited(kit) === 100_000);
  await pass(kit, 5 * HOUR);
  await kit.until('ended', () => operation(kit, never.id).state === 'failed');
  expect(operation(kit, never.id).reason).toBe('expired');
  expectAllBooked(kit);
});
