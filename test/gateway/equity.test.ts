/** Money that the operator puts in is the operator's: no account has it, and its token opens none. */
import { expect, test } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { OPERATOR_ACCOUNT } from '../../src/gateway/lightning.ts';
import { newTill, outcome, token } from './kit.ts';

test('a token of the operator is credited to nobody and is no credential', async () => {
  const till = await newTill();
  const text = token(100, 'own');
  const to = { account: OPERATOR_ACCOUNT, accountKind: 'key', purpose: 'equity' } as const;
  const { operation } = await till.deposits.deposit(till.wallet.inspect(text), to);
  expect(operation).toMatchObject({ state: 'done', purpose: 'equity' });
  expect(till.ledger.totals()).toMatchObject({
    drift: 0,
    liabilities: { avail: 0 },
    equity: { payouts: 100_000 },
  });
  expect(till.ledger.earned()).toBe(100_000);
  expect(till.ledger.account(OPERATOR_ACCOUNT)).toBeUndefined();

  const presented = { kind: 'token', token: new Secret(text) } as const;
  for (const remainder of ['keep', 'return'] as const)
    expect(() => till.payers.known({ ...presented, remainder })).toThrow('Key not found');
  expect(await outcome(till.accounts.create(new Secret(text), {}))).toMatch(/^token_already_/);
  expect(await outcome(till.accounts.info({ ...presented, remainder: 'keep' }))).toMatch(/^token_already_/);
  expect(await outcome(till.accounts.claimChange(new Secret(text)))).toBe('refund_not_found');
});
