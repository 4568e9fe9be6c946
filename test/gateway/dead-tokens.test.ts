import { expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { Secret } from '../../src/base/secret.ts';
import { createDeadTokens } from '../../src/gateway/dead-tokens.ts';
import type { SwapOutcome } from '../../src/wallet/wallet.ts';
import { fakeClock } from '../base/clock.ts';
import { newTill, outcome, token } from './kit.ts';

const spent = (): SwapOutcome => ({ outcome: 'spent' });

test('one dead proof makes a token dead, and only for so long as it is remembered', async () => {
  const clock = fakeClock();
  const dead = createDeadTokens({ clock });
  dead.add(['a']);
  expect([dead.includes(['b', 'a']), dead.includes(['b']), dead.includes([])]).toEqual([true, false, false]);
  await clock.advance(LIMITS.deadTokens.keepMs);
  expect(dead.includes(['a'])).toBe(false);
});

test('the proof that was asked for last is forgotten last', () => {
  const dead = createDeadTokens({ clock: fakeClock() });
  dead.add(['first', 'second']);
  dead.add(Array.from({ length: LIMITS.deadTokens.claimsMax - 2 }, (_, i) => `${i}`));
  expect(dead.includes(['first'])).toBe(true);
  dead.add(['one more']);
  expect([dead.includes(['first']), dead.includes(['second'])]).toEqual([true, false]);
});

test('a token whose proof is spent is refused again without asking the mint, in whatever text', async () => {
  const till = await newTill();
  const present = (name: string) => outcome(till.accounts.create(new Secret(token(5, name)), {}));
  till.wallet.spendProof('gone');
  till.wallet.answers.push(spent);
  expect(await present('gone')).toBe('token_already_spent');
  const asked = till.wallet.swaps();
  const { sequence } = till.ledger.health();
  till.wallet.planReceive = () => Promise.reject(new Error('the mint was asked'));
  expect(await present('gone')).toBe('token_already_spent');
  expect(await present('gone~ in another text')).toBe('token_already_spent');
  expect([till.wallet.swaps(), till.ledger.health().sequence]).toEqual([asked, sequence]);
});

test('a proof that was only refused together with a spent one is not called spent', async () => {
  const till = await newTill();
  const present = (name: string) => outcome(till.accounts.create(new Secret(token(5, name)), {}));
  // The mint refuses the token as a whole, but of this proof it does not say that it is spent.
  till.wallet.answers.push(spent);
  expect(await present('innocent')).toBe('token_already_spent');
  expect(await present('innocent~ alone')).toBe('token_already_claimed');
});

test('a mint that does not say which proofs are spent leaves everything as it was', async () => {
  const till = await newTill();
  till.wallet.spentClaims = () => Promise.reject(new Error('away'));
  till.wallet.answers.push(spent);
  const present = () => outcome(till.accounts.create(new Secret(token(5, 'unclear')), {}));
  expect(await present()).toBe('token_already_spent');
  expect(await present()).toBe('token_already_spent');
});
