import { expect, test } from 'vitest';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { accountOf, deposit, newPlace, payment, signatures, tokenFrom } from './fixture.ts';

const DAY_MS = 86_400_000;
const ADDRESS = 'me@example.com';
const expired = async (ledger: Ledger, page = { limit: 10 }) =>
  (await ledger.expiredAccounts(page)).accounts.map(({ id }) => id);

test('what an Idempotency-Key led to is in the batch of its intent, and forgotten a month later', async () => {
  const place = await newPlace();
  let ledger = await place.open();
  const { account } = await deposit(ledger, 'keyed', { idempotency: { id: 'create', request: 'a' } });
  const sent = ledger.openSend(
    tokenFrom('part', account, { amount: 3, idempotency: { id: 'refund', request: 'b' } }),
  );
  if (sent.outcome !== 'issued') throw new Error(sent.outcome);
  const opened = ledger.openReceive(payment('unfinished', { idempotency: { id: 'open', request: 'c' } }));
  await ledger.close();

  ledger = await place.open();
  expect(ledger.remembered('create')).toMatchObject({ request: 'a', operation: payment('keyed').id });
  expect(ledger.remembered('refund')).toMatchObject({ request: 'b', operation: sent.operation.id });
  expect(ledger.remembered('open')).toMatchObject({ operation: opened.operation.id });
  expect(ledger.remembered('never')).toBeUndefined();
  place.clock.advance(30 * DAY_MS);
  expect(await ledger.forgetOld()).toBe(0);
  place.clock.advance(2 * DAY_MS);
  expect(await ledger.forgetOld()).toBe(3);
  expect(await ledger.forgetOld()).toBe(0);
  expect(ledger.remembered('refund')).toBeUndefined();
  await ledger.close();
  expect((await place.audit()).totals.drift).toBe(0);
});

test('an expired account with an address is found until nothing is left of it, and again when money comes', async () => {
  const place = await newPlace();
  let ledger = await place.open();
  const reopen = async (): Promise<void> => {
    await ledger.close();
    ledger = await place.open();
  };
  const soon = place.clock.now() / 1000 + 60;
  const { account } = await deposit(ledger, 'soon', {
    terms: { validityDate: soon, refundAddress: ADDRESS },
  });
  await deposit(ledger, 'without an address', { terms: { validityDate: soon } });
  await deposit(ledger, 'for ever', { terms: { refundAddress: ADDRESS } });
  const later = await deposit(ledger, 'later');
  await ledger.setAccountTerms(later.account, { validityDate: soon + 60, refundAddress: ADDRESS }).durable;
  await reopen();
  expect(await expired(ledger)).toEqual([]);
  place.clock.advance(60_000);
  expect(await expired(ledger)).toEqual([account]);
  place.clock.advance(60_000);
  expect(await expired(ledger)).toEqual([account, later.account]);
  const first = await ledger.expiredAccounts({ limit: 1 });
  expect(first.accounts.map(({ id }) => id)).toEqual([account]);
  expect(await ledger.expiredAccounts({ limit: 1, after: first.next! })).toMatchObject({
    accounts: [{ id: later.account }],
  });

  ledger.openSend(tokenFrom('all of it', account));
  expect(await expired(ledger)).toEqual([later.account]);
  await reopen();
  expect(await expired(ledger)).toEqual([later.account]);
  await deposit(ledger, 'new money', { account, purpose: 'topup' });
  await reopen();
  expect(await expired(ledger)).toEqual([account, later.account]);
  await ledger.close();
});

test('the terms of a new account are in the intent of its first payment; later ones change nothing', async () => {
  const place = await newPlace();
  const ledger = await place.open();
  const account = accountOf('account of intent');
  const terms = { validityDate: 4_000_000_000, balanceLimit: 5_000 as never };
  const opened = ledger.openReceive(payment('intent', { account, terms }));
  expect(ledger.account(account)).toMatchObject({ available: 0, ...terms });
  const { id, plan } = opened.operation;
  await ledger.completeReceive(id, signatures(plan.amounts.length), plan).durable;
  await deposit(ledger, 'more', { account, terms: { validityDate: 1 } });
  expect(ledger.account(account)).toMatchObject({ available: 30_000, ...terms });
  await ledger.close();
});
