import { decodePaymentRequest } from '@cashu/cashu-ts';
import { afterEach, describe, expect, test } from 'vitest';
import { msat } from '../../src/base/money.ts';
import { createWallet } from '../../src/wallet/cashu.ts';
import type { ReceivePlan, Wallet } from '../../src/wallet/wallet.ts';
import { type LogLine, recordingLogger, SEED, testClock, walletMemory } from './harness.ts';
import { createKeysetMint, makeKeyset, paperToken, type ServedKeyset } from './keyset-mint.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});
async function mintOf(keysets: ServedKeyset[], port = 0) {
  const mint = await createKeysetMint(keysets, port);
  closers.push(mint.close);
  return mint;
}
function walletOf(urls: string[], memory = walletMemory()) {
  const clock = testClock();
  const lines: LogLine[] = [];
  const wallet = createWallet({
    mints: urls.map((url) => ({ url, unit: 'sat', allowPrivate: true })),
    seed: SEED,
    memory,
    clock,
    log: recordingLogger(lines),
  });
  closers.push(wallet.close);
  return { wallet, clock, events: () => lines.map(({ event }) => event) };
}
const plan = (wallet: Wallet, mint: string, keyset: string, amount?: number): Promise<ReceivePlan> =>
  wallet.planReceive(wallet.inspect(paperToken(mint, keyset, amount)));
const inMinutes = (minutes: number): number => Math.floor(Date.now() / 1000) + minutes * 60;
const quarantined = (wallet: Wallet) => wallet.mints().map((mint) => mint.quarantined);

describe('keysets that expire', () => {
  test.each([-60, 0, 59])('inputs whose keyset expires in %i minutes are not taken', async (minutes) => {
    const old = makeKeyset({ finalExpiry: inMinutes(minutes), active: false });
    const mint = await mintOf([old, makeKeyset()]);
    const { wallet } = walletOf([mint.url]);
    await expect(plan(wallet, mint.url, old.id)).rejects.toMatchObject({ code: 'keyset_expiring' });
  });

  test('inputs with more than an hour left are taken', async () => {
    const old = makeKeyset({ finalExpiry: inMinutes(62), active: false });
    const fresh = makeKeyset();
    const mint = await mintOf([old, fresh]);
    const { wallet } = walletOf([mint.url]);
    expect(await plan(wallet, mint.url, old.id)).toMatchObject({ keyset: fresh.id, net: 8 });
  });

  test('outputs go to a keyset that lasts, although it is dearer', async () => {
    const lasting = makeKeyset({ feePpk: 100 });
    const cheap = makeKeyset({ finalExpiry: inMinutes(90) });
    const mint = await mintOf([lasting, cheap]);
    const { wallet, clock } = walletOf([mint.url]);
    expect(await plan(wallet, mint.url, lasting.id)).toMatchObject({ keyset: cheap.id });
    clock.advance(31 * 60_000);
    expect(await plan(wallet, mint.url, lasting.id)).toMatchObject({ keyset: lasting.id });
    expect((await wallet.activeKeyset(mint.url, 'sat')).keyset).toBe(lasting.id);
  });

  test('no output is made on a keyset that is about to expire', async () => {
    const [old, dying] = [makeKeyset({ active: false }), makeKeyset({ finalExpiry: inMinutes(30) })];
    const mint = await mintOf([old, dying]);
    const { wallet } = walletOf([mint.url]);
    await expect(plan(wallet, mint.url, old.id)).rejects.toMatchObject({ code: 'keyset_expiring' });
    await expect(wallet.activeKeyset(mint.url, 'sat')).rejects.toMatchObject({ code: 'mint_unreachable' });
  });
});

describe('fees', () => {
  test.each([
    { feePpk: 1_000, outcome: 7 },
    { feePpk: 1_001, outcome: 'unsupported_keyset' },
    { feePpk: Number.MAX_SAFE_INTEGER, outcome: 'unsupported_keyset' },
  ])('inputs at $feePpk ppk: $outcome', async ({ feePpk, outcome }) => {
    const old = makeKeyset({ feePpk, active: false });
    const mint = await mintOf([old, makeKeyset()]);
    const { wallet } = walletOf([mint.url]);
    const planned = await plan(wallet, mint.url, old.id).catch((error: unknown) => error);
    expect(planned).toMatchObject(typeof outcome === 'number' ? { net: outcome } : { code: outcome });
  });

  test.each([0, 1] as const)(
    'a fee that changes under an id of version %i ends the trust',
    async (version) => {
      const keyset = makeKeyset({ version });
      const mint = await mintOf([keyset]);
      const { wallet, clock, events } = walletOf([mint.url]);
      expect(await plan(wallet, mint.url, keyset.id)).toMatchObject({ fee: 0 });
      mint.keysets = [{ ...keyset, input_fee_ppk: 200 }];
      clock.advance(60_000);
      await expect(plan(wallet, mint.url, 'ab')).rejects.toMatchObject({ code: 'mint_quarantined' });
      expect(events()).toContain('wallet.keyset.changed');
      expect(quarantined(wallet)).toEqual([true]);
    },
  );
});

describe('ids', () => {
  test.each([0, 1] as const)(
    'keys that are not those of an id of version %i end the trust',
    async (version) => {
      const [one, two] = [makeKeyset({ version }), makeKeyset({ version })];
      const mint = await mintOf([{ ...one, keys: { ...one.keys, 4: two.keys['4'] ?? '' } }]);
      const { wallet, events } = walletOf([mint.url]);
      await expect(plan(wallet, mint.url, one.id)).rejects.toMatchObject({ code: 'mint_quarantined' });
      await expect(wallet.activeKeyset(mint.url, 'sat')).rejects.toMatchObject({ code: 'mint_unreachable' });
      expect(events()).toContain('wallet.keyset.unverified');
      expect(quarantined(wallet)).toEqual([true]);
    },
  );

  test.each([
    ['unit', { unit: 'msat' }],
    ['fee', { input_fee_ppk: 1 }],
    ['expiry', { final_expiry: 2_000_000_000 }],
  ])('an id of version 1 also stands for the %s', async (_what, change) => {
    const mint = await mintOf([{ ...makeKeyset(), ...change }]);
    const memory = walletMemory();
    const wallet = createWallet({
      mints: (['sat', 'msat'] as const).map((unit) => ({ url: mint.url, unit, allowPrivate: true })),
      seed: SEED,
      memory,
      clock: testClock(),
      log: recordingLogger([]),
    });
    closers.push(wallet.close);
    await wallet.start();
    expect(quarantined(wallet)).toEqual([true, true]);
    expect(memory.puts).toEqual([]);
  });

  test('the keys of an inactive keyset are checked when they are fetched', async () => {
    const [old, other, active] = [makeKeyset({ active: false }), makeKeyset(), makeKeyset()];
    const mint = await mintOf([{ ...old, keys: other.keys }, active]);
    const { wallet } = walletOf([mint.url]);
    expect(await plan(wallet, mint.url, active.id)).toMatchObject({ keyset: active.id });
    await expect(plan(wallet, mint.url, old.id)).rejects.toMatchObject({ code: 'unknown_keyset' });
    expect(quarantined(wallet)).toEqual([true]);
  });

  test('ids of other versions and keysets of other units are left alone', async () => {
    const keyset = makeKeyset();
    const mint = await mintOf([
      keyset,
      { ...makeKeyset(), id: '02'.padEnd(66, '7') },
      { ...makeKeyset(), id: 'oldMintId123' },
      { ...makeKeyset({ unit: 'usd' }), input_fee_ppk: 7 },
    ]);
    const { wallet } = walletOf([mint.url]);
    expect((await wallet.activeKeyset(mint.url, 'sat')).keyset).toBe(keyset.id);
    expect(quarantined(wallet)).toEqual([false]);
  });
});

describe('one keyset, two mints', () => {
  test('whoever comes second with it is quarantined, and the first goes on', async () => {
    const keyset = makeKeyset();
    const [owner, copy] = [await mintOf([keyset]), await mintOf([keyset, makeKeyset()])];
    const { wallet, events } = walletOf([owner.url, copy.url]);
    expect(await plan(wallet, owner.url, keyset.id)).toMatchObject({ keyset: keyset.id });
    await expect(plan(wallet, copy.url, keyset.id)).rejects.toMatchObject({ code: 'mint_quarantined' });
    expect(quarantined(wallet)).toEqual([false, true]);
    expect(events()).toContain('wallet.keyset.collision');
    expect(decodePaymentRequest(wallet.paymentRequest(msat(1_000))).mints).toEqual([owner.url]);
    expect(await plan(wallet, owner.url, keyset.id)).toMatchObject({ keyset: keyset.id });
  });

  test('after a restart the owner is still the owner, although the copy answers first', async () => {
    const keyset = makeKeyset();
    const owner = await mintOf([keyset]);
    const copy = await mintOf([makeKeyset()]);
    const memory = walletMemory();
    await walletOf([owner.url, copy.url], memory).wallet.start();
    await owner.close();
    copy.keysets = [keyset];
    const { wallet } = walletOf([owner.url, copy.url], memory);
    await wallet.start();
    expect(quarantined(wallet)).toEqual([false, true]);
    await mintOf([keyset], Number(new URL(owner.url).port));
    expect(await plan(wallet, owner.url, keyset.id)).toMatchObject({ keyset: keyset.id });
  });
});
