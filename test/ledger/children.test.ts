import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import type { AccountId } from '../../src/base/id.ts';
import { type Msat, ZERO, msat } from '../../src/base/money.ts';
import type { ChildTerms } from '../../src/ledger/children.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { accountOf, deposit, digits, newLedger, newPlace, sats } from './fixture.ts';

const make = (
  ledger: Ledger,
  parent: AccountId,
  names: string[],
  terms: ChildTerms = {},
  cost: Msat = ZERO,
) => {
  const accounts = names.map((name) => accountOf(name));
  return { accounts, ...ledger.createChildren({ parent, accounts, seed: 's', cost, terms }) };
};

test('a child spends the balance of its parent up to its own limit, and both remember it', async () => {
  const { ledger, place } = await newLedger();
  const { account: parent } = await deposit(ledger, 'parent', { amounts: digits(100) });
  const { outcome, accounts } = make(ledger, parent, ['a', 'b'], { balanceLimit: msat(5_000) }, msat(200));
  const [child, other] = accounts as [AccountId, AccountId];
  expect(outcome).toBe('created');
  expect(ledger.account(parent)).toMatchObject({ available: 99_800, totalSpent: 200, totalRequests: 0 });
  expect(ledger.account(child)).toMatchObject({ parent, available: 99_800, held: 0, totalSpent: 0 });
  expect(ledger.hold({ id: '1', account: child, amount: msat(4_000) }).outcome).toBe('held');
  expect(ledger.hold({ id: '2', account: child, amount: msat(1_001) })).toMatchObject({
    outcome: 'limit',
    limit: 5_000,
  });
  expect(ledger.hold({ id: '3', account: other, amount: msat(5_000) }).outcome).toBe('held');
  expect(ledger.limitLeft(child)).toBe(1_000);
  // What the hold does not cover is charged up to the limit, never past it.
  expect(ledger.settle('1', msat(9_000))).toMatchObject({ charged: 5_000, available: 0 });
  expect(ledger.release('3')).toMatchObject({ charged: 0, available: 5_000 });
  expect(ledger.account(parent)).toMatchObject({ available: 94_800, held: 0, totalSpent: 5_200 });
  expect(ledger.children(parent)).toMatchObject([
    { id: child, totalSpent: 5_000, totalRequests: 1 },
    { id: other, totalSpent: 0 },
  ]);

  await ledger.resetChild(parent, child)?.durable;
  expect(ledger.limitLeft(child)).toBe(5_000);
  expect(ledger.account(child)).toMatchObject({ totalSpent: 5_000 });
  expect(ledger.totals().drift).toBe(0);
  await ledger.close();
  const again = await place.open();
  expect(again.limitLeft(child)).toBe(5_000);
  await again.close();
  expect((await place.audit()).totals.drift).toBe(0);
});

test('limits of the parent bind its children; expired or revoked keys pay for nothing', async () => {
  const { ledger, place } = await newLedger();
  const { account: parent } = await deposit(ledger, 'parent', { amounts: digits(100) });
  const stranger = await deposit(ledger, 'stranger', { amounts: digits(100) });
  const soon = place.clock.now() / 1000 + 60;
  const [child] = make(ledger, parent, ['child']).accounts as [AccountId];
  const [brief] = make(ledger, parent, ['brief'], { validityDate: soon }).accounts as [AccountId];
  await ledger.setAccountTerms(parent, { balanceLimit: msat(3_000) }).durable;
  expect(ledger.limitLeft(child)).toBe(3_000);
  expect(ledger.hold({ id: '1', account: child, amount: msat(3_001) }).outcome).toBe('limit');
  expect(ledger.hold({ id: '2', account: brief, amount: msat(1) }).outcome).toBe('held');
  place.clock.advance(60_000);
  expect(ledger.hold({ id: '3', account: brief, amount: msat(1) }).outcome).toBe('expired');
  expect(ledger.revokeChild(stranger.account, child)).toBeUndefined();
  expect(ledger.resetChild(stranger.account, child)).toBeUndefined();
  await ledger.revokeChild(parent, brief)?.durable;
  expect(ledger.account(brief)).toBeUndefined();
  expect(ledger.hold({ id: '4', account: brief, amount: msat(1) }).outcome).toBe('unknown-account');
  expect(ledger.settle('2', msat(1))).toMatchObject({ charged: 1 });
  expect(ledger.account(parent)).toMatchObject({ held: 0, totalSpent: 1 });
  expect(make(ledger, parent, ['dear'], {}, sats(1_000))).toMatchObject({ outcome: 'insufficient' });
  const many = Array.from({ length: 256 }, (_, i) => `one of many ${i}`);
  expect(make(ledger, parent, many)).toMatchObject({ outcome: 'too-many', most: 256 });
});

test('history is newest first with the balance after each movement, page by page, a request being one line', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'mine', { amounts: digits(100) });
  const other = await deposit(ledger, 'other', { amounts: digits(100) });
  const [child] = make(ledger, account, ['child']).accounts as [AccountId];
  for (let i = 1; i <= 5; i++) {
    const payer = i === 3 ? child : account;
    ledger.hold({ id: `req_${i}:0`, account: payer, amount: msat(2_000) });
    ledger.hold({ id: `req_o${i}:0`, account: other.account, amount: msat(2_000) });
    ledger.settle(`req_o${i}:0`, msat(7));
    ledger.settle(`req_${i}:0`, msat(i * 100));
  }
  ledger.hold({ id: 'req_6:0', account, amount: msat(2_000) });
  const first = await ledger.history(account, { limit: 4 });
  expect(first.lines.map(({ id, change, balance }) => [id, change, balance])).toEqual([
    ['req_5:0', -500, 98_500],
    ['req_4:0', -400, 99_000],
    ['req_3:0', -300, 99_400],
    ['req_2:0', -200, 99_700],
  ]);
  expect(first.lines.map(({ child: by }) => by)).toEqual([undefined, undefined, child, undefined]);
  const rest = await ledger.history(account, { limit: 4, from: first.next! });
  expect(rest.lines.map(({ change, balance }) => [change, balance])).toEqual([
    [-100, 99_900],
    [100_000, 100_000],
  ]);
  expect(rest.next).toBeUndefined();
  // A cursor that leads into the entries of somebody else opens nothing.
  const theirs = await ledger.history(other.account, { limit: 4, from: first.next! });
  expect(theirs).toEqual({ lines: [] });

  expect(await ledger.charge(account, 'req_2' as never)).toMatchObject({ state: 'done', amount: 200 });
  expect(await ledger.charge(account, 'req_6' as never)).toEqual({ state: 'pending', amount: 2_000 });
  expect(await ledger.charge(account, 'req_o2' as never)).toBeUndefined();
  expect(await ledger.charge(other.account, 'req_6' as never)).toBeUndefined();
  expect(await ledger.charge(child, 'req_3' as never)).toMatchObject({ state: 'done', amount: 300 });
  expect(await ledger.charge(child, 'req_2' as never)).toBeUndefined();
  await ledger.close();
  const again = await place.open();
  expect((await again.history(account, { limit: 4 })).lines).toEqual(first.lines);
  await again.close();
  expect((await place.audit()).totals.drift).toBe(0);
});

test('a charge under an Idempotency-Key is remembered with its cost; a release frees the key', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'keyed', { amounts: digits(100) });
  const keyed = (id: string) => ({ id, request: 'r', requestId: `req_${id}` as never });
  const hold = (id: string, on: Ledger = ledger) =>
    on.hold({ id: `${id}:0`, account, amount: msat(1_000), keyed: keyed(id) });
  for (const id of ['paid', 'failed', 'died']) expect(hold(id).outcome).toBe('held');
  ledger.settle('paid:0', msat(600));
  ledger.release('failed:0');
  expect(ledger.remembered('paid')).toMatchObject({
    request: 'r',
    paid: { requestId: 'req_paid', charged: 600 },
  });
  expect(ledger.remembered('failed')).toBeUndefined();
  await ledger.close();
  const again = await place.open();
  expect(again.remembered('paid')).toMatchObject({ paid: { charged: 600 } });
  expect(again.remembered('died')?.paid?.charged).toBeUndefined();
  expect(hold('died', again).outcome).toBe('held');
  await again.close();
});

type Step =
  | { do: 'hold'; who: number; amount: number }
  | { do: 'settle'; which: number; cost: number }
  | { do: 'release'; which: number; cost: number }
  | { do: 'reset'; who: number }
  | { do: 'revoke'; who: number }
  | { do: 'restart' };

const who = fc.nat({ max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('hold' as const), who, amount: fc.nat({ max: 9_000 }) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('settle' as const, 'settle' as const, 'release' as const),
      which: fc.nat({ max: 5 }),
      cost: fc.nat({ max: 12_000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('reset' as const, 'reset' as const, 'revoke' as const), who }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

/** One parent (0) and its children in the plainest arithmetic. */
interface Plain {
  id: AccountId;
  limit: number;
  counted: number;
  spent: number;
  held: number;
  alive: boolean;
}

test('no history of children passes a limit, loses a msat or forgets what was spent', async () => {
  const place = await newPlace();
  let ledger = await place.open();
  onTestFinished(() => ledger.close());
  let runs = 0;
  let held = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const name = `run ${++runs}`;
      const { account: parent } = await deposit(ledger, name, { amounts: digits(40) });
      const limits = [Infinity, 10_000, 15_000, Infinity];
      const keys: Plain[] = limits.map((limit, i) => ({
        id: i === 0 ? parent : accountOf(`${name} child ${i}`),
        limit,
        counted: 0,
        spent: 0,
        held: 0,
        alive: true,
      }));
      for (const { id, limit } of keys.slice(1)) {
        const terms = limit === Infinity ? {} : { balanceLimit: msat(limit) };
        ledger.createChildren({ parent, accounts: [id], seed: 's', cost: ZERO, terms });
      }
      const holds: { id: string; key: Plain; amount: number }[] = [];
      let avail = 40_000;
      const end = (index: number, cost: number | undefined): void => {
        const [hold] = holds.splice(index, 1);
        if (hold === undefined) return;
        const { key, amount } = hold;
        const left = key.limit - key.counted - key.held;
        // A revoked key has no limit any more; its parent's money is the bound.
        const over = Math.min(avail, key.alive ? left : Infinity);
        const charged = Math.min(cost ?? 0, amount + over);
        const result = cost === undefined ? ledger.release(hold.id) : ledger.settle(hold.id, msat(cost));
        expect(result).toMatchObject({ outcome: 'settled', charged });
        avail += amount - charged;
        key.held -= amount;
        key.counted += charged;
        key.spent += charged;
      };
      for (const [i, action] of steps.entries()) {
        if (action.do === 'hold') {
          const key = keys[action.who]!;
          const id = `${name} hold ${i}`;
          const { outcome } = ledger.hold({ id, account: key.id, amount: msat(action.amount) });
          const left = key.limit - key.counted - key.held;
          const expected = !key.alive
            ? 'unknown-account'
            : action.amount > left
              ? 'limit'
              : action.amount > avail
                ? 'insufficient'
                : 'held';
          expect(outcome).toBe(expected);
          if (outcome !== 'held') continue;
          held++;
          avail -= action.amount;
          key.held += action.amount;
          holds.push({ id, key, amount: action.amount });
        } else if (action.do === 'settle') end(action.which, action.cost);
        else if (action.do === 'release') end(action.which, undefined);
        else if (action.do === 'restart') {
          if (runs % 20 !== 0) continue;
          await ledger.close();
          expect((await place.audit()).totals.drift).toBe(0);
          ledger = await place.open();
          for (const { key, amount } of holds.splice(0)) {
            key.held -= amount;
            avail += amount;
          }
        } else if (action.who > 0) {
          const key = keys[action.who]!;
          const verb = action.do === 'reset' ? ledger.resetChild : ledger.revokeChild;
          expect(verb(parent, key.id) !== undefined).toBe(key.alive);
          if (action.do === 'reset') key.counted = 0;
          else key.alive = false;
        }
        const spent = keys.reduce((sum, key) => sum + key.spent, 0);
        expect(ledger.account(parent)).toMatchObject({ available: avail, totalSpent: spent });
        expect(ledger.totals().drift).toBe(0);
        for (const key of keys.slice(1)) {
          expect(ledger.account(key.id)?.totalSpent).toBe(key.alive ? key.spent : undefined);
          if (key.alive && key.limit < Infinity)
            expect(ledger.limitLeft(key.id)).toBe(Math.max(0, key.limit - key.counted - key.held));
        }
      }
    }),
    { numRuns: 200 },
  );
  expect(held).toBeGreaterThan(500);
});

test('a key that is over, or at its limit, pays for no child keys, and one that may pays within its period', async () => {
  const { ledger, place } = await newLedger();
  const { account: parent } = await deposit(ledger, 'parent', { amounts: digits(100) });
  const terms = { balanceLimit: msat(3_000), balanceLimitReset: 'daily' };
  await ledger.setAccountTerms(parent, terms).durable;
  expect(make(ledger, parent, ['a'], {}, msat(2_000)).outcome).toBe('created');
  expect(ledger.limitLeft(parent)).toBe(1_000);
  expect(make(ledger, parent, ['b'], {}, msat(1_001))).toMatchObject({
    outcome: 'limit',
    limit: 3_000,
    spent: 2_000,
  });
  expect(ledger.hold({ id: '1', account: parent, amount: msat(1_001) }).outcome).toBe('limit');
  await ledger.setAccountTerms(parent, { validityDate: place.clock.now() / 1000 }).durable;
  expect(make(ledger, parent, ['c'], {}, msat(1)).outcome).toBe('expired');
  expect(ledger.account(parent)).toMatchObject({ available: 98_000, totalSpent: 2_000 });
  expect(ledger.totals().drift).toBe(0);
});
