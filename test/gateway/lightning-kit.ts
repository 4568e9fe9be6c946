/** A till with Lightning: real ledger, real wallet, play-money mint, Lightning address; and a crash where a test wants one. */
import { expect, onTestFinished } from 'vitest';
import type { AccountId, OperationId } from '../../src/base/id.ts';
import { accountOfKey } from '../../src/base/id.ts';
import { msat } from '../../src/base/money.ts';
import { createSealer } from '../../src/base/seal.ts';
import { Secret } from '../../src/base/secret.ts';
import { type TestAddress, createTestAddress } from '../../src/demo/address.ts';
import { type TestMint, type TestMintOptions, createTestMint } from '../../src/demo/mint.ts';
import { createDeadTokens } from '../../src/gateway/dead-tokens.ts';
import { createDeposits } from '../../src/gateway/deposit.ts';
import { createDriver } from '../../src/gateway/drive.ts';
import { createOnce } from '../../src/gateway/idempotency.ts';
import { createInvoices } from '../../src/gateway/invoice.ts';
import { createLightning } from '../../src/gateway/lightning.ts';
import { createMelts } from '../../src/gateway/melt.ts';
import { createPayers } from '../../src/gateway/payer.ts';
import { createPayouts } from '../../src/gateway/payout.ts';
import { createJunkLimit } from '../../src/gateway/rate.ts';
import { resumeUnfinished } from '../../src/gateway/recover.ts';
import type { AccountTerms, Ledger, Operation } from '../../src/ledger/ledger.ts';
import { createWallet } from '../../src/wallet/cashu.ts';
import { type FakeClock, fakeClock } from '../base/clock.ts';
import { newPlace } from '../ledger/fixture.ts';
import { openLedger } from '../../src/ledger/level.ts';
import { type LogLine, SEED, recordingLogger } from '../wallet/harness.ts';

/** Where the process dies: at a verb of the ledger, before it does anything or after it is on disk. */
export interface Crash {
  verb:
    | 'openMint'
    | 'planMint'
    | 'completeMint'
    | 'openMelt'
    | 'completeMelt'
    | 'planReclaim'
    | 'completeReclaim'
    | 'openRotation'
    | 'completeSend'
    | 'failOperation';
  when: 'before' | 'after';
}

export async function newLightningTill(options: TestMintOptions = {}) {
  const clock = fakeClock();
  const mint = await createTestMint({ dleq: false, autoPay: false, hints: false, clock, ...options });
  const address = await createTestAddress({ clock });
  const place = await newPlace();
  const log: LogLine[] = [];
  let crash: Crash | undefined;
  let crashed = false;
  let till = await open();
  onTestFinished(async () => {
    mint.resume();
    address.resume();
    await till.close();
    await Promise.all([mint.close(), address.close()]);
  });

  function dying(ledger: Ledger): Ledger {
    return new Proxy(ledger, {
      get: (target, name) => {
        const verb = target[name as keyof Ledger];
        if (typeof verb !== 'function' || crash?.verb !== name) return verb;
        const { when } = crash;
        return (...args: unknown[]) => {
          crashed = true;
          if (when === 'before') throw new Error('killed');
          const result = (verb as (...all: unknown[]) => { durable: Promise<void> })(...args);
          return { ...result, durable: result.durable.then(() => Promise.reject(new Error('killed'))) };
        };
      },
    });
  }

  async function open() {
    const parts = { clock, log: recordingLogger(log) };
    const real = await openLedger({ dir: place.dir, ...parts });
    const ledger = dying(real);
    const wallet = createWallet({
      mints: [{ url: mint.url, unit: mint.unit, allowPrivate: true }],
      seed: SEED,
      allowPrivateAddresses: true,
      ...parts,
    });
    await wallet.start();
    const driver = createDriver(parts);
    const sealer = createSealer(Buffer.alloc(32, 7));
    const keySecret = new Secret<Uint8Array>(Buffer.alloc(32, 9));
    const junk = createJunkLimit({ clock });
    const dead = createDeadTokens({ clock });
    const deposits = createDeposits({ ledger, wallet, sealer, driver, dead, junk, log: parts.log });
    const payouts = createPayouts({ ledger, wallet, driver, log: parts.log });
    const payers = createPayers({ ledger, wallet, deposits, keySecret, junk });
    const invoices = createInvoices({ ledger, wallet, sealer, driver, keySecret, ...parts });
    const melts = createMelts({ ledger, wallet, driver, ...parts });
    const lightning = createLightning({ ledger, invoices, melts, payers, once: createOnce({ ledger }) });
    return {
      ledger,
      wallet,
      deposits,
      lightning,
      melts,
      payouts,
      driver,
      resume: () => resumeUnfinished({ ledger, deposits, payouts, invoices, melts, log: parts.log }),
      close: async () => {
        const ended = driver.close();
        await wallet.close();
        await ended;
        await real.close();
      },
    };
  }

  const kit = {
    clock,
    mint,
    address,
    log,
    place,
    get till() {
      return till;
    },
    dieAt: (at: Crash): void => void (crash = at),
    crashed: () => crashed,
    /** The next process on the same disk. */
    restart: async (): Promise<void> => {
      await till.close();
      crash = undefined;
      crashed = false;
      till = await open();
      till.resume();
    },
    /** Lets time pass in small steps, and what waits for it and for the network happen, until it is so. */
    until: (what: string, check: () => boolean | Promise<boolean>) => passUntil(clock, what, check),
    /** Time for whatever could still go wrong. */
    settle: async (ms = 30_000): Promise<void> => {
      let passed = 0;
      await passUntil(clock, 'some time passes', () => (passed += 500) > ms);
    },
    available: (account: AccountId): number => till.ledger.account(account)?.available ?? 0,
    operations: (): Operation[] => till.ledger.unfinished(),
    drift: (): number => till.ledger.totals().drift,
    /** What the ledger holds is what the mint still owes. */
    backing: (): number => till.ledger.proofs().reduce((sum, { proof }) => sum + proof.amount, 0),
    /** A key with money, from a token. */
    account: async (sats: number, name = 'owner', terms: AccountTerms = {}): Promise<AccountId> => {
      const info = till.wallet.inspect(await mint.issue(sats));
      const account = accountOfKey(`sk-${name}`);
      await till.deposits.deposit(info, { account, accountKind: 'key', purpose: 'create', terms });
      return account;
    },
    earn: async (account: AccountId, sats: number): Promise<void> => {
      till.ledger.hold({ id: `work for ${sats}`, account, amount: msat(sats * 1000) });
      till.ledger.settle(`work for ${sats}`, msat(sats * 1000));
    },
    invoice: (amountSats: number) => till.lightning.invoice({ amountSats, terms: {} }),
    refund: (account: AccountId, amountSats?: number, key?: string) =>
      till.lightning.refundTo(
        account,
        { address: address.address, amountSats },
        key === undefined ? undefined : { key, request: `${amountSats ?? 'all'}` },
      ),
    operation: (id: OperationId) => till.ledger.operation(id),
  };
  return kit;
}

export type LightningTill = Awaited<ReturnType<typeof newLightningTill>>;
export type { TestAddress, TestMint };

async function passUntil(
  clock: FakeClock,
  what: string,
  check: () => boolean | Promise<boolean>,
): Promise<void> {
  for (let tries = 0; tries < 2_000; tries++) {
    if (await check()) return;
    await clock.advance(500);
    await new Promise((resolve) => setTimeout(resolve, 8));
  }
  throw new Error(`never happened: ${what}`);
}

/** Nothing open, nothing lost, nothing made: the ledger's ecash is what the mint still owes. */
export function expectAllBooked(kit: LightningTill): void {
  expect(kit.operations()).toEqual([]);
  expect(kit.drift()).toBe(0);
  expect(kit.backing()).toBe(kit.mint.stats.outstanding);
  const { inflight } = kit.till.ledger.totals().assets;
  expect([inflight, kit.till.ledger.totals().liabilities['owed']]).toEqual([0, 0]);
}
