/** Payments whose quote the mint has forgotten: what the inputs say decides, and nothing hangs for ever. */
import { expect, test } from 'vitest';
import { outcome } from './kit.ts';
import { type LightningTill, expectAllBooked, newLightningTill } from './lightning-kit.ts';

const QUOTE = '/v1/melt/quote/bolt11/';
const HOUR = 3_600_000;
const over = (kit: LightningTill): Promise<void> => kit.until('over', () => kit.operations().length === 0);

/** A refund of 100 sat whose answer is lost, at a mint that does not know the quote afterwards. */
async function forgotten(
  how: 'land-late' | 'drop-after',
  { sats, fee, reserve } = { sats: 1_000, fee: 0, reserve: 8 },
) {
  const kit = await newLightningTill();
  const account = await kit.account(sats);
  kit.mint.setRoute({ fee, reserve });
  kit.mint.failNext(how, { path: '/v1/melt/bolt11' });
  kit.mint.failNext('not-found', { path: QUOTE, times: 100_000 });
  void outcome(kit.refund(account, 100));
  await kit.until('asked', () => (kit.mint.stats.requests[QUOTE.slice(0, -1)] ?? 0) >= 2);
  return { kit, account };
}
const paid = (kit: LightningTill): number =>
  kit.mint.meltQuotes().filter(({ state }) => state === 'PAID').length;

test('with all inputs unspent they are taken back once the quote is over, and a late request finds them gone', async () => {
  const { kit, account } = await forgotten('land-late');
  await kit.settle();
  expect(kit.operations()).toMatchObject([{ kind: 'melt', state: 'executing' }]);
  await kit.clock.advance(HOUR + 60_000);
  await over(kit);
  kit.mint.landLate();
  await kit.settle();
  expect(paid(kit)).toBe(0);
  expect(kit.available(account)).toBe(1_000_000);
  expectAllBooked(kit);
});

test('a restart in between changes nothing', async () => {
  const { kit, account } = await forgotten('land-late');
  await kit.restart();
  await kit.clock.advance(HOUR + 60_000);
  await over(kit);
  expect(kit.available(account)).toBe(1_000_000);
  expectAllBooked(kit);
});

test('with its inputs spent, change that the mint signed proves the payment', async () => {
  const { kit, account } = await forgotten('drop-after');
  await over(kit);
  expect(paid(kit)).toBe(1);
  expect(kit.available(account)).toBe(900_000);
  expectAllBooked(kit);
});

test('with its inputs spent and no trace of a payment it is blocked, and an operator hears of it', async () => {
  const { kit, account } = await forgotten('drop-after', { sats: 128, fee: 28, reserve: 28 });
  await kit.until('blocked', async () => {
    await kit.clock.advance(4_000);
    return kit.operations()[0]?.state === 'blocked';
  });
  expect(kit.operations()).toMatchObject([{ reason: 'quote_forgotten' }]);
  expect(kit.log.some(({ event }) => event === 'gateway.melt.blocked')).toBe(true);
  expect(kit.available(account)).toBe(0);
  expect(kit.drift()).toBe(0);
});

test('one refusal without a reason is not believed: the quote is found again, and nothing is blocked', async () => {
  const kit = await newLightningTill();
  const account = await kit.account(128);
  kit.mint.setRoute({ fee: 28, reserve: 28 });
  kit.mint.failNext('drop-after', { path: '/v1/melt/bolt11' });
  kit.mint.failNext('not-found', { path: QUOTE });
  void outcome(kit.refund(account, 100));
  await kit.until('paid', () => paid(kit) === 1);
  await over(kit);
  expect(kit.log.filter(({ event }) => event === 'gateway.melt.blocked')).toEqual([]);
  expect(paid(kit)).toBe(1);
  expect(kit.available(account)).toBe(0);
  expectAllBooked(kit);
});

/** A refund of 100 sat whose first request is held up, whose second one is refused, and that is being taken back then. */
async function takenBack(swap: 'drop-before' | 'drop-after', { sats, fee, reserve }: Record<string, number>) {
  const kit = await newLightningTill();
  const account = await kit.account(sats ?? 0);
  kit.mint.setRoute({ fee: fee ?? 0, reserve: reserve ?? 0 });
  kit.mint.failNext('land-late', { path: '/v1/melt/bolt11' });
  kit.mint.meltNext('failed');
  kit.mint.failNext(swap, { path: '/v1/swap', times: swap === 'drop-before' ? 2 : 1 });
  void outcome(kit.refund(account, 100));
  await kit.until('taken back', () => (kit.mint.stats.requests['/v1/swap'] ?? 0) >= 2);
  kit.mint.failNext('not-found', { path: QUOTE, times: 100_000 });
  return { kit, account };
}

test('one that arrives while it is taken back is proven by its change, too', async () => {
  const { kit, account } = await takenBack('drop-before', { sats: 1_000, fee: 0, reserve: 8 });
  kit.mint.landLate();
  await over(kit);
  expect(paid(kit)).toBe(1);
  expect(kit.available(account)).toBe(900_000);
  expectAllBooked(kit);
});

test('one that arrives while it is taken back, and leaves no trace, is blocked', async () => {
  const { kit } = await takenBack('drop-before', { sats: 128, fee: 28, reserve: 28 });
  kit.mint.landLate();
  await kit.until('blocked', async () => {
    await kit.clock.advance(4_000);
    return kit.operations()[0]?.state === 'blocked';
  });
  expect(kit.operations()).toMatchObject([{ reason: 'quote_forgotten' }]);
  expect(kit.drift()).toBe(0);
});

test('inputs that are spent because they were taken back are no payment without a trace', async () => {
  const { kit, account } = await takenBack('drop-after', { sats: 1_000, fee: 0, reserve: 8 });
  await over(kit);
  kit.mint.landLate();
  await kit.settle(2_000);
  expect(paid(kit)).toBe(0);
  expect(kit.available(account)).toBe(1_000_000);
  expectAllBooked(kit);
});
