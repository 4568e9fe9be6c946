/** Invoices at the till: lost answers, late payments, lying mints, and a process that dies between any two steps. */
import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import type { MintFault } from '../../src/demo/mint.ts';
import { outcome } from './kit.ts';
import { type Crash, type LightningTill, expectAllBooked, newLightningTill } from './lightning-kit.ts';

const credited = (kit: LightningTill): number => kit.till.ledger.totals().liabilities['avail'] ?? 0;

describe('an invoice', () => {
  test.each<MintFault>([
    'drop-before',
    'drop-after',
    'hang',
    'hang-after',
    'status-500',
    'html-502',
    'rate-limit',
    'bad-json',
  ])('is credited once though the mint answers with %s when it is asked to sign', async (fault) => {
    const kit = await newLightningTill();
    const made = await kit.invoice(100);
    kit.mint.failNext(fault, { path: '/v1/mint/bolt11' });
    kit.mint.payQuote(made.invoice);
    await kit.until('credited', () => credited(kit) === 100_000);
    await kit.settle();
    expect(credited(kit)).toBe(100_000);
    expectAllBooked(kit);
  });

  test('whose keyset rotates before it is minted is planned anew', async () => {
    const kit = await newLightningTill();
    const made = await kit.invoice(100);
    kit.mint.rotate();
    kit.mint.payQuote(made.invoice);
    await kit.until('credited', () => credited(kit) === 100_000);
    expectAllBooked(kit);
  });

  test('that is paid after its end is still credited, and one that never is ends a day later', async () => {
    const kit = await newLightningTill();
    const late = await kit.invoice(100);
    const never = await kit.invoice(7);
    await kit.clock.advance(3_700_000);
    expect((await kit.till.lightning.status(late.id, {})).status).toBe('expired');
    kit.mint.payQuote(late.invoice);
    await kit.clock.advance(3_600_000);
    await kit.until('credited', () => credited(kit) === 100_000);
    expect((await kit.till.lightning.status(late.id, {})).status).toBe('paid');
    await kit.clock.advance(90_000_000);
    await kit.until('ended', () => kit.operation(never.id)?.state === 'failed');
    expectAllBooked(kit);
  });

  test('whose quote the mint has forgotten ends, too, once nobody can pay it any more', async () => {
    const kit = await newLightningTill();
    const made = await kit.invoice(100);
    kit.mint.failNext('not-found', { path: '/v1/mint/quote/bolt11/', times: 100_000 });
    await kit.clock.advance(3_700_000);
    await kit.settle(2_000);
    expect(kit.operation(made.id)?.state).toBe('executing');
    await kit.clock.advance(90_000_000);
    await kit.settle(1_000);
    // Once is not enough: that may be a mint with a bad moment.
    expect(kit.operation(made.id)?.state).toBe('executing');
    await kit.until('ended', async () => {
      await kit.clock.advance(LIMITS.invoice.askExpiredMs);
      return kit.operation(made.id)?.state === 'failed';
    });
    expect(kit.operation(made.id)).toMatchObject({ state: 'failed', reason: 'quote_forgotten' });
    expectAllBooked(kit);
  });

  test('whose intent reached the disk although its write failed is looked after when the ledger is back', async () => {
    const kit = await newLightningTill();
    kit.dieAt({ verb: 'openMint', when: 'after' });
    expect(await outcome(kit.invoice(100))).toContain('killed');
    expect(kit.till.driver.takeHalted()).toBe(true);
    kit.till.resume();
    kit.mint.payQuote(kit.mint.mintQuotes()[0]?.quote ?? '');
    await kit.until('credited', () => credited(kit) === 100_000);
    expectAllBooked(kit);
  });

  test('of a mint that does not lock quotes works, and is sealed on disk', async () => {
    const kit = await newLightningTill({ locks: false });
    const made = await kit.invoice(100);
    const operation = kit.operation(made.id);
    const [quote] = kit.mint.mintQuotes();
    expect(operation).toMatchObject({ locked: false });
    expect(JSON.stringify(operation)).not.toContain(quote?.quote);
    kit.mint.payQuote(made.invoice);
    await kit.until('credited', () => credited(kit) === 100_000);
    expectAllBooked(kit);
  });

  test.each<MintFault>(['wrong-invoice', 'wrong-lock'])(
    'is not shown when the mint lies about it: %s',
    async (fault) => {
      const kit = await newLightningTill();
      kit.mint.failNext(fault, { path: '/v1/mint/quote/bolt11' });
      expect(await outcome(kit.invoice(100))).toBe('mint_quarantined');
      expect(kit.operations()).toEqual([]);
      expect(kit.till.wallet.mints()[0]?.quarantined).toBe(true);
    },
  );

  test.each<MintFault>(['wrong-amounts', 'wrong-count', 'wrong-keyset'])(
    'is blocked with an alarm when the mint signs something else: %s',
    async (fault) => {
      const kit = await newLightningTill();
      const made = await kit.invoice(100);
      kit.mint.failNext(fault, { path: '/v1/mint/bolt11' });
      kit.mint.payQuote(made.invoice);
      await kit.until('blocked', () => kit.operation(made.id)?.state === 'blocked');
      expect(credited(kit)).toBe(0);
      expect(kit.drift()).toBe(0);
      expect(
        kit.log.some(({ level, event }) => level === 'error' && event === 'gateway.invoice.blocked'),
      ).toBe(true);
      expect((await kit.till.lightning.status(made.id, {})).status).toBe('reconciliation_required');
    },
  );

  const steps: Crash['verb'][] = ['planMint', 'completeMint'];
  test.each(steps.flatMap((verb) => (['before', 'after'] as const).map((when) => ({ verb, when }))))(
    'is credited once when the process dies $when $verb',
    async (crash) => {
      const kit = await newLightningTill();
      const made = await kit.invoice(100);
      kit.dieAt(crash);
      kit.mint.payQuote(made.invoice);
      await kit.until('it died', kit.crashed);
      await kit.restart();
      await kit.until('credited', () => credited(kit) === 100_000);
      await kit.settle();
      expect(credited(kit)).toBe(100_000);
      expectAllBooked(kit);
    },
  );

  test('that waits is looked after by the next process', async () => {
    const kit = await newLightningTill();
    const made = await kit.invoice(100);
    await kit.restart();
    kit.mint.payQuote(made.invoice);
    await kit.until('credited', () => credited(kit) === 100_000);
    expectAllBooked(kit);
  });
});
