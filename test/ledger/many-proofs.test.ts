/** Money in very many proofs, or in proofs that an operator has to decide about: what is left can still be had. */
import { expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import type { OpenMelt } from '../../src/ledger/lightning.ts';
import { MINT, KEYSET, deposit, digits, newLedger, operationOf, sats, tokenFrom } from './fixture.ts';

const ones = (count: number): number[] => new Array<number>(count).fill(1);
const MOST = LIMITS.ledger.swapInputsMax;

test('all that one mint has pays its own fee', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'elsewhere', {
    mint: 'https://b.test',
    keyset: 'b',
    amounts: digits(512),
  });
  // More than a token may have: it takes a swap.
  await deposit(ledger, 'here', { account, purpose: 'topup', amounts: ones(200) });
  const part = tokenFrom('part', account, { amount: 200, partial: true, feePpk: () => 100 });
  expect(ledger.openSend(part)).toMatchObject({
    outcome: 'swap',
    operation: { amount: 180, debit: 200_000, partial: true, swap: { fee: 20 } },
  });
  expect(ledger.account(account)?.available).toBe(512_000);
  expect(ledger.totals().drift).toBe(0);
});

test('what there is for one token is what one swap takes, and not what all proofs are worth', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'many', { amounts: [...ones(MOST + 100), 2, 4] });
  const have = MOST - 2 + 6;
  expect(ledger.openSend(tokenFrom('all', account))).toEqual({ outcome: 'no-proofs', have, inFlight: 0 });
  expect(ledger.openSend(tokenFrom('part', account, { amount: have, partial: true }))).toMatchObject({
    outcome: 'swap',
    operation: { amount: have },
  });
  expect(ledger.account(account)?.available).toBe(sats(102));
});

test('a payment over Lightning is told how much less would do', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'many', { amounts: ones(MOST + 100) });
  const melt = (amount: number): OpenMelt => ({
    id: operationOf('melt'),
    account,
    purpose: 'refund',
    mint: MINT,
    unit: 'sat',
    recipient: 'me@example.com',
    invoice: 'lnbc1',
    paymentHash: 'hash',
    quote: 'quote',
    asked: 'all',
    amount,
    feeReserve: 10,
    expiresAt: 2_000_000_000,
    feePpk: () => 0,
    keyset: KEYSET,
  });
  const short = ledger.openMelt(melt(MOST + 50));
  expect(short).toEqual({ outcome: 'no-proofs', have: MOST, inFlight: 0, short: 60 });
  expect(ledger.openMelt(melt(MOST - 10)).outcome).toBe('opened');
});

test('proofs that an operator has to decide about are nothing to wait for', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'owner', { amounts: [4, 8] });
  const small = ledger.openSend(tokenFrom('small', account, { amount: 3 }));
  if (small.outcome !== 'swap') throw new Error(small.outcome);
  const rest = tokenFrom('rest', account, { amount: 9 });
  expect(ledger.openSend(rest)).toEqual({ outcome: 'no-proofs', have: 8, inFlight: 4 });
  await ledger.blockOperation(small.operation.id, 'own_proofs_spent').durable;
  expect(ledger.openSend(rest)).toEqual({ outcome: 'no-proofs', have: 8, inFlight: 0 });
  ledger.retryOperation(small.operation.id);
  expect(ledger.openSend(rest)).toMatchObject({ inFlight: 4 });
});
