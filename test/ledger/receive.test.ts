import { expect, test } from 'vitest';
import {
  MINT,
  accountOf,
  claimsOf,
  deposit,
  newLedger,
  operationOf,
  payment,
  signatures,
} from './fixture.ts';

test('fifty presentations of one token give one operation and one credit', async () => {
  const { ledger } = await newLedger();
  const intents = Array.from({ length: 50 }, (_, i) => payment('token', { id: operationOf(`attempt ${i}`) }));
  const outcomes = await Promise.all(intents.map(async (intent) => ledger.openReceive(intent)));
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['opened', ...Array<string>(49).fill('replayed')]);
  expect(new Set(outcomes.map(({ operation }) => operation.id)).size).toBe(1);

  const { id, plan } = outcomes[0]!.operation;
  await ledger.completeReceive(id, signatures(4), plan).durable;
  await ledger.completeReceive(id, signatures(4), plan).durable;
  expect(ledger.account(payment('token').account)).toMatchObject({ available: 15_000 });
  expect(ledger.proofs()).toHaveLength(4);
});

test('a thief with the same proofs in another text gets nothing, before and after the credit', async () => {
  const { ledger } = await newLedger();
  const owner = payment('stolen');
  const thief = { ...owner, id: operationOf('thief'), textHash: 'ff'.repeat(32) };
  ledger.openReceive(owner);
  expect(ledger.openReceive(thief)).toMatchObject({ outcome: 'foreign', operation: { id: owner.id } });
  await ledger.completeReceive(owner.id, signatures(4), {
    keyset: owner.keyset,
    counter: 0,
    amounts: [1, 2, 4, 8],
  }).durable;
  expect(ledger.openReceive(thief).outcome).toBe('foreign');
  expect(ledger.openReceive({ ...thief, account: accountOf('thief') }).outcome).toBe('foreign');
  expect(ledger.account(accountOf('thief'))).toBeUndefined();
});

test('the same text for another account, or with other proofs around it, is foreign', async () => {
  const { ledger } = await newLedger();
  const first = payment('first', { claims: claimsOf('first', 3) });
  ledger.openReceive(first);
  const variants = [
    { ...first, account: accountOf('someone else') },
    { ...first, claims: first.claims.slice(0, 2) },
    { ...first, claims: [...first.claims, ...claimsOf('unseen', 1)] },
    { ...first, claims: [...claimsOf('unseen', 1), first.claims[2]!] },
  ];
  for (const variant of variants) {
    const outcome = ledger.openReceive({ ...variant, id: operationOf('variant') });
    expect(outcome).toMatchObject({ outcome: 'foreign', operation: { id: first.id } });
  }
  expect(ledger.openReceive(payment('unseen', { claims: claimsOf('unseen', 1) })).outcome).toBe('opened');
});

test('a token that was spent elsewhere stays refused; one refused for another reason may come again', async () => {
  const { ledger } = await newLedger();
  const spent = payment('spent');
  ledger.openReceive(spent);
  ledger.failOperation(spent.id, 'token_already_spent');
  expect(ledger.openReceive(spent)).toMatchObject({ outcome: 'replayed', operation: { state: 'failed' } });

  const again = payment('again');
  ledger.openReceive(again);
  ledger.failOperation(again.id, 'mint_refused_12002');
  const reopened = ledger.openReceive({
    ...again,
    id: operationOf('unused'),
    amounts: [1, 2],
    fee: 1,
    inputs: 'new',
  });
  expect(reopened).toMatchObject({
    outcome: 'opened',
    operation: {
      id: again.id,
      state: 'executing',
      fee: 1,
      inputs: 'new',
      plan: { counter: 8, amounts: [1, 2] },
      oldPlans: [{ counter: 4, amounts: [1, 2, 4, 8] }],
    },
  });
  expect(reopened.operation).not.toHaveProperty('reason');

  // The old request landed after all: its outputs are what counts.
  await ledger.completeReceive(again.id, signatures(4), reopened.operation.oldPlans![0]!).durable;
  expect(ledger.account(again.account)).toMatchObject({ available: 15_000 });
});

test('counters are never used twice, whatever becomes of a plan', async () => {
  const { ledger, place } = await newLedger();
  ledger.openReceive(payment('a', { amounts: [1, 2, 4] }));
  ledger.failOperation(operationOf('a'), 'refused');
  ledger.openReceive(payment('b', { amounts: [1] }));
  const replanned = ledger.replanReceive(operationOf('b'), { keyset: 'other', amounts: [1], fee: 0 });
  await replanned.durable;
  expect(replanned.operation).toMatchObject({
    plan: { keyset: 'other', counter: 0 },
    oldPlans: [{ counter: 3, amounts: [1] }],
  });
  await ledger.close();
  const again = await place.open();
  expect(again.openReceive(payment('c', { amounts: [1] })).operation.plan.counter).toBe(4);
  expect(again.openReceive(payment('d', { keyset: 'other', amounts: [1] })).operation.plan.counter).toBe(1);
  await again.close();
});

test('credit needs a signature for every output of a plan of this very operation', async () => {
  const { ledger } = await newLedger();
  const { operation } = ledger.openReceive(payment('strict'));
  expect(() => ledger.completeReceive(operation.id, signatures(3), operation.plan)).toThrow(/invariant/);
  const foreignPlan = { ...operation.plan, counter: 100 };
  expect(() => ledger.completeReceive(operation.id, signatures(4), foreignPlan)).toThrow(/invariant/);
  expect(ledger.account(operation.account)).toMatchObject({ available: 0 });
  expect(ledger.totals().drift).toBe(0);
});

test('a blocked operation stays unfinished until signatures are found', async () => {
  const { ledger } = await newLedger();
  ledger.openReceive(payment('older'));
  const { operation } = ledger.openReceive(payment('contradicted'));
  ledger.blockOperation(operation.id, 'mint_contradiction');
  expect(ledger.unfinished().map(({ id }) => id)).toEqual([operationOf('older'), operation.id]);
  expect(ledger.health()).toMatchObject({ executing: 1, blocked: 1 });
  await ledger.completeReceive(operation.id, signatures(4), operation.plan).durable;
  expect(ledger.health()).toMatchObject({ executing: 1, blocked: 0 });
  expect(ledger.failOperation(operation.id, 'too late').durable).toBeInstanceOf(Promise);
  expect(ledger.operation(operation.id)).toMatchObject({ state: 'done' });
});

test('an empty account refunds where its next money came from', async () => {
  const { ledger } = await newLedger();
  const { account } = await deposit(ledger, 'poor', { amounts: [1] });
  await deposit(ledger, 'second', { account, purpose: 'topup', mint: 'https://b.test', keyset: 'b' });
  expect(ledger.account(account)).toMatchObject({ mint: MINT, available: 16_000 });
  ledger.hold({ id: 'all', account, amount: ledger.account(account)!.available });
  ledger.settle('all', ledger.account(account)!.held);
  await deposit(ledger, 'third', { account, purpose: 'topup', mint: 'https://b.test', keyset: 'b' });
  expect(ledger.account(account)).toMatchObject({ mint: 'https://b.test', available: 15_000 });
});
