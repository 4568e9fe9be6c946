/** Rotation of our own proofs: off keysets that a mint is about to forget, and many small ones into few. */
import { newOperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { unitToMsat } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { Driver } from './drive.ts';
import type { Payouts } from './payout.ts';
import type { Shelf } from './shelves.ts';

interface Parts {
  ledger: Ledger;
  wallet: Wallet;
  payouts: Pick<Payouts, 'begin'>;
  driver: Driver;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
  /** More proofs than this at one mint are too many. */
  proofsMax?: number;
}

/** Looks through the pool now and then until the signal aborts; a mint that is away waits for the next time. */
export async function rotateProofs(parts: Parts): Promise<void> {
  const { ledger, wallet, clock, log, signal } = parts;
  const { sweepMs, againMs } = LIMITS.rotation;
  let pauseMs: number = sweepMs;
  while (!signal.aborted) {
    await clock.sleep(pauseMs, signal);
    pauseMs = sweepMs;
    for (const { url, unit, quarantined } of wallet.mints()) {
      if (signal.aborted) return;
      if (quarantined || ledger.health().poisoned) continue;
      const isLeft = await rotateShelf(parts, { mint: url, unit }).catch((error: unknown) => {
        log.warn('gateway.rotation.failed', { mint: url, error: errorKind(error) });
      });
      if (isLeft === true) pauseMs = againMs;
    }
  }
}

/** True where there is more to do than one sweep may. */
async function rotateShelf(parts: Parts, shelf: Shelf): Promise<boolean> {
  const {
    ledger,
    wallet,
    payouts,
    driver,
    clock,
    log,
    signal,
    proofsMax = LIMITS.rotation.proofsMax,
  } = parts;
  const { beforeExpirySeconds, inputsMax, feeShareMax, swapsPerSweep } = LIMITS.rotation;
  for (let swaps = 0; swaps < swapsPerSweep && !signal.aborted; swaps++) {
    const { keyset, feePpk, facts } = await wallet.activeKeyset(shelf.mint, shelf.unit, { fresh: true });
    const soon = unixSeconds(clock) + beforeExpirySeconds;
    /** A retired keyset may be forgotten without a word, but only an announced end is worth a fee. */
    const ends = (id: string): boolean => {
      if (id === keyset) return false;
      const known = facts?.(id);
      const isRetired = known?.active === false && feePpk(id) === 0;
      return isRetired || (known?.finalExpiry ?? Infinity) <= soon;
    };
    const amounts = (value: number, fee: number): number[] | undefined =>
      value > fee ? wallet.split(value - fee) : undefined;
    const dense = (value: number, fee: number, count: number): number[] | undefined => {
      const isCheap = fee <= value * feeShareMax && unitToMsat(fee, shelf.unit) <= ledger.earned();
      const outputs = isCheap ? amounts(value, fee) : undefined;
      return outputs !== undefined && outputs.length <= count / 2 ? outputs : undefined;
    };
    const order = { id: newOperationId(), ...shelf, count: inputsMax, feePpk, keyset };
    const isFull = (): boolean => ledger.pooled(shelf).count > proofsMax;
    const opened =
      ledger.openRotation({ ...order, wanted: ends, amounts }) ??
      (isFull() ? ledger.openRotation({ ...order, wanted: () => true, amounts: dense }) : undefined);
    if (opened === undefined) return false;
    const { id, unearned } = opened.operation;
    if (unearned !== undefined) log.warn('gateway.rotation.unearned', { operation: id, msat: unearned });
    log.info('gateway.rotation.begun', { operation: id, mint: shelf.mint });
    payouts.begin(opened);
    if (!(await driver.wait(id, LIMITS.mint.clientWaitMs)) || ledger.operation(id)?.state !== 'done')
      return false;
  }
  return true;
}
