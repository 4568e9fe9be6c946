/** Expiry: what is left on an account whose date has passed goes to the address that it was created with. */
import { NodeError } from '../base/error.ts';
import type { AccountId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { ZERO, satFloor } from '../base/money.ts';
import type { Clock } from '../base/time.ts';
import type { Account, Ledger } from '../ledger/ledger.ts';
import type { Melts } from './melt.ts';

interface Parts {
  ledger: Ledger;
  melts: Pick<Melts, 'pay'>;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/**
 * Sends the rest of expired accounts, one payment for each account and expiry, until the signal aborts. Without an
 * address, below `satsMin`, or while a request holds money of it, everything stays with the account; so it does when
 * a payment fails, which is tried again later and later.
 */
export async function refundExpired(parts: Parts): Promise<void> {
  const { clock, log, signal } = parts;
  const sweep = createSweep(parts);
  while (!signal.aborted) {
    await clock.sleep(LIMITS.expiry.sweepMs, signal);
    if (signal.aborted) return;
    await sweep().catch((error: unknown) => {
      log.error('gateway.expiry.failed', { error: errorKind(error) });
    });
  }
}

function createSweep({ ledger, melts, clock, log, signal }: Parts): () => Promise<void> {
  const patience = createPatience(clock);
  /** Where the next sweep goes on: an index of many accounts is read in turns. */
  let after: string | undefined;

  /** True when a payment was tried. */
  async function payOut(id: AccountId): Promise<boolean> {
    const account = ledger.account(id);
    const recipient = account?.refundAddress?.trim().toLowerCase();
    if (account === undefined || recipient === undefined || !isDue(ledger, account)) return false;
    // An LNURL hides its host, and waits for itself only.
    const host = recipient.includes('@') ? recipient.slice(recipient.lastIndexOf('@')) : recipient;
    if (patience.waits(id) || patience.waits(host)) return false;
    const short = id.slice(0, 8);
    try {
      const order = { account: id, purpose: 'expiry', recipient, asked: 'all' } as const;
      const { operation } = await melts.pay(order);
      log.info('gateway.expiry.paid', { account: short, operation: operation.id });
    } catch (error) {
      const code = error instanceof NodeError ? error.code : undefined;
      // On its way and on record: the operation itself goes on from here.
      if (code === 'refund_pending' || code === 'operation_in_progress') return true;
      log.warn('gateway.expiry.unpaid', { account: short, error: code ?? errorKind(error) });
      patience.lose(id);
      // Its other accounts would wait for the same host.
      if (code === 'address_unreachable') patience.lose(host);
    }
    return true;
  }

  return async () => {
    const { pageRows, pagesPerSweep, paymentsPerSweep } = LIMITS.expiry;
    let payments = 0;
    for (let page = 0; page < pagesPerSweep && !ledger.health().poisoned; page++) {
      const from = after === undefined ? {} : { after };
      const { accounts, next } = await ledger.expiredAccounts({ limit: pageRows, ...from });
      for (const { id } of accounts) {
        // The page is read again: whoever had a turn is paid or has to wait.
        if (payments === paymentsPerSweep || signal.aborted) return;
        if (await payOut(id)) payments += 1;
      }
      after = next;
      if (next === undefined) return;
    }
  };
}

/** Money arriving anew forgets the last refund, and so does a payment that failed. */
function isDue(ledger: Ledger, account: Account): boolean {
  const last = account.lastRefund === undefined ? undefined : ledger.operation(account.lastRefund);
  const isOpen = last?.state === 'executing' || last?.state === 'blocked';
  const isSent = last?.kind === 'melt' && last.purpose === 'expiry';
  return !isOpen && !isSent && account.held === ZERO && satFloor(account.available) >= LIMITS.expiry.satsMin;
}

/** Who is left alone until when; memory only, so that a restart tries everybody once. */
function createPatience(clock: Clock) {
  const waiting = new Map<string, { until: number; pause: number }>();
  return {
    waits: (name: string): boolean => (waiting.get(name)?.until ?? 0) > clock.monotonic(),
    lose: (name: string): void => {
      const { retryFirstMs, retryMaxMs, waitingMax } = LIMITS.expiry;
      const before = waiting.get(name)?.pause;
      const pause = before === undefined ? retryFirstMs : Math.min(before * 2, retryMaxMs);
      waiting.delete(name);
      waiting.set(name, { until: clock.monotonic() + pause, pause });
      const oldest = waiting.keys().next();
      if (waiting.size > waitingMax && !oldest.done) waiting.delete(oldest.value);
    },
  };
}
