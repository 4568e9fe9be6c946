/** Hints of mints (NUT-17) at the till: no time passes in these tests, so whatever happens was not polled. */
import { describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { until } from '../wallet/harness.ts';
import { outcome, settleDown } from './kit.ts';
import { type LightningTill, expectAllBooked, newLightningTill } from './lightning-kit.ts';

vi.setConfig({ testTimeout: 120_000 });

const credited = (kit: LightningTill): number => kit.till.ledger.totals().liabilities['avail'] ?? 0;
const polls = (kit: LightningTill): number => kit.mint.stats.requests['/v1/mint/quote/bolt11'] ?? 0;

/** A till that was asked for an invoice and listens for its payment. */
async function listening(sats = 100) {
  const kit = await newLightningTill({ hints: true });
  const made = await kit.invoice(sats);
  await until(() => kit.mint.socket.subscriptions().length === 1 && polls(kit) === 2);
  return { kit, made };
}

describe('an invoice of a mint that sends hints', () => {
  test('is credited though the next poll never comes, and then nothing is listened for', async () => {
    const { kit, made } = await listening();
    const before = kit.clock.monotonic();
    kit.mint.payQuote(made.invoice);
    await until(() => credited(kit) === 100_000);
    await until(() => kit.mint.socket.connections() === 0);
    expect(kit.clock.monotonic()).toBe(before);
    expect(kit.mint.socket.accepted()).toBe(1);
    expectAllBooked(kit);
  });

  test('shares one connection with the others, which ends with the last of them', async () => {
    const { kit, made } = await listening();
    const others = [await kit.invoice(7), await kit.invoice(8)];
    await until(() => kit.mint.socket.subscriptions().length === 3);
    kit.mint.payQuote(made.invoice);
    await until(() => credited(kit) === 100_000 && kit.mint.socket.subscriptions().length === 2);
    expect(kit.mint.socket.connections()).toBe(1);
    for (const { invoice } of others) kit.mint.payQuote(invoice);
    await until(() => credited(kit) === 115_000);
    await until(() => kit.mint.socket.connections() === 0);
    expect(kit.mint.socket.accepted()).toBe(1);
    expectAllBooked(kit);
  });

  test('is credited after a restart too, without a poll after the first', async () => {
    const { kit, made } = await listening();
    await kit.restart();
    await until(() => kit.mint.socket.subscriptions().length === 1 && kit.mint.socket.accepted() === 2);
    kit.mint.payQuote(made.invoice);
    await until(() => credited(kit) === 100_000);
    expectAllBooked(kit);
  });

  test.each(['PAID', 'ISSUED', 'anything'])(
    'is asked about a few times, and neither credited nor ended, when the mint lies: %s',
    async (state) => {
      const { kit, made } = await listening();
      for (let said = 0; said < 50; said++) kit.mint.socket.claim(state);
      await until(() => kit.mint.socket.subscriptions().length === 0);
      await settleDown();
      expect(polls(kit)).toBeGreaterThan(2);
      expect(polls(kit)).toBeLessThanOrEqual(2 + LIMITS.hint.perQuoteMax);
      expect(credited(kit)).toBe(0);
      expect(kit.operation(made.id)).toMatchObject({ state: 'executing' });
      expect(kit.till.wallet.mints()[0]?.quarantined).toBe(false);
      kit.mint.payQuote(made.invoice);
      await kit.until('polled as ever', () => credited(kit) === 100_000);
      expectAllBooked(kit);
    },
  );

  test('that says UNPAID again and again is not asked about', async () => {
    const { kit } = await listening();
    for (let said = 0; said < 50; said++) kit.mint.socket.claim('UNPAID');
    kit.mint.socket.say('the last word');
    await settleDown();
    expect(polls(kit)).toBe(2);
  });

  test('whose socket closes is polled, and heard of again after a pause', async () => {
    const { kit, made } = await listening();
    kit.mint.socket.drop();
    await until(() => kit.mint.socket.connections() === 0);
    await kit.until('listening again', () => kit.mint.socket.subscriptions().length === 1);
    kit.mint.socket.greet('drop');
    kit.mint.socket.drop();
    kit.mint.payQuote(made.invoice);
    await kit.until('polled', () => credited(kit) === 100_000);
    expectAllBooked(kit);
  });

  test('whose mint floods is polled, and the mint is left alone', async () => {
    const { kit, made } = await listening();
    const [about] = kit.mint.socket.subscriptions();
    const lie = JSON.stringify({ method: 'subscribe', params: { subId: about?.subId, payload: {} } });
    for (let sent = 0; sent < 2 * LIMITS.hint.messagesBurst; sent++)
      kit.mint.socket.say(lie + ' '.repeat(sent));
    await until(() => kit.log.some(({ event }) => event === 'wallet.hints.flood') || credited(kit) > 0);
    await until(() => kit.mint.socket.connections() === 0);
    expect(credited(kit)).toBe(0);
    kit.mint.payQuote(made.invoice);
    await kit.until('polled', () => credited(kit) === 100_000);
    expect(kit.mint.socket.accepted()).toBe(1);
    expectAllBooked(kit);
  });

  test('is not heard of after its end, and still credited', async () => {
    const { kit, made } = await listening();
    await kit.clock.advance(3_700_000);
    await until(() => kit.mint.socket.connections() === 0);
    kit.mint.payQuote(made.invoice);
    await kit.until('polled', () => credited(kit) === 100_000);
    expectAllBooked(kit);
  });
});

test('a mint that offers no hints is asked once for them, never connected to, and polled', async () => {
  const kit = await newLightningTill({ hints: false });
  const made = [await kit.invoice(100), await kit.invoice(50)];
  await until(() => kit.mint.stats.requests['/v1/info'] === 1);
  for (const { invoice } of made) kit.mint.payQuote(invoice);
  await settleDown();
  expect(credited(kit)).toBe(0);
  await kit.until('polled', () => credited(kit) === 150_000);
  expect(kit.mint.stats.requests['/v1/info']).toBe(1);
  expect(kit.mint.stats.requests['unknown']).toBeUndefined();
  expectAllBooked(kit);
});

test('a mint that does not say what it offers is polled, and its breaker stays closed', async () => {
  const kit = await newLightningTill({ hints: true });
  kit.mint.failNext('status-500', { path: '/v1/info', times: 1_000 });
  const made = await kit.invoice(100);
  await kit.settle(60_000);
  expect(kit.mint.stats.requests['/v1/info']).toBe(1);
  expect(kit.till.wallet.mints()[0]?.reachable).toBe(true);
  kit.mint.payQuote(made.invoice);
  await kit.until('polled', () => credited(kit) === 100_000);
  expectAllBooked(kit);
});

test.each(['paid', 'failed'] as const)(
  'a payment that is pending is looked at when its mint says so: %s',
  async (ending) => {
    const kit = await newLightningTill({ hints: true });
    const account = await kit.account(1_000);
    kit.mint.meltNext('pending');
    // It is tried once more as soon as it is known to have failed.
    kit.mint.meltNext(ending);
    const paying = outcome(kit.refund(account, 200));
    await until(() => kit.mint.socket.subscriptions().length === 1);
    await settleDown();
    const [{ id } = { id: undefined }] = kit.operations();
    kit.mint.settleMelts(ending);
    await until(() => {
      const operation = id === undefined ? undefined : kit.operation(id);
      const reclaims = operation?.kind === 'melt' && operation.spend?.reclaim !== undefined;
      return ending === 'paid' ? operation?.state === 'done' : reclaims;
    });
    await kit.until('all is booked', () => kit.operations().length === 0);
    await until(() => kit.mint.socket.connections() === 0);
    expect(await paying).toEqual(
      ending === 'paid' ? expect.objectContaining({ replayed: false }) : 'payment_failed',
    );
    expectAllBooked(kit);
  },
);
