/** Everything at once on one key: whatever the order, each msat is on the key, spent, or in exactly one token. */
import { expect, test } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { seeded } from '../base/random.ts';
import { newTill, outcome, signs, token } from './kit.ts';

const SEEDS = 150;
const KNOWN = new Set(['nothing_to_refund', 'refund_too_small', 'refund_busy', 'insufficient_balance']);

test('top-ups, refunds and requests of one key at the same time lose nothing and double nothing', async () => {
  const till = await newTill();
  const { accounts, wallet, ledger } = till;
  let refunds = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = seeded(seed);
    const any = (most: number): number => Math.floor(random() * most);
    /** The mint takes its time, each answer another. */
    const slowly = async (turns = any(6)): Promise<void> => {
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    };
    const key = await till.key(100, `first ${seed}`);
    const { account } = await accounts.info(key);
    wallet.answers.push(
      ...Array.from({ length: 12 }, () => async (request: Parameters<typeof signs>[0]) => {
        await slowly();
        return signs(request);
      }),
    );
    let paidIn = 100_000;
    let spent = 0;
    const tokens = new Map<string, number>();

    const topUp = async (name: string): Promise<void> => {
      const sats = 1 + any(60);
      const paid = await accounts.topUp(key, new Secret(token(sats, `${name} ${seed}`)));
      expect(paid.credited).toBe(sats * 1000);
      paidIn += sats * 1000;
    };
    const refund = async (sats: number | undefined, name: string): Promise<void> => {
      const given = sats === undefined ? undefined : { key: `${name} ${seed}`, request: `${sats}` };
      const made = await outcome(accounts.refund(key, sats, given));
      if (typeof made === 'string') return void expect(KNOWN).toContain(made);
      tokens.set(made.token.reveal(), made.amount * 1000);
      refunds += 1;
    };
    const request = async (id: string): Promise<void> => {
      const held = ledger.hold({ id, account: account.id, amount: 5_000 as never });
      if (held.outcome !== 'held') return;
      await slowly();
      const ended = ledger.settle(id, (any(6) * 1000) as never);
      if (ended.outcome === 'settled') spent += ended.charged;
    };
    const deeds = [
      () => topUp('a'),
      () => refund(undefined, 'all'),
      () => request(`${seed} r1`),
      () => refund(1 + any(90), 'part'),
      () => topUp('b'),
      () => refund(undefined, 'all again'),
      () => request(`${seed} r2`),
    ].sort(() => random() - 0.5);
    await Promise.all(
      deeds.map(async (deed) => {
        await slowly();
        await deed();
      }),
    );
    wallet.answers.splice(0);
    const left = (await accounts.info(key)).account;
    const refunded = [...tokens.values()].reduce((sum, amount) => sum + amount, 0);
    expect(left.held, `seed ${seed}`).toBe(0);
    expect(left.available + spent + refunded, `seed ${seed}`).toBe(paidIn);
  }
  expect(ledger.totals().drift).toBe(0);
  // Guards against histories in which nothing was ever refunded.
  expect(refunds).toBeGreaterThan(SEEDS);
}, 120_000);
