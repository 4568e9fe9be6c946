import { expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { ZERO, fromSat } from '../../src/base/money.ts';
import { Secret } from '../../src/base/secret.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { type SwapOutcome } from '../../src/wallet/wallet.ts';
import { A, B, type Till, newTill, outcome, payerOf, refuses, settleDown, signs, token } from './kit.ts';

const text = async (paid: Promise<{ token: Secret }>): Promise<string> => (await paid).token.reveal();
const keyed = (key: string, request: string) => ({ key, request });
const bearer = (name: string) =>
  ({ kind: 'token', token: new Secret(token(5, name)), remainder: 'keep' }) as const;

/** The mint keeps the next swap waiting until the returned function lets it answer. */
function slowSwap({ wallet }: Till): () => void {
  let answer: () => void = () => undefined;
  wallet.answers.push(
    (request) =>
      new Promise<SwapOutcome>((resolve) => {
        answer = () => resolve(signs(request));
      }),
  );
  return () => answer();
}

/** A key of four sats whose proofs pay one sat only by a swap. */
async function keyWithoutSmallProofs(till: Till) {
  const key = await till.key(7, 'seven');
  await till.accounts.refund(key, 1);
  await till.accounts.refund(key, 2);
  expect(till.ledger.proofs().map(({ proof }) => proof.amount)).toEqual([4]);
  return key;
}

test('a refund of a part that is repeated with its Idempotency-Key gives the same token, whatever is left', async () => {
  const till = await newTill();
  const key = await till.key(100, 'owner');
  const first = await text(till.accounts.refund(key, 60, keyed('first', '60')));
  expect(await text(till.accounts.refund(key, 60, keyed('first', '60')))).toBe(first);
  const rest = await text(till.accounts.refund(key, undefined, keyed('rest', 'undefined')));
  till.wallet.spend(rest);
  expect(await text(till.accounts.refund(key, 60, keyed('first', '60')))).toBe(first);
  expect(await outcome(till.accounts.refund(key, 50, keyed('first', '50')))).toBe('idempotency_key_reused');
});

test('an Idempotency-Key whose refund failed at the mint may be used again', async () => {
  const till = await newTill();
  const key = await keyWithoutSmallProofs(till);
  till.wallet.answers.push(refuses);
  expect(await outcome(till.accounts.refund(key, 1, keyed('again', '1')))).toBe('mint_unreachable');
  expect(await till.balance(key)).toBe(4_000);
  expect(await till.accounts.refund(key, 1, keyed('again', '1'))).toMatchObject({
    amount: 1,
    replayed: false,
  });
});

test('whoever was told to repeat a refund gets that very one, also after new money came', async () => {
  const till = await newTill();
  const key = await keyWithoutSmallProofs(till);
  const answer = slowSwap(till);
  const first = outcome(till.accounts.refund(key, 1));
  await settleDown();
  await till.clock.advance(20_000);
  expect(await first).toBe('mint_unreachable');
  await till.accounts.topUp(key, new Secret(token(10, 'new money')));
  answer();
  await settleDown();
  expect(await till.balance(key)).toBe(13_000);
  expect(await till.accounts.refund(key, 1)).toMatchObject({ amount: 1, replayed: true });
  expect(await till.balance(key)).toBe(13_000);
  expect(await till.accounts.refund(key, 1)).toMatchObject({ amount: 1, replayed: false });
  expect(await till.balance(key)).toBe(12_000);
});

test('two refunds of everything at once give one token', async () => {
  const till = await newTill();
  const key = await till.key(10, 'twice');
  const [one, two] = await Promise.all([till.accounts.refund(key), till.accounts.refund(key)]);
  expect(two.token.reveal()).toBe(one.token.reveal());
});

test('a token is handed to nobody before its debit is on disk', async () => {
  const opened: (() => void)[] = [];
  let slow = false;
  const late = <T extends object>(result: T): T =>
    slow ? { ...result, durable: new Promise<void>((resolve) => opened.push(resolve)) } : result;
  const till = await newTill((ledger: Ledger) => ({
    ...ledger,
    openSend: (intent) => late(ledger.openSend(intent)),
    completeSend: (id, signatures, plan) => late(ledger.completeSend(id, signatures, plan)),
  }));
  const key = await till.key(10, 'slow disk');
  slow = true;
  const answers: string[] = [];
  for (const name of ['first', 'second']) {
    void till.accounts.refund(key).then(() => answers.push(name));
    await settleDown();
  }
  expect(answers).toEqual([]);
  slow = false;
  while (opened.length > 0) {
    opened.shift()?.();
    await settleDown();
  }
  expect(answers.toSorted()).toEqual(['first', 'second']);
});

test('a key with nothing but dust refunds where its next money comes from', async () => {
  const till = await newTill();
  const key = await till.key(10, 'dust');
  const { account } = await till.accounts.info(key);
  till.spendFrom(account.id, 500);
  expect(await till.accounts.refund(key)).toMatchObject({ amount: 9 });
  await till.accounts.topUp(key, new Secret(token(1_000, 'from b', B)));
  expect(await till.accounts.refund(key)).toMatchObject({ amount: 1_000, mint: B });
});

test('a key that was paid from two mints is refunded in two parts, never stranded', async () => {
  const till = await newTill();
  const key = await till.key(10, 'from a');
  await till.accounts.topUp(key, new Secret(token(1_000, 'from b', B)));
  expect(await till.accounts.refund(key, 500)).toMatchObject({ amount: 500, mint: B });
  const one = await till.accounts.refund(key);
  // Its answer may have been lost: the rest must not hide it.
  expect((await till.accounts.refund(key)).token.reveal()).toBe(one.token.reveal());
  till.wallet.spend(one.token.reveal());
  const two = await till.accounts.refund(key);
  expect(one.amount + two.amount).toBe(510);
  expect(await till.balance(key)).toBe(0);
  expect(till.ledger.totals().drift).toBe(0);
});

test('of two refunds at once neither takes the part that the other one made', async () => {
  const till = await newTill();
  const key = await till.key(10, 'from a');
  await till.accounts.topUp(key, new Secret(token(1_000, 'from b', B)));
  const [one, two] = await Promise.all([till.accounts.refund(key), till.accounts.refund(key)]);
  expect(two.token.reveal()).toBe(one.token.reveal());
  till.wallet.spend(one.token.reveal());
  const rest = await till.accounts.refund(key);
  expect(one.amount + rest.amount).toBe(1_010);
  expect(await till.balance(key)).toBe(0);
});

test('a refused token that comes again while its refusal is being written is taken up, not left lying', async () => {
  let write: () => void = () => undefined;
  const till = await newTill((ledger) => ({
    ...ledger,
    failOperation: (id, reason) => {
      const { durable } = ledger.failOperation(id, reason);
      return { durable: new Promise((resolve) => (write = () => void durable.then(resolve))) };
    },
  }));
  till.wallet.answers.push(refuses);
  const first = outcome(till.accounts.create(new Secret(token(5, 'again')), {}));
  await settleDown();
  const second = outcome(till.accounts.create(new Secret(token(5, 'again')), {}));
  await settleDown();
  write();
  await first;
  expect(await second).toMatchObject({ balance: 5_000 });
  expect(till.ledger.unfinished()).toEqual([]);
});

test('a token that the mint refused, but did not call spent, is never called spent', async () => {
  const till = await newTill();
  till.wallet.answers.push(refuses);
  expect(await outcome(till.accounts.create(new Secret(token(5, 'good')), {}))).toBe('invalid_cashu_token');
  expect(await outcome(till.accounts.create(new Secret(token(5, 'good~otherwise')), {}))).toBe(
    'token_already_claimed',
  );
  const once = { ...bearer('good'), remainder: 'return' } as const;
  expect(await outcome(payerOf(till, once, () => ZERO))).toBe('token_already_claimed');
  expect(await outcome(till.accounts.create(new Secret(token(5, 'good')), {}))).toMatchObject({
    balance: 5_000,
  });
});

test('a refund asked for while the deposit is under way waits for it, and says what became of it', async () => {
  const till = await newTill();
  const answer = slowSwap(till);
  const created = till.accounts.create(new Secret(token(5, 'under way')), {});
  await settleDown();
  const refund = till.accounts.refund(bearer('under way'));
  answer();
  expect(await refund).toMatchObject({ amount: 5 });
  await created;

  till.wallet.answers.push(refuses);
  await outcome(till.accounts.create(new Secret(token(5, 'refused')), {}));
  expect(await outcome(till.accounts.refund(bearer('refused')))).toBe('invalid_cashu_token');
});

test('an absurd amount is refused as more than there is', async () => {
  const till = await newTill();
  expect(await outcome(till.accounts.refund(await till.key(10, 'rich'), 21e14))).toBe('insufficient_balance');
});

test('a part in very many proofs is refunded, less the fee of the mint for them', async () => {
  const till = await newTill();
  const key = await till.key(10, 'from b', B);
  for (let i = 0; i < 70; i++) await till.accounts.topUp(key, new Secret(token(3, `coins ${i}`)));
  const known = till.wallet.activeKeyset;
  till.wallet.activeKeyset = async (mint, unit) => ({ ...(await known(mint, unit)), feePpk: () => 100 });
  expect(await till.accounts.refund(key)).toMatchObject({ amount: 196 });
  expect(await till.balance(key)).toBe(10_000);
  expect(till.ledger.totals().drift).toBe(0);
});

test('a refund whose answer was lost can be had by its id, whatever moved since, and by nobody else', async () => {
  const till = await newTill();
  const key = await till.key(100, 'owner');
  const lost = await till.accounts.refund(key, 60);
  await till.accounts.topUp(key, new Secret(token(10, 'new money')));
  await till.accounts.refund(key);
  const again = await till.accounts.refundOf(key, lost.operation);
  expect(again).toMatchObject({ amount: 60, replayed: true });
  expect(again.token.reveal()).toBe(lost.token.reveal());
  expect(await till.balance(key)).toBe(0);
  const other = await till.key(5, 'other');
  for (const name of [lost.operation, 'op_0'])
    expect(await outcome(till.accounts.refundOf(other, name))).toBe('refund_not_found');
});

test('a one-shot payment that was credited late pays for the request that is sent again, and for no further one', async () => {
  const till = await newTill();
  const answer = slowSwap(till);
  const once = { ...bearer('late'), remainder: 'return' } as const;
  const first = outcome(payerOf(till, once, () => ZERO));
  await settleDown();
  await till.clock.advance(20_000);
  expect(await first).toBe('mint_unreachable');
  answer();
  await settleDown();
  const { account, remainder } = await payerOf(till, once, () => ZERO);
  expect(remainder).toBe('return');
  till.spendFrom(account, 1_000);
  expect(await outcome(payerOf(till, once, () => ZERO))).toBe('token_already_spent');

  await payerOf(till, { ...bearer('claimed'), remainder: 'return' }, () => ZERO);
  await till.accounts.claimChange(new Secret(token(5, 'claimed')));
  const claimed = payerOf(till, { ...bearer('claimed'), remainder: 'return' }, () => ZERO);
  expect(await outcome(claimed)).toBe('token_already_spent');
});

test('a request that begins while change is being made has its money in the one change that can be claimed', async () => {
  const till = await newTill();
  const original = new Secret(token(100, 'twice'));
  const once = { kind: 'token', token: original, remainder: 'return' } as const;
  const { account } = await payerOf(till, once, () => ZERO);
  const { activeKeyset } = till.wallet;
  let look: () => void = () => undefined;
  const looked = new Promise<void>((resolve) => (look = resolve));
  till.wallet.activeKeyset = (...asked) => looked.then(() => activeKeyset(...asked));
  const early = outcome(till.accounts.claimChange(original));
  await settleDown();
  till.ledger.hold({ id: 'second', account, amount: fromSat(40) });
  look();
  expect(await early).toBe('refund_pending');
  till.ledger.settle('second', fromSat(5));
  expect(await till.accounts.claimChange(original)).toMatchObject({ amount: 95 });
});

test('change that was made comes before what its fees gave back, which comes once that is spent', async () => {
  const till = await newTill();
  const original = new Secret(token(8, 'once'));
  const { activeKeyset, planReceive } = till.wallet;
  let ppk = 1_000;
  till.wallet.activeKeyset = async (mint, unit) => ({
    ...(await activeKeyset(mint, unit)),
    feePpk: () => ppk,
  });
  till.wallet.planReceive = async (info) => ({ ...(await planReceive(info)), amounts: [8] });
  const once = { kind: 'token', token: original, remainder: 'return' } as const;
  const { account } = await payerOf(till, once, () => ZERO);
  till.spendFrom(account, 1_000);
  till.wallet.answers.push(
    () => ({ outcome: 'unresolved' }),
    () => {
      ppk = 0;
      return { outcome: 'replan', code: 11005 };
    },
  );
  const first = outcome(till.accounts.claimChange(original));
  await settleDown();
  await till.clock.advance(20_000);
  await settleDown();
  await first;
  await till.clock.advance(20_000);
  await settleDown();
  expect(till.ledger.account(account)?.available).toBe(1_000);
  const change = await till.accounts.claimChange(original);
  expect(change.amount).toBe(6);
  till.wallet.spend(change.token.reveal());
  expect(await till.accounts.claimChange(original)).toMatchObject({ amount: 1 });
  expect(till.ledger.totals().drift).toBe(0);
});

test('what was left unfinished goes on when it is asked for, with nobody having taken it up', async () => {
  const till = await newTill();
  const key = await keyWithoutSmallProofs(till);
  till.wallet.answers.push(() => ({ outcome: 'unresolved' }));
  till.wallet.answers.push(() => ({ outcome: 'unresolved' }));
  const refund = outcome(till.accounts.refund(key, 1));
  const deposit = outcome(till.accounts.create(new Secret(token(5, 'unfinished')), {}));
  await settleDown();
  const operations = till.ledger.unfinished();
  expect(operations.map(({ kind }) => kind).toSorted()).toEqual(['receive', 'send']);
  const { deposits, payouts } = await till.command();
  await till.clock.advance(20_000);
  expect([await refund, await deposit]).toEqual(['mint_unreachable', 'mint_unreachable']);
  for (const { id, kind } of operations)
    expect(await (kind === 'send' ? payouts.again(id) : deposits.settled(id))).toBeDefined();
  expect(till.ledger.unfinished()).toEqual([]);
});

test('a key whose mint was taken off the list is refunded by another one', async () => {
  const till = await newTill();
  const gone = 'https://gone.test';
  const key = await till.key(10, 'of a mint that is gone', gone);
  await till.key(100, 'of another');
  const { activeKeyset } = till.wallet;
  till.wallet.activeKeyset = (mint, unit) =>
    mint === gone ? Promise.reject(new NodeError('untrusted_mint', 'not listed')) : activeKeyset(mint, unit);
  expect(await till.accounts.refund(key)).toMatchObject({ amount: 10, mint: A });
  expect(await till.balance(key)).toBe(0);
  expect(till.ledger.totals().drift).toBe(0);
});
