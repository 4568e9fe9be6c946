import { expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { msat } from '../../src/base/money.ts';
import { MINT, accountOf, deposit, faceOf, newLedger, payment, sats, tokenFrom } from './fixture.ts';

test('a key is paid for, spends on a request, and is refunded; every msat is accounted for', async () => {
  const { ledger, place } = await newLedger();
  const { account, inputs } = await deposit(ledger, 'alice');
  expect(inputs).toBeUndefined();
  expect(ledger.account(account)).toMatchObject({ available: 15_000, held: 0, mint: MINT, unit: 'sat' });

  const held = ledger.hold({ id: 'req_1', account, amount: sats(5) });
  expect(held).toMatchObject({ outcome: 'held', amount: 5_000 });
  expect(ledger.account(account)).toMatchObject({ available: 10_000, held: 5_000 });

  const settled = ledger.settle('req_1', msat(1_234));
  expect(settled).toMatchObject({ outcome: 'settled', charged: 1_234, available: 13_766, held: 0 });
  expect(ledger.account(account)).toMatchObject({ totalRequests: 1, totalSpent: 1_234 });

  const refund = ledger.openSend(tokenFrom('refund', account));
  if (refund.outcome !== 'issued') throw new Error(refund.outcome);
  await refund.durable;
  expect(faceOf(refund.operation)).toBe(13);
  expect(ledger.account(account)).toMatchObject({ available: 766, lastRefund: refund.operation.id });

  expect(ledger.totals()).toEqual({
    assets: { [`proofs:${MINT}|sat`]: 2_000, inflight: 0 },
    liabilities: { avail: 766, held: 0, owed: 0, suspense: 0 },
    equity: { revenue: 1_234, payouts: 0, mint_fees: 0, keyset_fees: 0, rounding: 0, losses: 0 },
    drift: 0,
  });
  await ledger.close();
  expect(await place.audit()).toMatchObject({
    chain: 'ok',
    totals: { drift: 0 },
    openHolds: 0,
    proofs: [{ mint: MINT, unit: 'sat', count: 1, msat: 2_000 }],
  });
});

test('a one-shot payment takes its change from its own proofs and leaves its dust to the operator', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'one-shot', { accountKind: 'token', purpose: 'pay' });
  // Someone else refunds in between; there are enough other coins for it.
  const other = await deposit(ledger, 'other', { amounts: [1, 2, 4, 8] });
  expect(ledger.openSend(tokenFrom('other refund', other.account))).toMatchObject({ outcome: 'issued' });

  ledger.hold({ id: 'req', account, amount: sats(10) });
  ledger.settle('req', msat(2_500));
  const change = ledger.openSend(tokenFrom('change', account, { purpose: 'change' }));
  expect(change).toMatchObject({ outcome: 'issued', operation: { amount: 12, debit: 12_000 } });
  await ledger.sweepDust(account).durable;
  expect(ledger.account(account)).toMatchObject({ available: 0 });
  expect(ledger.totals()).toMatchObject({ equity: { revenue: 2_500, rounding: 500 }, drift: 0 });
});

test('the same token text finds its account and operation, whatever became of it', async () => {
  const { ledger } = await newLedger();
  const intent = payment('found');
  ledger.openReceive(intent);
  expect(ledger.operationOfText(intent.textHash)).toMatchObject({
    state: 'executing',
    account: intent.account,
  });
  ledger.failOperation(intent.id, 'token_already_spent');
  expect(ledger.operationOfText(intent.textHash)).toMatchObject({
    state: 'failed',
    reason: 'token_already_spent',
  });
  expect(ledger.account(intent.account)).toMatchObject({ available: 0 });
  expect(ledger.operationOfText('never seen')).toBeUndefined();
});

test('fifty requests at once never spend more than there is', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'crowd');
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      await Promise.resolve();
      return ledger.hold({ id: `req_${i}`, account, amount: sats(1) }).outcome;
    }),
  );
  expect(outcomes.filter((outcome) => outcome === 'held')).toHaveLength(15);
  expect(outcomes.filter((outcome) => outcome === 'insufficient')).toHaveLength(35);
  for (let i = 0; i < 50; i++) ledger.settle(`req_${i}`, sats(3));
  expect(ledger.account(account)).toMatchObject({ available: 0, held: 0, totalSpent: 15_000 });
  expect(ledger.totals().drift).toBe(0);
});

test('a cost above the hold takes free money, never that of other holds', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'overrun');
  ledger.hold({ id: 'a', account, amount: sats(5) });
  ledger.hold({ id: 'b', account, amount: sats(6) });
  expect(ledger.settle('a', sats(100))).toMatchObject({ charged: 9_000, available: 0, held: 6_000 });
  expect(ledger.release('b')).toMatchObject({ charged: 0, available: 6_000, held: 0 });
});

test('a hold ends once: later ends move nothing', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'once');
  ledger.hold({ id: 'a', account, amount: sats(5) });
  expect(ledger.settle('a', sats(1)).outcome).toBe('settled');
  expect(ledger.settle('a', sats(1)).outcome).toBe('closed');
  expect(ledger.release('a').outcome).toBe('closed');
  expect(ledger.settle('never held', sats(1)).outcome).toBe('closed');
  expect(ledger.hold({ id: 'a', account, amount: sats(1) }).outcome).toBe('duplicate');
  ledger.hold({ id: 'b', account, amount: sats(1) });
  expect(ledger.hold({ id: 'b', account, amount: sats(1) }).outcome).toBe('duplicate');
  expect(ledger.account(account)).toMatchObject({ totalSpent: 1_000, held: 1_000 });
});

test('a hold without a living request falls back to its account; a renewed one stays', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'leases');
  ledger.hold({ id: 'gone', account, amount: sats(5) });
  ledger.hold({ id: 'alive', account, amount: sats(5) });
  place.clock.advance(LIMITS.hold.leaseMs - 1);
  ledger.renew('alive');
  expect(ledger.expireHolds()).toBe(0);
  place.clock.advance(1);
  expect(ledger.expireHolds()).toBe(1);
  expect(ledger.settle('gone', sats(5)).outcome).toBe('closed');
  expect(ledger.account(account)).toMatchObject({ available: 10_000, held: 5_000, totalRequests: 0 });
  expect(ledger.expireHolds(new Set(['alive']))).toBe(0);
  expect(ledger.expireHolds(new Set())).toBe(1);
  expect(ledger.account(account)).toMatchObject({ available: 15_000, held: 0 });
});

test('the terms of a key bind: validity, limit, and no account at all', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'terms');
  const hold = (id: string, amount: number) => ledger.hold({ id, account, amount: sats(amount) });
  expect(ledger.hold({ id: 'x', account: accountOf('nobody'), amount: sats(1) }).outcome).toBe(
    'unknown-account',
  );

  await ledger.setAccountTerms(account, { balanceLimit: sats(6), refundAddress: 'me@example.com' }).durable;
  expect(hold('a', 4)).toMatchObject({ outcome: 'held' });
  expect(hold('b', 3)).toEqual({ outcome: 'limit', limit: 6_000, spent: 0 });
  // Free money is there, but the limit is a promise to whoever set it.
  expect(ledger.settle('a', sats(9))).toMatchObject({ charged: 6_000 });
  expect(hold('c', 1)).toEqual({ outcome: 'limit', limit: 6_000, spent: 6_000 });

  ledger.setAccountTerms(account, {
    validityDate: Math.floor(place.clock.now() / 1000) + 60,
    balanceLimit: sats(100),
  });
  expect(hold('d', 20)).toMatchObject({ outcome: 'insufficient', available: 9_000, held: 0 });
  place.clock.advance(60_000);
  expect(hold('e', 1)).toEqual({ outcome: 'expired' });
  expect(ledger.account(account)).toMatchObject({ refundAddress: 'me@example.com', balanceLimit: 100_000 });
});

test('small values of other rooms are kept', async () => {
  const { ledger, place } = await newLedger();
  expect(ledger.getValue('announcement')).toBeUndefined();
  ledger.putValue('announcement', 'first');
  await ledger.putValue('announcement', 'second').durable;
  await ledger.close();
  const again = await place.open();
  expect(again.getValue('announcement')).toBe('second');
  await again.close();
});
