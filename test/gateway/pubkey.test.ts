/** The account of a Nostr public key: made by its first deposit, used like that of a key, reached by nothing else. */
import { expect, test } from 'vitest';
import { type AccountId, accountOfKey, accountOfPubkey, newRequestId } from '../../src/base/id.ts';
import { ZERO, msat } from '../../src/base/money.ts';
import { Secret } from '../../src/base/secret.ts';
import { createChildKeys } from '../../src/gateway/child-keys.ts';
import { createOnce } from '../../src/gateway/idempotency.ts';
import { createLookUps } from '../../src/gateway/lookup.ts';
import type { Credential } from '../../src/gateway/request.ts';
import { type Till, newTill, outcome, payerOf, refuses, token } from './kit.ts';
import { expectAllBooked, newLightningTill } from './lightning-kit.ts';

const PUBKEY = 'ab'.repeat(32);
const ALICE: Credential = { kind: 'pubkey', pubkey: PUBKEY };
const BOB: Credential = { kind: 'pubkey', pubkey: 'cd'.repeat(32) };
const topUp = (till: Till, amount: number, name: string, key?: string) =>
  till.accounts.topUp(
    ALICE,
    new Secret(token(amount, name)),
    key === undefined ? undefined : { key, request: name },
  );
const childKeysOf = ({ ledger, payers }: Till) =>
  createChildKeys({
    ledger,
    payers,
    once: createOnce({ ledger }),
    keySecret: new Secret(Buffer.alloc(32, 9)),
    random: (bytes) => Buffer.alloc(bytes, 5),
    costEach: msat(1_000),
  });

test('a public key that never deposited has a balance of 0 and is asked to pay', async () => {
  const till = await newTill();
  expect(await till.accounts.info(ALICE)).toMatchObject({ spendable: 0, children: [] });
  expect(await outcome(payerOf(till, ALICE, () => msat(7)))).toBe('payment_required');
  expect(await outcome(till.accounts.refund(ALICE))).toBe('nothing_to_refund');
  const asked = childKeysOf(till).create(ALICE, { count: 1, terms: {} });
  expect(await outcome(asked)).toBe('insufficient_balance');
  expect(till.ledger.account(accountOfPubkey(PUBKEY))).toBeUndefined();
});

test('its first deposit makes the account, further ones add to it, the same token again adds nothing', async () => {
  const till = await newTill();
  expect(await topUp(till, 5, 'first')).toEqual({ credited: 5_000, replayed: false });
  expect(await topUp(till, 7, 'second')).toEqual({ credited: 7_000, replayed: false });
  expect(await topUp(till, 5, 'first')).toEqual({ credited: 5_000, replayed: true });
  expect(await till.balance(ALICE)).toBe(12_000);
  expect(await payerOf(till, ALICE, () => ZERO)).toEqual({
    account: accountOfPubkey(PUBKEY),
    remainder: 'keep',
  });
  expect(till.ledger.totals().drift).toBe(0);
});

test('many first deposits at once are each credited once', async () => {
  const till = await newTill();
  await Promise.all(['a', 'b', 'c', 'a', 'b', 'c'].map((name) => topUp(till, 3, name)));
  expect(await till.balance(ALICE)).toBe(9_000);
});

test('a first deposit that the mint refuses leaves nothing to spend, and the token to its owner', async () => {
  const till = await newTill();
  till.wallet.answers.push(refuses);
  expect(await outcome(topUp(till, 5, 'refused'))).toBe('invalid_cashu_token');
  expect(await till.balance(ALICE)).toBe(0);
  expect(await topUp(till, 5, 'refused')).toMatchObject({ credited: 5_000 });
});

test('nothing that is told about the account opens it: not its name, and not the token that it was made with', async () => {
  const till = await newTill();
  await topUp(till, 5, 'first');
  const name = (await till.accounts.info(ALICE)).apiKey;
  const asBearer = (text: string): Credential[] => [
    { kind: 'key', key: new Secret(text) },
    { kind: 'token', token: new Secret(text), remainder: 'keep' },
    { kind: 'token', token: new Secret(text), remainder: 'return' },
  ];
  for (const text of [name.reveal(), PUBKEY, `sk-${PUBKEY}`, token(5, 'first')]) {
    for (const credential of asBearer(text)) {
      expect(await outcome(payerOf(till, credential, () => ZERO))).toMatch(
        /^(invalid_api_key|invalid_cashu_token|token_already_spent)$/,
      );
      expect(await outcome(till.accounts.refund(credential))).toBe('invalid_api_key');
    }
  }
  expect(accountOfKey(`sk-${PUBKEY}`)).not.toBe(accountOfPubkey(PUBKEY));
  expect(await till.balance(BOB)).toBe(0);
  expect(await till.balance(ALICE)).toBe(5_000);
});

test('a token that another account was made with is not credited to a public key, nor the other way round', async () => {
  const till = await newTill();
  await till.key(5, 'of a key');
  expect(await outcome(topUp(till, 5, 'of a key'))).toBe('token_already_spent');
  await topUp(till, 5, 'of alice');
  const again = till.accounts.create(new Secret(token(5, 'of alice')), {});
  expect(await outcome(again)).toBe('token_already_spent');
  expect(await till.balance(ALICE)).toBe(5_000);
});

test('a refund gives the balance as a token, and the same token until new money comes', async () => {
  const till = await newTill();
  await topUp(till, 9, 'first');
  const first = await till.accounts.refund(ALICE);
  expect(first).toMatchObject({ amount: 9, replayed: false });
  expect((await till.accounts.refund(ALICE)).token.reveal()).toBe(first.token.reveal());
  expect(await till.balance(ALICE)).toBe(0);
  await topUp(till, 4, 'second');
  expect(await till.accounts.refund(ALICE, 3)).toMatchObject({ amount: 3 });
});

test('an Idempotency-Key makes a top-up and a refund of it happen once', async () => {
  const till = await newTill();
  await topUp(till, 9, 'first', 'key 1');
  expect(await topUp(till, 9, 'first', 'key 1')).toMatchObject({ replayed: true });
  expect(await outcome(topUp(till, 8, 'other', 'key 1'))).toBe('idempotency_key_reused');
  const given = { key: 'key 2', request: 'refund' };
  const { token: paid } = await till.accounts.refund(ALICE, 4, given);
  expect((await till.accounts.refund(ALICE, 4, given)).token.reveal()).toBe(paid.reveal());
  expect(await till.balance(ALICE)).toBe(5_000);
});

test('it looks up its operations, charges and history, and nobody else does', async () => {
  const till = await newTill();
  const lookUps = createLookUps(till);
  expect((await lookUps.history(ALICE, { limit: 10 })).lines).toEqual([]);
  await topUp(till, 9, 'first');
  const id = newRequestId();
  const account = accountOfPubkey(PUBKEY);
  till.ledger.hold({ id: `${id}:0`, account, amount: msat(900) });
  till.ledger.settle(`${id}:0`, msat(700));
  expect(await lookUps.generation(ALICE, id)).toMatchObject({ state: 'done', amount: 700 });
  const { lines } = await lookUps.history(ALICE, { limit: 10 });
  expect(lines.map(({ change }) => change)).toEqual([-700, 9_000]);
  const operation = lines[1]?.operation?.id ?? '';
  expect((await lookUps.operation(ALICE, operation)).status).toBe('done');
  await expect(lookUps.operation(BOB, operation)).rejects.toThrow('no such operation');
  expect(await outcome(lookUps.generation(BOB, id))).toBe('not_found');
  expect((await lookUps.history(BOB, { limit: 10 })).lines).toEqual([]);
});

test('it makes child keys that spend its balance, and takes them back', async () => {
  const till = await newTill();
  await topUp(till, 9, 'first');
  const childKeys = childKeysOf(till);
  const made = await childKeys.create(ALICE, { count: 1, terms: { balanceLimit: msat(2_000) } });
  const child: Credential = { kind: 'key', key: made.keys[0]?.key ?? new Secret('') };
  expect(await till.accounts.info(child)).toMatchObject({ spendable: 2_000 });
  expect(await till.accounts.info(ALICE)).toMatchObject({ spendable: 8_000, children: [{ totalSpent: 0 }] });
  await till.accounts.topUp(child, new Secret(token(4, 'by the child')));
  expect(await till.balance(ALICE)).toBe(12_000);
  expect(await outcome(till.accounts.refund(child))).toBe('child_key_not_allowed');
  await childKeys.revoke(ALICE, made.keys[0]?.id ?? '');
  expect(await outcome(till.accounts.info(child))).toBe('invalid_api_key');
});

test('an invoice tops it up, also as its first deposit, and hands out no key', async () => {
  const kit = await newLightningTill();
  const account: AccountId = accountOfPubkey(PUBKEY);
  const made = await kit.till.lightning.invoice({
    amountSats: 21,
    terms: {},
    to: { kind: 'pubkey', pubkey: PUBKEY },
  });
  kit.mint.payQuote(made.invoice);
  await kit.until('credited', () => kit.available(account) === 21_000);
  const proof = made.claimSecret ? { claimSecret: made.claimSecret } : {};
  const status = await kit.till.lightning.status(made.id, proof);
  expect(status.status).toBe('paid');
  expect(status.apiKey).toBeUndefined();
  await kit.restart();
  expect(kit.available(account)).toBe(21_000);
  expectAllBooked(kit);
});
