/** The wallet of a node, and for commands of its operator everything that moves money of a stopped one. */
import type { Logger } from './base/log.ts';
import type { Clock } from './base/time.ts';
import type { Config } from './config.ts';
import { createDeadTokens } from './gateway/dead-tokens.ts';
import { type Deposits, createDeposits } from './gateway/deposit.ts';
import { type Driver, createDriver } from './gateway/drive.ts';
import { type Invoices, createInvoices } from './gateway/invoice.ts';
import { type Melts, createMelts } from './gateway/melt.ts';
import { type Payouts, createPayouts } from './gateway/payout.ts';
import { createJunkLimit } from './gateway/rate.ts';
import type { Ledger } from './ledger/ledger.ts';
import { openLedger, restoredAs } from './ledger/level.ts';
import { type NodeSecrets, checkSeed, ledgerDir, mirrorDir, readNodeSecrets } from './node-data.ts';
import { createWallet } from './wallet/cashu.ts';
import type { CounterMemory } from './wallet/survey.ts';
import type { Wallet } from './wallet/wallet.ts';

export interface Tools {
  log: Logger;
  clock: Clock;
}

export async function walletOf(
  config: Config,
  { seed }: NodeSecrets,
  ledger: Ledger,
  { clock, log }: Tools,
): Promise<Wallet> {
  const restored = await restoredAs(ledgerDir(config));
  return createWallet({
    mints: config.mints.map(({ url, unit, allow_private }) => ({ url, unit, allowPrivate: allow_private })),
    seed,
    memory: {
      get: (key) => ledger.getValue(key),
      put: (key, value) => ledger.putValue(key, value).durable,
    },
    counters: restored === undefined ? undefined : countersOf(ledger, restored),
    allowPrivateAddresses: config.lightning.allow_private,
    clock,
    log,
  });
}

/** Each keyset is surveyed once after each restore. */
function countersOf(ledger: Ledger, restored: string): CounterMemory {
  const nameOf = (keyset: string): string => `surveyed/${restored}/${keyset}`;
  return {
    unsurveyed: (keyset) =>
      ledger.getValue(nameOf(keyset)) === undefined ? ledger.nextCounter(keyset) : undefined,
    surveyed: async (keyset, next) => {
      ledger.skipCounters(keyset, next);
      await ledger.putValue(nameOf(keyset), `${next}`).durable;
    },
  };
}

export interface Till {
  secrets: NodeSecrets;
  ledger: Ledger;
  wallet: Wallet;
  driver: Driver;
  deposits: Deposits;
  payouts: Payouts;
  invoices: Invoices;
  melts: Melts;
}

/** Throws ExitError 73 when a running node holds the ledger, 78 when it or its seed cannot be trusted. */
export async function withTill<T>(
  config: Config,
  tools: Tools,
  work: (till: Till) => Promise<T>,
): Promise<T> {
  const { clock, log } = tools;
  const ledger = await openLedger({ dir: ledgerDir(config), mirror: mirrorDir(config), clock, log });
  const closers: (() => Promise<void>)[] = [() => ledger.close()];
  try {
    const secrets = await readNodeSecrets(config);
    await checkSeed(ledger, secrets);
    const { sealer, keySecret } = secrets;
    const wallet = await walletOf(config, secrets, ledger, tools);
    closers.unshift(() => wallet.close());
    const driver = createDriver(tools);
    closers.unshift(() => driver.close());
    const dead = createDeadTokens({ clock });
    const junk = createJunkLimit({ clock });
    return await work({
      secrets,
      ledger,
      wallet,
      driver,
      deposits: createDeposits({ ledger, wallet, sealer, driver, dead, junk, log }),
      payouts: createPayouts({ ledger, wallet, driver, log }),
      invoices: createInvoices({ ledger, wallet, sealer, driver, keySecret, clock, log }),
      melts: createMelts({ ledger, wallet, driver, clock, log }),
    });
  } finally {
    for (const close of closers) await close();
  }
}
