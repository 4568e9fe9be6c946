import { expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { Secret } from '../../src/base/secret.ts';
import { type Presenter, createJunkLimit } from '../../src/gateway/rate.ts';
import { fakeClock } from '../base/clock.ts';
import { A, newTill, outcome, refuses, token } from './kit.ts';

const HERE = '8.8.8.8';

function newLimit() {
  const clock = fakeClock();
  const limit = createJunkLimit({ clock });
  const refuse = (presenter: Presenter, times: number): void => {
    for (let i = 0; i < times; i++) limit.refused(presenter);
  };
  /** Milliseconds to wait, 0 when let in. */
  const wait = (presenter: Presenter): number => {
    try {
      limit.admit(presenter);
      return 0;
    } catch (error) {
      expect((error as NodeError).code).toBe('rate_limited');
      return (error as NodeError).options.retryAfterMs ?? -1;
    }
  };
  return { clock, limit, refuse, wait };
}

test('a source that had nothing refused has no limit', () => {
  const { wait } = newLimit();
  for (let i = 0; i < 10_000; i++) expect(wait({ source: HERE, mint: A })).toBe(0);
});

test('after a burst of refusals a source waits for the next one, and other sources do not', async () => {
  const { clock, refuse, wait } = newLimit();
  refuse({ source: HERE }, LIMITS.junk.sourceBurst);
  const pause = 60_000 / LIMITS.junk.sourcePerMinute;
  expect(wait({ source: HERE })).toBe(pause);
  expect(wait({ source: '9.9.9.9' })).toBe(0);
  await clock.advance(pause);
  expect(wait({ source: HERE })).toBe(0);
});

test('many sources together are bounded at one mint, and another mint is not', () => {
  const { refuse, wait } = newLimit();
  for (let i = 0; i < LIMITS.junk.mintBurst; i++) refuse({ source: `8.8.${i >> 8}.${i & 255}`, mint: A }, 1);
  expect(wait({ source: '1.1.1.1', mint: A })).toBeGreaterThan(0);
  expect(wait({ source: undefined, mint: A })).toBeGreaterThan(0);
  expect(wait({ source: '1.1.1.1', mint: 'https://b.test' })).toBe(0);
  expect(wait({ source: '1.1.1.1' })).toBe(0);
});

test('refusals of requests that ran at once are all counted, up to a wait that is bounded', async () => {
  const { clock, refuse, wait } = newLimit();
  refuse({ source: HERE }, 100_000);
  expect(wait({ source: HERE })).toBeLessThanOrEqual((LIMITS.junk.debtMinutes + 1) * 60_000);
  await clock.advance((LIMITS.junk.debtMinutes + 1) * 60_000);
  expect(wait({ source: HERE })).toBe(0);
});

test('sources are forgotten, the quietest first, when there are too many', () => {
  const { refuse, wait } = newLimit();
  refuse({ source: HERE }, LIMITS.junk.sourceBurst);
  for (let i = 0; i < LIMITS.junk.namesMax; i++) refuse({ source: `other ${i}` }, 1);
  expect(wait({ source: HERE })).toBe(0);
});

test('junk tokens cost the journal a bounded number of entries; a good token of somebody else still pays', async () => {
  const till = await newTill();
  const present = (name: string, source: string) =>
    outcome(till.accounts.create(new Secret(token(5, name)), {}, undefined, () => source));
  for (let i = 0; i < LIMITS.junk.sourceBurst; i++) {
    till.wallet.answers.push(refuses);
    expect(await present(`junk ${i}`, HERE)).toBe('invalid_cashu_token');
  }
  const { sequence } = till.ledger.health();
  for (let i = 0; i < 50; i++) expect(await present(`more junk ${i}`, HERE)).toBe('rate_limited');
  expect(till.ledger.health().sequence).toBe(sequence);
  expect(await present('good', '9.9.9.9')).toMatchObject({ balance: 5_000 });
  await till.clock.advance(60_000);
  expect(await present('good, too', HERE)).toMatchObject({ balance: 5_000 });
});

test('what is wrong with a token before any mint is asked leaves no trace in the journal', async () => {
  const till = await newTill();
  const { sequence } = till.ledger.health();
  for (let i = 0; i < 100; i++)
    expect(await outcome(till.accounts.create(new Secret('cashuBnonsense'), {}, undefined, () => HERE))).toBe(
      'invalid_cashu_token',
    );
  expect(till.ledger.health().sequence).toBe(sequence);
});
