import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import type { AccountId, OperationId } from '../../src/base/id.ts';
import { msat } from '../../src/base/money.ts';
import type { Ledger, SendOperation } from '../../src/ledger/ledger.ts';
import { accountOf, digits, newPlace, payment, signatures, tokenFrom } from './fixture.ts';

/** What an account ought to be, in the plainest arithmetic. */
interface Plain {
  avail: number;
  held: number;
  spent: number;
}

type Step =
  | { do: 'deposit'; who: number; sat: number; end: 'complete' | 'fail' | 'leave' }
  | { do: 'hold'; who: number; amount: number }
  | { do: 'settle' | 'release'; which: number; cost: number }
  | { do: 'send'; who: number; sat: number | 'all'; feePpk: number }
  | { do: 'end-send'; which: number; well: boolean }
  | { do: 'withdraw'; sat: number };

const who = fc.nat({ max: 2 });
const which = fc.nat({ max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('deposit' as const),
    who,
    sat: fc.integer({ min: 1, max: 300 }),
    end: fc.constantFrom('complete', 'complete', 'complete', 'fail', 'leave'),
  }),
  fc.record({ do: fc.constant('hold' as const), who, amount: fc.nat({ max: 200_000 }) }),
  fc.record({
    do: fc.constantFrom('settle' as const, 'release' as const),
    which,
    cost: fc.nat({ max: 300_000 }),
  }),
  fc.record({
    do: fc.constant('send' as const),
    who,
    sat: fc.oneof(fc.constant('all' as const), fc.integer({ min: 1, max: 200 })),
    feePpk: fc.constantFrom(0, 100, 1000),
  }),
  fc.record({ do: fc.constant('end-send' as const), which, well: fc.boolean() }),
  fc.record({ do: fc.constant('withdraw' as const), sat: fc.integer({ min: 1, max: 50 }) }),
);

/** One history on fresh accounts, checked against plain arithmetic after each step. */
function history(ledger: Ledger, run: number) {
  const accounts = [0, 1, 2].map((i) => accountOf(`run ${run} account ${i}`));
  const plain: Plain[] = accounts.map(() => ({ avail: 0, held: 0, spent: 0 }));
  const holds: { id: string; who: number; amount: number }[] = [];
  const swaps: { operation: SendOperation; payer?: Plain }[] = [];
  let names = 0;
  const name = () => `run ${run} step ${names++}`;
  const earned = () => ledger.totals().equity['revenue']! + ledger.totals().equity['payouts']!;

  function send(account: AccountId, payer: Plain | undefined, amount: number | 'all', feePpk: number): void {
    const available = payer?.avail ?? earned();
    const purpose = payer === undefined ? 'withdraw' : 'refund';
    const outcome = ledger.openSend(tokenFrom(name(), account, { amount, purpose, feePpk: () => feePpk }));
    const units = amount === 'all' ? Math.floor(available / 1000) : amount;
    switch (outcome.outcome) {
      case 'insufficient':
        expect(outcome.available).toBe(available);
        if (feePpk === 0) expect(units === 0 || units * 1000 > available).toBe(true);
        break;
      case 'no-proofs':
        if (feePpk === 0) expect(outcome.have + outcome.inFlight).toBeGreaterThanOrEqual(units);
        break;
      case 'replayed':
        throw new Error('every send has its own id');
      default: {
        const { debit, swap, token } = outcome.operation;
        expect(debit).toBe((outcome.operation.amount + (swap?.fee ?? 0)) * 1000);
        expect(debit).toBeLessThanOrEqual(available);
        if (amount === 'all') expect(debit).toBe(units * 1000);
        else expect(outcome.operation.amount).toBe(amount);
        if (payer !== undefined) payer.avail -= debit;
        if (swap === undefined) expect(token!.reduce((sum, proof) => sum + proof.amount, 0)).toBe(units);
        else swaps.push({ operation: outcome.operation, ...(payer && { payer }) });
      }
    }
  }

  function take(action: Step): void {
    switch (action.do) {
      case 'deposit': {
        const changes = { account: accounts[action.who]!, amounts: digits(action.sat) };
        const { operation } = ledger.openReceive(payment(name(), changes));
        if (action.end === 'fail') ledger.failOperation(operation.id, 'refused');
        if (action.end !== 'complete') return;
        ledger.completeReceive(operation.id, signatures(operation.plan.amounts.length), operation.plan);
        plain[action.who]!.avail += action.sat * 1000;
        return;
      }
      case 'hold': {
        const account = plain[action.who]!;
        const id = name();
        const { outcome } = ledger.hold({ id, account: accounts[action.who]!, amount: msat(action.amount) });
        if (outcome === 'unknown-account') return expect(account.avail).toBe(0);
        expect(outcome).toBe(action.amount <= account.avail ? 'held' : 'insufficient');
        if (outcome !== 'held') return;
        account.avail -= action.amount;
        account.held += action.amount;
        holds.push({ id, who: action.who, amount: action.amount });
        return;
      }
      case 'settle':
      case 'release': {
        const [hold] = holds.splice(action.which, 1);
        if (hold === undefined) return;
        const account = plain[hold.who]!;
        const cost = action.do === 'settle' ? Math.min(action.cost, hold.amount + account.avail) : 0;
        const outcome =
          action.do === 'settle' ? ledger.settle(hold.id, msat(action.cost)) : ledger.release(hold.id);
        expect(outcome).toMatchObject({ outcome: 'settled', charged: cost });
        account.held -= hold.amount;
        account.avail += hold.amount - cost;
        account.spent += cost;
        return;
      }
      case 'send':
        return send(accounts[action.who]!, plain[action.who], action.sat, action.feePpk);
      case 'withdraw':
        return send('operator' as AccountId, undefined, action.sat, 0);
      case 'end-send': {
        const [swap] = swaps.splice(action.which, 1);
        if (swap === undefined) return;
        const { id, debit, swap: plan } = swap.operation;
        if (action.well) ledger.completeSend(id, signatures(plan!.plan.amounts.length));
        else ledger.failOperation(id, 'refused');
        if (!action.well && swap.payer) swap.payer.avail += debit;
      }
    }
  }

  return {
    take,
    check: () => {
      expect(ledger.totals().drift).toBe(0);
      for (const [i, { avail, held, spent }] of plain.entries()) {
        const account = ledger.account(accounts[i]!);
        expect([account?.available ?? 0, account?.held ?? 0, account?.totalSpent ?? 0]).toEqual([
          avail,
          held,
          spent,
        ]);
      }
    },
    /** A restart in the middle: holds end, everything else stays. */
    restarted: (again: Ledger) => {
      ledger = again;
      for (const { who, amount } of holds.splice(0)) {
        plain[who]!.held -= amount;
        plain[who]!.avail += amount;
      }
    },
    unfinished: (): OperationId[] => swaps.map(({ operation }) => operation.id),
  };
}

test('any history of verbs agrees with plain arithmetic, has no drift, and survives restarts and audits', async () => {
  const place = await newPlace();
  let ledger = await place.open();
  onTestFinished(() => ledger.close());
  let runs = 0;
  let steps = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (actions) => {
      const run = history(ledger, ++runs);
      const middle = runs % 25 === 0 ? Math.floor(actions.length / 2) : -1;
      for (const [i, action] of actions.entries()) {
        run.take(action);
        run.check();
        if (i !== middle) continue;
        await ledger.close();
        expect((await place.audit()).totals.drift).toBe(0);
        ledger = await place.open();
        run.restarted(ledger);
        run.check();
        const open = new Set(ledger.unfinished().map(({ id }) => id));
        expect(run.unfinished().every((id) => open.has(id))).toBe(true);
      }
      steps += actions.length;
    }),
    { numRuns: 300 },
  );
  // Guards against a generator that makes only trivial histories.
  expect(steps).toBeGreaterThan(300 * 15);
});
