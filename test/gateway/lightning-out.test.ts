/** Payments at the till: lost answers, payments that hang, lying mints, and a process that dies between any two steps. */
import { describe, expect, test } from 'vitest';
import type { MintFault } from '../../src/demo/mint.ts';
import { playInvoice } from '../../src/demo/play-invoice.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { msat } from '../../src/base/money.ts';
import { payOutEarnings } from '../../src/gateway/lightning.ts';
import { recordingLogger } from '../wallet/harness.ts';
import { outcome } from './kit.ts';
import { type Crash, type LightningTill, expectAllBooked, newLightningTill } from './lightning-kit.ts';

const paidMelts = (kit: LightningTill): number =>
  kit.mint.meltQuotes().filter(({ state }) => state === 'PAID').length;

/** Starts a refund whose answer may be long in coming. */
function begin(kit: LightningTill, account: Parameters<LightningTill['refund']>[0], sats = 100) {
  let ended: unknown;
  const answer = outcome(kit.refund(account, sats));
  void answer.then((value) => (ended = value));
  return { answer, ended: () => ended };
}

describe('a payment', () => {
  test('takes amount and fees, and gives the rest of its reserve back', async () => {
    const kit = await newLightningTill({ feePpk: 1_000 });
    const account = await kit.account(1_000);
    const before = kit.available(account);
    kit.mint.setRoute({ fee: 3, reserve: 20 });
    const sent = await kit.refund(account, 100);
    const { spent, debit } = sent?.operation as { spent: number; debit: number };
    expect(debit - spent).toBe(17_000);
    expect(kit.available(account)).toBe(before - spent);
    expect(sent?.operation).toMatchObject({ amount: 100, state: 'done' });
    expectAllBooked(kit);
  });

  test.each<MintFault>([
    'drop-before',
    'drop-after',
    'hang',
    'hang-after',
    'status-500',
    'rate-limit',
    'bad-json',
  ])('is made once though the mint answers with %s', async (fault) => {
    const kit = await newLightningTill();
    const account = await kit.account(1_000);
    kit.mint.failNext(fault, { path: '/v1/melt/bolt11' });
    const { ended } = begin(kit, account);
    await kit.until('paid', () => kit.operations().length === 0 && paidMelts(kit) === 1);
    await kit.until('answered', () => ended() !== undefined);
    await kit.settle();
    expect(paidMelts(kit)).toBe(1);
    expect(kit.available(account)).toBe(900_000);
    expectAllBooked(kit);
  });

  test.each(['paid', 'failed'] as const)('that hangs for hours, restarts and then is %s', async (ending) => {
    const kit = await newLightningTill();
    const account = await kit.account(1_000);
    kit.mint.meltNext('pending');
    const { answer, ended } = begin(kit, account);
    await kit.until('told to wait', () => ended() !== undefined);
    expect(await answer).toBe('refund_pending');
    const held = kit.available(account);
    expect(held).toBeLessThan(900_001);
    const again = begin(kit, account);
    await kit.until('told again', () => again.ended() !== undefined);
    expect(await again.answer).toBe('refund_pending');
    expect(await outcome(kit.refund(account, 5))).toBe('operation_in_progress');

    await kit.clock.advance(7_200_000);
    await kit.restart();
    await kit.settle();
    expect(kit.available(account)).toBe(held);
    kit.mint.settleMelts(ending);
    if (ending === 'failed') kit.mint.meltNext('failed');
    await kit.until('over', () => kit.operations().length === 0);
    expect(kit.available(account)).toBe(ending === 'paid' ? 900_000 : 1_000_000);
    expectAllBooked(kit);
  });

  const deaths: Crash[] = (['openMelt', 'completeMelt'] as const).flatMap((verb) =>
    (['before', 'after'] as const).map((when) => ({ verb, when })),
  );
  test.each(deaths)('is made once when the process dies $when $verb', async (crash) => {
    const kit = await newLightningTill();
    const account = await kit.account(1_000);
    kit.dieAt(crash);
    void begin(kit, account);
    await kit.until('it died', kit.crashed);
    await kit.settle(2_000);
    await kit.restart();
    await kit.until('over', () => kit.operations().length === 0);
    const isBegun = crash.verb !== 'openMelt' || crash.when === 'after';
    expect(paidMelts(kit)).toBe(isBegun ? 1 : 0);
    expect(kit.available(account)).toBe(isBegun ? 900_000 : 1_000_000);
    expectAllBooked(kit);
  });

  test.each(['before', 'after'] as const)(
    'that failed is given back once when the process dies %s it',
    async (when) => {
      const kit = await newLightningTill();
      const account = await kit.account(1_000);
      kit.mint.meltNext('failed');
      kit.mint.meltNext('failed');
      kit.dieAt({ verb: 'failOperation', when });
      void begin(kit, account);
      await kit.until('it died', kit.crashed);
      await kit.settle(2_000);
      await kit.restart();
      await kit.until('over', () => kit.operations().length === 0);
      expect(kit.available(account)).toBe(1_000_000);
      expectAllBooked(kit);
    },
  );

  test.each<MintFault>(['wrong-amounts', 'wrong-keyset'])(
    'whose change is a lie is blocked with an alarm: %s',
    async (fault) => {
      const kit = await newLightningTill();
      const account = await kit.account(1_000);
      kit.mint.failNext(fault, { path: '/v1/melt/bolt11' });
      expect(await outcome(kit.refund(account, 100))).toBe('mint_quarantined');
      expect(kit.operations()).toMatchObject([{ state: 'blocked' }]);
      expect(kit.log.some(({ event }) => event === 'gateway.melt.blocked')).toBe(true);
      expect(kit.drift()).toBe(0);
      // Nobody knows what became of it: no second one beside it.
      expect(await outcome(kit.refund(account, 50))).not.toHaveProperty('operation');
    },
  );

  test('of which the mint keeps the change costs the client its reserve, and the node the rest', async () => {
    const kit = await newLightningTill();
    const account = await kit.account(1_000);
    kit.mint.failNext('keep-change', { path: '/v1/melt/bolt11' });
    const asked = (): number => kit.mint.stats.requests['/v1/melt/quote/bolt11'] ?? 0;
    void begin(kit, account);
    await kit.until('paid', () => paidMelts(kit) === 1);
    // It may come later, from a mint that is slow or was restarted: nothing is lost yet, and the mint is no liar.
    const before = asked();
    await kit.until('asked again', () => asked() > before + 5);
    expect(kit.operations()).toMatchObject([{ state: 'executing' }]);
    expect(kit.till.ledger.totals().equity['losses'] ?? 0).toBe(0);
    const { ended } = begin(kit, account);
    await kit.until('answered', () => ended() !== undefined);
    expect(ended()).toBe('refund_pending');
    await kit.until('given up', async () => {
      await kit.clock.advance(LIMITS.mint.retryMaxMs);
      return kit.operations().length === 0;
    });
    const sent = await kit.refund(account, 100);
    expect(sent?.operation).toMatchObject({ state: 'done' });
    const { debit } = sent?.operation as { debit: number };
    expect(kit.available(account)).toBe(1_000_000 - debit);
    expect(kit.till.ledger.totals().equity['losses']).toBeLessThan(0);
    expect(kit.till.ledger.earned()).toBe(0);
    expect(kit.log.some(({ event }) => event === 'gateway.melt.short_change')).toBe(true);
    expectAllBooked(kit);
  });

  test('that was refused because its keyset is retired is made at the next try', async () => {
    const kit = await newLightningTill();
    const account = await kit.account(1_000);
    kit.mint.rotate();
    expect(await outcome(kit.refund(account, 100))).toBe('payment_failed');
    expect((await kit.refund(account, 100))?.operation).toMatchObject({ state: 'done' });
    expect(kit.available(account)).toBe(900_000);
    expectAllBooked(kit);
  });

  test('of everything leaves nothing but what the fees gave back, and is the same one when repeated', async () => {
    const kit = await newLightningTill({ feePpk: 100 });
    const account = await kit.account(1_000);
    const [one, two] = await Promise.all([kit.refund(account), kit.refund(account)]);
    expect(two?.operation.id).toBe(one?.operation.id);
    expect((await kit.refund(account))?.operation.id).toBe(one?.operation.id);
    expect(paidMelts(kit)).toBe(1);
    expect(kit.available(account)).toBeLessThan(15_000);
    await kit.account(50);
    const next = await kit.refund(account);
    expect(next?.operation.id).not.toBe(one?.operation.id);
    expectAllBooked(kit);
  });

  test('of everything waits for a mint that fails between two quotes, and does not call the balance too small', async () => {
    const kit = await newLightningTill();
    const account = await kit.account(60);
    kit.mint.setRoute({ reserve: 10 });
    const timestamp = Math.floor(kit.clock.now() / 1000);
    kit.address.nextInvoice((msat) => playInvoice(msat, { timestamp }));
    kit.address.nextInvoice((msat) => {
      kit.mint.failNext('status-500', { path: '/v1/melt/quote/bolt11' });
      return playInvoice(msat, { timestamp });
    });
    expect(await outcome(kit.refund(account))).toBe('mint_unreachable');
    expect(kit.available(account)).toBe(60_000);
    expect((await kit.refund(account))?.operation).toMatchObject({ amount: 50, state: 'done' });
    expectAllBooked(kit);
  });

  test('of the operator never takes more than was earned', async () => {
    const kit = await newLightningTill({ feePpk: 100 });
    const account = await kit.account(1_000);
    const order = {
      account: 'operator' as never,
      purpose: 'withdraw' as const,
      recipient: kit.address.address,
    };
    expect(await outcome(kit.till.melts.pay({ ...order, asked: 'all' }))).toBe('refund_too_small');
    await kit.earn(account, 300);
    expect(await outcome(kit.till.melts.pay({ ...order, asked: 300 }))).toBe('insufficient_balance');
    expect(await kit.till.melts.preview({ ...order, asked: 100 })).toMatchObject({ amountSats: 100 });
    const { operation } = await kit.till.melts.pay({ ...order, asked: 'all' });
    expect(operation.amount).toBeGreaterThan(280);
    const { equity } = kit.till.ledger.totals();
    expect(equity['payouts']).toBe(-operation.amount * 1000);
    expect(equity['mint_fees']).toBe(-((operation.spent ?? 0) - operation.amount * 1000));
    expect(kit.till.ledger.earned()).toBe(300_000 - (operation.spent ?? 0));
    expect(kit.available(account)).toBe(699_000);
    expectAllBooked(kit);
  });
});

describe('before anybody is asked for an invoice', () => {
  test.each([
    ['more than there is', 1_001],
    ['more than can be counted in msat', 21e14],
  ])('%s is refused, with an Idempotency-Key too', async (_, sats) => {
    const kit = await newLightningTill();
    const account = await kit.account(1_000);
    let asked = 0;
    for (let i = 0; i < 4; i++)
      kit.address.nextReply((response) => {
        asked += 1;
        response.destroy();
      });
    const to = { address: kit.address.address, amountSats: sats };
    const key = { key: 'once', request: 'r'.repeat(64) };
    expect(await outcome(kit.till.lightning.refundTo(account, to, key))).toBe('insufficient_balance');
    expect(await outcome(kit.till.lightning.refundTo(account, to, undefined))).toBe('insufficient_balance');
    expect(asked).toBe(0);
    expect(kit.available(account)).toBe(1_000_000);
  });
});

test.each([
  ['sat', 51, 1_999, 'payment_failed'],
  ['sat', 51, 30, 'payment_failed'],
  ['sat', 51, 25, 51],
  ['sat', 1, 4, 1],
  ['msat', 51, 30_000, 'payment_failed'],
  ['msat', 1, 4_000, 1_000],
] as const)('in %s, of %i sat a mint may keep back %i: %s', async (unit, sats, reserve, expected) => {
  const kit = await newLightningTill({ unit });
  const account = await kit.account(unit === 'sat' ? 4_096 : 4_096_000);
  const before = kit.available(account);
  kit.mint.setRoute({ reserve });
  const sent = await outcome(kit.refund(account, sats));
  if (typeof expected === 'string') {
    expect(sent).toBe(expected);
    expect(kit.available(account)).toBe(before);
    expect(paidMelts(kit)).toBe(0);
  } else expect(sent).toMatchObject({ operation: { amount: expected, state: 'done' } });
  expectAllBooked(kit);
});

test('earnings above the threshold are paid out by themselves, and below it stay', async () => {
  const kit = await newLightningTill();
  const stop = new AbortController();
  const rule = { lightningAddress: kit.address.address, thresholdSats: 200 };
  const { ledger, melts } = kit.till;
  const watching = payOutEarnings({
    ledger,
    melts,
    rule,
    clock: kit.clock,
    log: recordingLogger(kit.log),
    signal: stop.signal,
  });
  const account = await kit.account(1_000);
  await kit.earn(account, 150);
  await kit.clock.advance(LIMITS.melt.payoutCheckMs);
  await kit.settle();
  expect(paidMelts(kit)).toBe(0);
  await kit.earn(account, 100);
  await kit.clock.advance(LIMITS.melt.payoutCheckMs);
  await kit.until('paid out', () => paidMelts(kit) === 1 && kit.operations().length === 0);
  await kit.clock.advance(LIMITS.melt.payoutCheckMs);
  await kit.settle();
  expect(paidMelts(kit)).toBe(1);
  expect(kit.available(account)).toBe(750_000);
  expectAllBooked(kit);
  stop.abort();
  await watching;
});

test('a payment with an Idempotency-Key is told again after a restart and while a request holds money', async () => {
  const kit = await newLightningTill();
  const account = await kit.account(1_000);
  const first = await kit.refund(account, 100, 'k');
  await kit.restart();
  kit.till.ledger.hold({ id: 'long', account, amount: msat(300_000) });
  expect(await kit.refund(account, 100, 'k')).toMatchObject({ operation: first?.operation, replayed: true });
  expect(await outcome(kit.refund(account, 101, 'k'))).toBe('idempotency_key_reused');
  expect(await outcome(kit.refund(account, 100, 'another'))).toBe('refund_busy');
  kit.till.ledger.release('long');
  expect(paidMelts(kit)).toBe(1);

  kit.mint.meltNext('failed');
  expect(await outcome(kit.refund(account, 50, 'unlucky'))).toBe('payment_failed');
  const again = await kit.refund(account, 50, 'unlucky');
  expect(again).toMatchObject({ replayed: false, operation: { state: 'done' } });
  expect(kit.available(account)).toBe(850_000);
  expectAllBooked(kit);
});

test('refunds that find too little cost the mint a quote a few times a minute, not as often as they are asked for', async () => {
  const kit = await newLightningTill();
  const { refundsBurst } = LIMITS.melt;
  kit.mint.setRoute({ reserve: 10 });
  const account = await kit.account(1);
  for (let i = 0; i < refundsBurst; i++)
    expect(await outcome(kit.refund(account, 1))).toBe('insufficient_balance');
  const quotes = kit.mint.meltQuotes().length;
  expect(await outcome(kit.refund(account, 1))).toBe('rate_limited');
  expect(kit.mint.meltQuotes()).toHaveLength(quotes);
  expect(await outcome(kit.refund(await kit.account(100, 'other'), 50))).toMatchObject({ replayed: false });
});
