/** Invoices that nobody pays: how many may wait, how many a network may ask for, and that no mint is asked beyond. */
import { getDecodedToken, getEncodedToken } from '@cashu/cashu-ts';
import { expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { accountOfPubkey, newOperationId, sha256Hex } from '../../src/base/id.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { unixSeconds } from '../../src/base/time.ts';
import type { TopUpCredential } from '../../src/gateway/payer.ts';
import { outcome } from './kit.ts';
import { type LightningTill, newLightningTill } from './lightning-kit.ts';

const HERE = '8.8.8.8';
const { openMax, secondsMax, sourceBurst, sourcePerMinute, unfinishedMax } = LIMITS.invoice;

const ask = (kit: LightningTill, source?: string, to?: TopUpCredential) =>
  kit.till.lightning.invoice({ amountSats: 1, terms: {}, source: () => source, ...(to && { to }) });
/** A token whose proof the mint never signed. */
async function worthless(kit: LightningTill): Promise<string> {
  const { mint, unit = 'sat', proofs } = getDecodedToken(await kit.mint.issue(1), [kit.mint.keyset()]);
  const secret = newOperationId();
  return getEncodedToken({ mint, unit, proofs: proofs.map((proof) => ({ ...proof, secret })) });
}
const quotes = (kit: LightningTill): number => kit.mint.mintQuotes().length;
const npub = (name: string): TopUpCredential => ({ kind: 'pubkey', pubkey: sha256Hex(name) });

/** As many as may wait, of a mint that is not asked about them. */
function fill(kit: LightningTill, count: number = openMax): void {
  const { ledger } = kit.till;
  const expiresAt = unixSeconds(kit.clock) + secondsMax;
  for (let i = 0; i < count; i++)
    ledger.openMint({
      id: newOperationId(),
      account: accountOfPubkey(sha256Hex(`${i}`)),
      purpose: 'create',
      mint: kit.mint.url,
      unit: 'sat',
      quote: 'sealed',
      locked: true,
      invoice: `lnbcrt${i}`,
      paymentHash: sha256Hex(`hash ${i}`),
      amount: 1,
      expiresAt,
      payableUntil: expiresAt,
      claimHash: sha256Hex(`claim ${i}`),
    });
}

test('while too many invoices wait, no mint is asked for another one', async () => {
  const kit = await newLightningTill();
  expect(kit.till.ledger.hasMintRoom()).toBe(true);
  fill(kit);
  expect(kit.till.ledger.hasMintRoom()).toBe(false);
  expect(await outcome(ask(kit))).toBe('overloaded');
  expect(quotes(kit)).toBe(0);
  await kit.restart();
  expect(kit.till.ledger.hasMintRoom()).toBe(false);
  await kit.clock.advance(secondsMax * 1000);
  expect(await outcome(ask(kit))).toMatchObject({ amountSats: 1 });
});

test('an invoice that was paid leaves its place to another one', async () => {
  const kit = await newLightningTill();
  const paid = await kit.invoice(100);
  fill(kit, openMax - 1);
  expect(await outcome(ask(kit))).toBe('overloaded');
  kit.mint.payQuote(paid.invoice);
  await kit.until('credited', () => kit.till.ledger.totals().liabilities['avail'] === 100_000);
  expect(await outcome(ask(kit))).toMatchObject({ amountSats: 1 });
  expect(await outcome(ask(kit))).toBe('overloaded');
});

test('an invoice for which the last room was taken while its mint was asked is not opened', async () => {
  const kit = await newLightningTill();
  const asked = ask(kit);
  fill(kit);
  expect(await outcome(asked)).toBe('overloaded');
  expect(kit.operations()).toHaveLength(openMax);
});

test('a network that asks for many invoices for new accounts waits, before any mint is asked', async () => {
  const kit = await newLightningTill();
  for (let i = 0; i < sourceBurst; i++) await ask(kit, HERE, i % 2 === 0 ? undefined : npub(`new ${i}`));
  const before = quotes(kit);
  const refusal: unknown = await ask(kit, HERE).catch((error: unknown) => error);
  if (!(refusal instanceof NodeError)) throw new Error('not refused');
  expect([refusal.code, refusal.options.retryAfterMs]).toEqual(['rate_limited', 60_000 / sourcePerMinute]);
  expect(await outcome(ask(kit, HERE, npub('another')))).toBe('rate_limited');
  expect(quotes(kit)).toBe(before);

  expect(await outcome(ask(kit, '9.9.9.9'))).toMatchObject({ amountSats: 1 });
  expect(await outcome(ask(kit, undefined))).toMatchObject({ amountSats: 1 });
  await kit.clock.advance(60_000 / sourcePerMinute);
  expect(await outcome(ask(kit, HERE))).toMatchObject({ amountSats: 1 });
});

test('an account that has paid is counted by itself', async () => {
  const kit = await newLightningTill();
  const account = accountOfPubkey(sha256Hex('known'));
  const info = kit.till.wallet.inspect(await kit.mint.issue(10));
  await kit.till.deposits.deposit(info, { account, accountKind: 'key', purpose: 'create', terms: {} });
  for (let i = 0; i < sourceBurst; i++) await ask(kit, HERE, npub('known'));
  expect(await outcome(ask(kit, HERE, npub('known')))).toBe('rate_limited');
  expect(await outcome(ask(kit, HERE))).toMatchObject({ amountSats: 1 });
});

test('an account that only a refused token has made is counted with its network', async () => {
  const kit = await newLightningTill();
  for (let i = 0; i < sourceBurst; i++) {
    const account = accountOfPubkey(sha256Hex(`${i}`));
    const info = kit.till.wallet.inspect(await worthless(kit));
    await outcome(
      kit.till.deposits.deposit(info, { account, accountKind: 'key', purpose: 'create', terms: {} }),
    );
    expect(kit.till.ledger.account(account)).toMatchObject({ available: 0 });
    await ask(kit, HERE, npub(`${i}`));
  }
  expect(await outcome(ask(kit, HERE, npub('0')))).toBe('rate_limited');
});

test('one network alone does not fill the room that invoices have', () => {
  expect(sourceBurst + (sourcePerMinute * secondsMax) / 60).toBeLessThan(openMax);
  const weekOfMinutes = 7 * 24 * 60;
  expect(sourceBurst + sourcePerMinute * weekOfMinutes).toBeLessThan(unfinishedMax);
});
