import { createServer } from 'node:http';
import { deriveKeysetId } from '@cashu/cashu-ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { StoredProof } from '../../src/base/proof.ts';
import { createWallet } from '../../src/wallet/cashu.ts';
import { createKeysetMemory, type WalletMemory } from '../../src/wallet/keyset-memory.ts';
import { takesOutputs } from '../../src/wallet/keyset-check.ts';
import type { Wallet } from '../../src/wallet/wallet.ts';
import { createWorlds, type LogLine, recordingLogger, SEED, testClock, walletMemory } from './harness.ts';
import { createKeysetMint, makeKeyset, type ServedKeyset } from './keyset-mint.ts';

const events = (lines: LogLine[]): string[] => lines.map(({ event }) => event);
function walletOf(urls: string[], memory: WalletMemory | undefined, lines: LogLine[] = []): Wallet {
  return createWallet({
    mints: urls.map((url) => ({ url, unit: 'sat', allowPrivate: true })),
    seed: SEED,
    ...(memory && { memory }),
    clock: testClock(),
    log: recordingLogger(lines),
  });
}

describe('a restart while the mints are down', () => {
  const memory = walletMemory();
  /** By version of the keyset ids. The mint of version 1 rotated after the proofs were made. */
  const before: { url: string; token: string; proofs: StoredProof[]; next: string; active: string }[] = [];
  let second: Wallet;
  const lines: LogLine[] = [];

  beforeAll(async () => {
    const worlds = await createWorlds(
      { old: { keysetVersion: 0 }, rotated: { keysetVersion: 1 } },
      { memory },
    );
    for (const world of [worlds.old, worlds.rotated]) {
      const { mint, wallet, clock } = world;
      const proofs = await world.receive(await mint.issue(100));
      const token = await wallet.encodeToken(mint.url, 'sat', proofs.slice(2));
      if (world === worlds.rotated) mint.rotate();
      const next = await mint.issue(8);
      clock.advance(30_000);
      await wallet.planReceive(wallet.inspect(next));
      before.push({ url: mint.url, token, proofs, next, active: mint.keyset() });
    }
    await worlds.old[Symbol.asyncDispose]();
    second = walletOf(
      before.map(({ url }) => url),
      memory,
      lines,
    );
    await second.start();
  });
  afterAll(() => second.close());

  test.each([0, 1])('tokens are made of our proofs as before (keyset ids of version %i)', async (version) => {
    const { url, token, proofs } = before[version] as (typeof before)[number];
    expect(second.mints()[version]).toMatchObject({ reachable: false, quarantined: false });
    expect(await second.encodeToken(url, 'sat', proofs.slice(2))).toBe(token);
    expect(await second.encodeToken(url, 'sat', proofs.slice(0, 2))).toMatch(/^cashuB/);
  });

  test.each([0, 1])('exact coins can be planned, at the fee known last (version %i)', async (version) => {
    const { url, active } = before[version] as (typeof before)[number];
    const { keyset, feePpk } = await second.activeKeyset(url, 'sat');
    expect(keyset).toBe(active);
    expect(feePpk(keyset)).toBe(0);
    expect(second.split(100).length).toBeGreaterThan(0);
    expect(second.mints()[version]).toMatchObject({ activeKeyset: active, inputFeePpk: 0 });
  });

  test.each([0, 1])('nothing is received, and a swap is "not known yet" (version %i)', async (version) => {
    const { url, proofs, next, active } = before[version] as (typeof before)[number];
    await expect(second.planReceive(second.inspect(next))).rejects.toMatchObject({
      code: 'mint_unreachable',
    });
    const plan = { keyset: active, counter: 1_000, amounts: second.split(100) };
    const request = { mint: url, unit: 'sat', inputs: proofs, plan, firstAttempt: true } as const;
    expect((await second.swap(request)).outcome).toBe('unresolved');
  });

  test('without a memory none of it works', async () => {
    const { url, proofs } = before[0] as (typeof before)[number];
    const forgetful = walletOf([url], undefined);
    await expect(forgetful.encodeToken(url, 'sat', proofs)).rejects.toMatchObject({
      code: 'mint_unreachable',
    });
    await expect(forgetful.activeKeyset(url, 'sat')).rejects.toMatchObject({ code: 'mint_unreachable' });
    await forgetful.close();
  });

  test('the keysets are written when they change, not when they are used', () => {
    const times = (version: number): number =>
      memory.puts.filter((key) => key === `wallet/keysets/${before[version]?.url ?? ''}|sat`).length;
    expect([times(0), times(1)]).toEqual([1, 2]); // The second mint rotated once.
    expect(memory.puts).toHaveLength(3);
    expect(events(lines)).not.toContain('wallet.keysets.ignored');
  });
});

describe('what is remembered', () => {
  const KEY = (url: string): string => `wallet/keysets/${url}|sat`;
  /** A wallet that met the mint, and what it left in memory. */
  async function met(keyset: ServedKeyset) {
    const mint = await createKeysetMint([keyset]);
    const memory = walletMemory();
    const first = walletOf([mint.url], memory);
    await first.start();
    await first.close();
    await mint.close();
    return { url: mint.url, memory, text: memory.values.get(KEY(mint.url)) ?? '' };
  }
  async function recalled(
    url: string,
    memory: WalletMemory,
  ): Promise<{ keyset: string | undefined; said: string[] }> {
    const lines: LogLine[] = [];
    const wallet = walletOf([url], memory, lines);
    const keyset = await wallet.activeKeyset(url, 'sat').then(
      (active) => active.keyset,
      () => undefined,
    );
    await wallet.close();
    return { keyset, said: events(lines) };
  }

  test('a mint that hangs holds up a payout for two seconds only', async () => {
    const keyset = makeKeyset();
    const { url, memory } = await met(keyset);
    const silent = createServer().on('connection', () => clock.advance(LIMITS.mint.rememberedWaitMs));
    await new Promise<void>((resolve) => silent.listen(Number(new URL(url).port), '127.0.0.1', resolve));
    const clock = testClock();
    const mints = [{ url, unit: 'sat' as const, allowPrivate: true }];
    const wallet = createWallet({ mints, seed: SEED, memory, clock, log: silentLogger });
    expect((await wallet.activeKeyset(url, 'sat')).keyset).toBe(keyset.id);
    expect(clock.now() - Date.now()).toBeLessThan(LIMITS.mint.timeoutMs);
    await wallet.close();
    silent.closeAllConnections();
    await new Promise((resolve) => silent.close(resolve));
  });

  test.each([0, 1] as const)('is believed as far as its id goes (version %i)', async (version) => {
    const [keyset, other] = [makeKeyset({ version }), makeKeyset({ version })];
    const { url, memory, text } = await met(keyset);
    expect((await recalled(url, memory)).keyset).toBe(keyset.id);

    memory.values.set(KEY(url), text.replace(keyset.keys['4'] ?? '', other.keys['4'] ?? ''));
    const tampered = await recalled(url, memory);
    expect(tampered.keyset).toBeUndefined();
    expect(tampered.said).toContain('wallet.keysets.ignored');
  });

  test('a fee is part of an id of version 1', async () => {
    const keyset = makeKeyset({ feePpk: 100 });
    const { url, memory, text } = await met(keyset);
    memory.values.set(KEY(url), text.replace('"feePpk":100', '"feePpk":0'));
    expect((await recalled(url, memory)).keyset).toBeUndefined();
  });

  test.each([
    ['no JSON', (): string => '{"v":1,"keysets":['],
    ['another version', (text: string) => text.replace('"v":1', '"v":2')],
    ['an unknown field', (text: string) => text.replace('"v":1', '"v":1,"x":1')],
    ['a fee that is text', (text: string) => text.replace('"feePpk":0', '"feePpk":"0"')],
    ['nothing', () => ''],
  ])('%s is not read', async (_what, spoil) => {
    const { url, memory, text } = await met(makeKeyset());
    memory.values.set(KEY(url), spoil(text));
    const { keyset, said } = await recalled(url, memory);
    expect(keyset).toBeUndefined();
    expect(said).toContain('wallet.keysets.unreadable');
  });

  test('a keyset of another unit is not taken for ours', async () => {
    const { url, memory, text } = await met(makeKeyset());
    memory.values.set(KEY(url).replace('|sat', '|msat'), text);
    const wallet = createWallet({
      mints: [{ url, unit: 'msat', allowPrivate: true }],
      seed: SEED,
      memory,
      clock: testClock(),
      log: silentLogger,
    });
    await expect(wallet.activeKeyset(url, 'msat')).rejects.toMatchObject({ code: 'mint_unreachable' });
    await wallet.close();
  });

  test('a memory that fails costs a warning, and the next load tries again', async () => {
    const mint = await createKeysetMint([makeKeyset()]);
    const lines: LogLine[] = [];
    let puts = 0;
    const broken: WalletMemory = {
      get: () => undefined,
      put: () => {
        puts += 1;
        throw new Error('the disk is full');
      },
    };
    const clock = testClock();
    const wallet = createWallet({
      mints: [{ url: mint.url, unit: 'sat', allowPrivate: true }],
      seed: SEED,
      memory: broken,
      clock,
      log: recordingLogger(lines),
    });
    const { keyset } = await wallet.activeKeyset(mint.url, 'sat');
    expect(keyset).toBe(mint.keysets[0]?.id);
    expect(events(lines)).toContain('wallet.keysets.not_remembered');
    expect(puts).toBe(1);
    await wallet.close();
    await mint.close();
  });

  test('has a bound: active keysets first, then those met last', () => {
    // The fee is part of the id, so the same keys make many keysets.
    const { keys } = makeKeyset();
    const keysets = Array.from({ length: 250 }, (_, feePpk) => ({
      id: deriveKeysetId(keys, { unit: 'sat', input_fee_ppk: feePpk }),
      unit: 'sat',
      active: feePpk === 0,
      feePpk,
      keys,
    }));
    const memory = walletMemory();
    const url = 'https://mint.test';
    const open = () => createKeysetMemory({ memory, url, units: ['sat'], log: silentLogger });
    const first = open();
    for (const { id } of keysets) first.need(id);
    first.keep(keysets);
    const text = memory.values.get(KEY(url)) ?? '';
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(LIMITS.mint.rememberedBytesMax + 32);
    const kept = open()
      .recall('sat')
      .map(({ id }) => id);
    expect(kept.length).toBeGreaterThan(20);
    expect(kept).toEqual(
      [keysets[0], ...keysets.slice(-kept.length + 1).reverse()].map((keyset) => keyset?.id),
    );

    const second = open();
    second.recall('sat');
    second.keep(keysets);
    expect(memory.puts).toHaveLength(1); // The same text is not written again.
    expect(kept.every(takesOutputs)).toBe(true);
  });
});
