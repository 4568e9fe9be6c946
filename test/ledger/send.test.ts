import { expect, test } from 'vitest';
import type { AccountId } from '../../src/base/id.ts';
import { msat } from '../../src/base/money.ts';
import type { Ledger, SendOperation } from '../../src/ledger/ledger.ts';
import type { SendOutcome } from '../../src/ledger/sends.ts';
import {
  MINT,
  deposit,
  faceOf,
  newLedger,
  operationOf,
  payment,
  sats,
  signatures,
  tokenFrom,
} from './fixture.ts';

const POOL = `proofs:${MINT}|sat`;

function swapOf(outcome: SendOutcome): SendOperation & { swap: NonNullable<SendOperation['swap']> } {
  if (outcome.outcome !== 'swap' || outcome.operation.swap === undefined) throw new Error(outcome.outcome);
  return { ...outcome.operation, swap: outcome.operation.swap };
}
const complete = (ledger: Ledger, operation: SendOperation) =>
  ledger.completeSend(operation.id, signatures(operation.swap?.plan.amounts.length ?? 0));

test('exact proofs make a token offline: debit and proofs leave in one entry', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'rich', { amounts: [1, 1, 4, 8, 16] });
  const outcome = ledger.openSend(tokenFrom('t', account, { amount: 13 }));
  if (outcome.outcome !== 'issued') throw new Error(outcome.outcome);
  expect(outcome.operation.token?.map(({ amount }) => amount)).toEqual([8, 4, 1]);
  expect(ledger.proofs().map(({ proof }) => proof.amount)).toEqual([1, 16]);
  expect(ledger.totals()).toMatchObject({
    assets: { [POOL]: 17_000 },
    liabilities: { avail: 17_000 },
    drift: 0,
  });
});

test('without exact proofs a swap is planned, and its outputs are split between token and pool', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'coarse', { amounts: [32] });
  const operation = swapOf(ledger.openSend(tokenFrom('t', account, { amount: 11, feePpk: () => 100 })));
  expect(operation).toMatchObject({
    state: 'executing',
    amount: 11,
    debit: 12_000,
    swap: { fee: 1, sendCount: 3, plan: { counter: 1, amounts: [1, 2, 8, 4, 16] } },
  });
  expect(ledger.totals()).toMatchObject({
    assets: { [POOL]: 0, inflight: 32_000 },
    liabilities: { avail: 20_000, owed: 12_000 },
    drift: 0,
  });
  await complete(ledger, operation).durable;
  await complete(ledger, operation).durable;
  const done = ledger.operation(operation.id) as SendOperation;
  expect(done).toMatchObject({ state: 'done', token: [{ counter: 1 }, { counter: 2 }, { counter: 3 }] });
  expect(faceOf(done)).toBe(11);
  expect(ledger.totals()).toMatchObject({
    assets: { [POOL]: 20_000, inflight: 0 },
    liabilities: { avail: 20_000, owed: 0 },
    drift: 0,
  });
});

test('a refused swap gives everything back', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'refused', { amounts: [4, 32] });
  const before = ledger.totals();
  const proofs = ledger.proofs();
  const operation = swapOf(ledger.openSend(tokenFrom('t', account, { amount: 11, feePpk: () => 100 })));
  expect(ledger.account(account)).toMatchObject({ lastRefund: operation.id });
  await ledger.failOperation(operation.id, 'mint_refused').durable;
  expect(ledger.totals()).toEqual(before);
  expect(new Set(ledger.proofs().map(({ proof }) => proof.counter))).toEqual(
    new Set(proofs.map(({ proof }) => proof.counter)),
  );
  expect(ledger.account(account)).not.toHaveProperty('lastRefund');
  expect(() => complete(ledger, operation)).toThrow(/invariant/);
  await ledger.close();
  expect((await place.audit()).totals.drift).toBe(0);
});

test('emptying an account takes the mint fee out of the token, not out of thin air', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'emptied', { amounts: [16] });
  ledger.hold({ id: 'r', account, amount: sats(1) });
  ledger.settle('r', msat(500));
  const operation = swapOf(ledger.openSend(tokenFrom('t', account, { feePpk: () => 1000 })));
  expect(operation).toMatchObject({ amount: 14, debit: 15_000, swap: { fee: 1 } });
  await complete(ledger, operation).durable;
  expect(ledger.account(account)).toMatchObject({ available: 500 });
  expect(ledger.totals()).toMatchObject({ assets: { [POOL]: 1_000 }, drift: 0 });
});

test('a token that cannot pay its own fee, or more than there is, is refused', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'tiny', { amounts: [2] });
  ledger.hold({ id: 'r', account, amount: sats(1) });
  expect(ledger.openSend(tokenFrom('a', account, { feePpk: () => 1000 }))).toEqual({
    outcome: 'insufficient',
    available: 1_000,
  });
  expect(ledger.openSend(tokenFrom('b', account, { amount: 2 })).outcome).toBe('insufficient');
  expect(ledger.openSend(tokenFrom('c', account, { amount: 1, feePpk: () => 1000 })).outcome).toBe(
    'insufficient',
  );
  ledger.settle('r', msat(1));
  expect(ledger.openSend(tokenFrom('d', 'nobody' as AccountId)).outcome).toBe('insufficient');
  expect(ledger.totals().drift).toBe(0);
});

test('money at another mint is not there at this one', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'elsewhere', { mint: 'https://b.test', amounts: [8] });
  expect(ledger.openSend(tokenFrom('t', account))).toEqual({ outcome: 'no-proofs', have: 0, inFlight: 0 });
  await deposit(ledger, 'here', { amounts: [4] });
  expect(ledger.openSend(tokenFrom('t', account))).toEqual({ outcome: 'no-proofs', have: 4, inFlight: 0 });
  // As long as a swap has the coins, it is only a matter of waiting.
  expect(ledger.openSend(tokenFrom('small', account, { amount: 3 })).outcome).toBe('swap');
  expect(ledger.openSend(tokenFrom('t', account))).toEqual({ outcome: 'no-proofs', have: 0, inFlight: 4 });
});

test('a repeated request gets the same token, by id and by idempotency key, also after a restart', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'twice');
  const first = tokenFrom('first', account, { amount: 3, idempotency: { id: 'k', request: 'r' } });
  const issued = ledger.openSend(first);
  if (issued.outcome !== 'issued') throw new Error(issued.outcome);
  const token = issued.operation.token;
  expect(ledger.openSend({ ...first, amount: 5 })).toMatchObject({
    outcome: 'replayed',
    operation: { token },
  });
  await ledger.close();
  const again = await place.open();
  const repeat = again.openSend({ ...first, id: operationOf('other id') });
  expect(repeat).toMatchObject({ outcome: 'replayed', operation: { id: first.id, token } });
  expect(again.account(account)).toMatchObject({ available: 12_000, lastRefund: first.id });
  await deposit(again, 'new money', { account, purpose: 'topup' });
  expect(again.account(account)).not.toHaveProperty('lastRefund');
  await again.close();
});

test('the operator takes out what was earned and no more', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'customer', { amounts: [1, 1, 2, 4, 8] });
  ledger.hold({ id: 'r', account, amount: sats(5) });
  ledger.settle('r', msat(4_500));
  const operator = 'operator' as AccountId;
  const withdraw = (name: string, amount: number | 'all') =>
    ledger.openSend(tokenFrom(name, operator, { purpose: 'withdraw', amount }));
  expect(withdraw('too much', 5)).toEqual({ outcome: 'insufficient', available: 4_500 });
  expect(withdraw('some', 3)).toMatchObject({ outcome: 'issued', operation: { debit: 3_000 } });
  expect(withdraw('rest', 'all')).toMatchObject({ outcome: 'issued', operation: { amount: 1 } });
  expect(withdraw('nothing left', 'all')).toEqual({ outcome: 'insufficient', available: 500 });
  expect(ledger.totals()).toMatchObject({
    liabilities: { avail: 11_500 },
    equity: { revenue: 4_500, payouts: -4_000 },
    drift: 0,
  });
  expect(() => ledger.openSend(tokenFrom('client', account, { purpose: 'withdraw' }))).toThrow(/invariant/);
});

test('coins put aside for a one-shot payment are taken by others only when nothing else is left', async () => {
  const { ledger } = await newLedger();
  const { account: key } = await deposit(ledger, 'key', { amounts: [2, 2] });
  const { account: shot } = await deposit(ledger, 'shot', {
    accountKind: 'token',
    purpose: 'pay',
    amounts: [1, 2, 4],
  });
  const own = ledger.proofs().filter(({ proof }) => proof.counter >= 2);
  expect(ledger.openSend(tokenFrom('a', key, { amount: 2 }))).toMatchObject({
    operation: { token: [{ counter: 0 }] },
  });
  const change = ledger.openSend(tokenFrom('change', shot, { purpose: 'change' }));
  if (change.outcome !== 'issued') throw new Error(change.outcome);
  expect(new Set(change.operation.token?.map(({ counter }) => counter))).toEqual(
    new Set(own.map(({ proof }) => proof.counter)),
  );

  await deposit(ledger, 'shot 2', { accountKind: 'token', purpose: 'pay', amounts: [1, 1] });
  expect(ledger.openSend(tokenFrom('b', key, { amount: 1 })).outcome).toBe('issued');
  expect(payment('shot 2').account).not.toBe(key);
});

/** A swap of 11 out of 32, planned a second time. */
async function replanned(fee: number) {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'planned twice', { amounts: [32] });
  const feePpk = () => fee * 1000;
  const first = swapOf(ledger.openSend(tokenFrom('t', account, { amount: 11, feePpk: () => 1000 })));
  const again = ledger.replanSend(first.id, { keyset: first.swap.plan.keyset, feePpk, split: (n) => [n] });
  if (again === undefined) throw new Error('nothing was planned');
  return { ledger, place, account, first, second: again.operation };
}

test('a swap that is planned anew uses numbers that were never used, and either plan may be the one that is signed', async () => {
  for (const which of ['first', 'second'] as const) {
    const made = await replanned(1);
    const { ledger, account, first, second } = made;
    const plan = made[which].swap!.plan;
    expect(second.swap).toMatchObject({ sendCount: 3, plan: { amounts: [1, 2, 8, 20] } });
    expect(second.swap!.plan.counter).toBe(first.swap.plan.counter + first.swap.plan.amounts.length);
    await ledger.completeSend(first.id, signatures(plan.amounts.length), plan).durable;
    const done = ledger.operation(first.id) as SendOperation;
    expect(done).toMatchObject({ state: 'done', amount: 11, debit: 12_000 });
    expect(done.token?.map(({ counter }) => counter)).toEqual([0, 1, 2].map((i) => plan.counter + i));
    expect(ledger.account(account)?.available).toBe(20_000);
    expect(ledger.totals()).toMatchObject({
      assets: { [POOL]: 20_000, inflight: 0 },
      liabilities: { avail: 20_000, owed: 0 },
      equity: { losses: 0 },
      drift: 0,
    });
    expect(() => ledger.completeSend(first.id, [], { ...plan, counter: 99 })).not.toThrow();
  }
});

test.each([
  { fee: 0, available: 21_000, losses: 0 },
  { fee: 4, available: 20_000, losses: -3_000 },
])('a fee of $fee under the second plan is no surprise for the payer', async (want) => {
  const { ledger, account, second } = await replanned(want.fee);
  const plan = second.swap!.plan;
  await ledger.completeSend(second.id, signatures(plan.amounts.length), plan).durable;
  expect(ledger.account(account)?.available).toBe(want.available);
  expect(ledger.totals()).toMatchObject({ equity: { losses: want.losses }, drift: 0 });
  expect(ledger.totals().liabilities['owed']).toBe(0);
});

test('a fee that leaves less than the token makes a smaller one, and one that leaves nothing none', async () => {
  const { ledger, first } = await replanned(30);
  const { swap, id } = ledger.operation(first.id) as SendOperation;
  expect(swap).toMatchObject({ sendCount: 1, plan: { amounts: [2] } });
  await ledger.completeSend(id, signatures(1)).durable;
  expect(ledger.operation(id)).toMatchObject({ amount: 2, debit: 12_000 });
  expect(ledger.totals()).toMatchObject({ equity: { losses: -20_000 }, drift: 0 });
  const { ledger: other, first: begun } = await replanned(1);
  const how = { keyset: begun.swap.plan.keyset, feePpk: () => 40_000, split: (n: number) => [n] };
  expect(other.replanSend(begun.id, how)).toBeUndefined();
});
