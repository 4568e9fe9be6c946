/** Gateway: the one door behind both faces. Pay, hold, ask, settle; and the use cases of accounts. */
import { type Random, systemRandom } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import type { Msat } from '../base/money.ts';
import type { Sealer } from '../base/seal.ts';
import type { Secret } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RateSource } from '../pricing/rate.ts';
import type { Catalogue } from '../upstream/catalogue.ts';
import type { Wallet } from '../wallet/wallet.ts';
import { type Accounts, createAccounts } from './account.ts';
import { type ChildKeys, createChildKeys } from './child-keys.ts';
import { createDeadTokens } from './dead-tokens.ts';
import { createDeposits } from './deposit.ts';
import { createDriver } from './drive.ts';
import { refundExpired } from './expiry.ts';
import { createHolds } from './holds.ts';
import { createOnce } from './idempotency.ts';
import { createInvoices } from './invoice.ts';
import { createRateLimit } from './key-rate.ts';
import { type Lightning, type PayoutRule, createLightning, payOutEarnings } from './lightning.ts';
import { type LookUps, createLookUps } from './lookup.ts';
import { createLoopBreaker } from './loop.ts';
import { createMelts } from './melt.ts';
import { createOutcomes } from './outcomes.ts';
import { createPayers } from './payer.ts';
import { createPayouts } from './payout.ts';
import { type Quote, createQuotes } from './quote.ts';
import { createJunkLimit } from './rate.ts';
import { resumeUnfinished } from './recover.ts';
import { rotateProofs } from './rotate.ts';
import type { Answer, InferenceRequest } from './request.ts';
import { createServe } from './serve.ts';
import { createDrains } from './stream-answer.ts';

export interface Gateway {
  serve: (request: InferenceRequest) => Promise<Answer>;
  quote: (body: Buffer) => Quote;
  accounts: Accounts;
  lightning: Lightning;
  childKeys: ChildKeys;
  lookUps: LookUps;
  /** Takes up unfinished operations and begins to look after leases. Returns how many were taken up. */
  start: () => number;
  /** Requests that hold money at this moment. */
  active: () => number;
  close: () => Promise<void>;
}

export function createGateway(parts: {
  ledger: Ledger;
  wallet: Wallet;
  catalogue: Catalogue;
  rate: RateSource;
  limits: {
    /** Paid requests of one key; 0 means no limit. */
    requestsPerMinute: number;
    /** Equal bodies of one key within a minute that are taken for a loop; 0 never. */
    identicalRequests: number;
  };
  childKeyCost: Msat;
  random?: Random;
  secrets: { sealer: Sealer; keySecret: Secret<Uint8Array> };
  payout?: PayoutRule | undefined;
  clock: Clock;
  log: Logger;
}): Gateway {
  const { ledger, wallet, catalogue, rate, secrets, limits, clock, log, random = systemRandom } = parts;
  const driver = createDriver({ clock, log });
  const junk = createJunkLimit({ clock });
  const dead = createDeadTokens({ clock });
  const deposits = createDeposits({ ledger, wallet, sealer: secrets.sealer, driver, dead, junk, log });
  const payouts = createPayouts({ ledger, wallet, driver, log });
  const payers = createPayers({ ledger, wallet, deposits, keySecret: secrets.keySecret, junk });
  const { sealer, keySecret } = secrets;
  const invoices = createInvoices({ ledger, wallet, sealer, driver, keySecret, clock, log });
  const melts = createMelts({ ledger, wallet, driver, clock, log });
  const holds = createHolds({ ledger, wallet });
  const once = createOnce({ ledger });
  const accounts = createAccounts({ ledger, wallet, payers, deposits, payouts, once, log });
  const stop = new AbortController();

  const resume = (): number => resumeUnfinished({ ledger, deposits, payouts, invoices, melts, log });
  async function lookAfterLeases(): Promise<void> {
    while (!stop.signal.aborted) {
      await clock.sleep(LIMITS.hold.sweepMs, stop.signal);
      try {
        holds.sweep();
        if (!ledger.health().poisoned && driver.takeHalted()) resume();
      } catch (error) {
        // A broken row poisons the ledger; the process must not end by a promise that nobody waits for.
        log.error('gateway.sweep.failed', { error: errorKind(error) });
      }
    }
  }
  async function forgetOldKeys(): Promise<void> {
    while (!stop.signal.aborted) {
      await clock.sleep(LIMITS.idempotency.sweepMs, stop.signal);
      if (stop.signal.aborted || ledger.health().poisoned) continue;
      await ledger.forgetOld().catch((error: unknown) => {
        log.error('gateway.sweep.failed', { error: errorKind(error) });
      });
    }
  }
  let leases: Promise<unknown> | undefined;
  let earnings: Promise<void> | undefined;
  let expiries: Promise<void> | undefined;
  let rotations: Promise<void> | undefined;

  return {
    serve: createServe({
      ledger,
      catalogue,
      rate,
      payers,
      holds,
      accounts,
      outcomes: createOutcomes({ clock }),
      rateLimit: createRateLimit({ perMinute: limits.requestsPerMinute, clock }),
      loopBreaker: createLoopBreaker({ identical: limits.identicalRequests, clock }),
      drains: createDrains(),
      clock,
      log,
    }),
    quote: createQuotes({ catalogue, wallet }),
    accounts,
    lightning: createLightning({ ledger, invoices, melts, payers, once }),
    childKeys: createChildKeys({ ledger, payers, once, keySecret, random, costEach: parts.childKeyCost }),
    lookUps: createLookUps({ ledger, payers, driver }),
    start: () => {
      leases = Promise.all([lookAfterLeases(), forgetOldKeys()]);
      expiries = refundExpired({ ledger, melts, clock, log, signal: stop.signal });
      rotations = rotateProofs({ ledger, wallet, payouts, driver, clock, log, signal: stop.signal });
      const rule = parts.payout;
      if (rule) earnings = payOutEarnings({ ledger, melts, rule, clock, log, signal: stop.signal });
      return resume();
    },
    active: () => holds.open(),
    close: async () => {
      stop.abort();
      await Promise.all([leases, driver.close()]);
      // A payment that waits for an address ends with the wallet; what it opened is taken up at the next start.
      void earnings;
      void expiries;
      void rotations;
    },
  };
}
