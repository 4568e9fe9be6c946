/** One round of a payment over Lightning with its mint, and what is booked for each way it can end. */
import { invariant } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { OperationId } from '../base/id.ts';
import type { Logger } from '../base/log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { MeltOperation } from '../ledger/lightning.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { StepResult } from './drive.ts';
import { type MeltEnding, createReclaim } from './melt-reclaim.ts';
import type { QuoteWatch } from './quote-watch.ts';

export function createMeltStep(parts: {
  ledger: Ledger;
  wallet: Wallet;
  watch: QuoteWatch;
  clock: Clock;
  log: Logger;
}): (id: OperationId, firstAttempt: boolean) => Promise<StepResult> {
  const { ledger, wallet, watch, clock, log } = parts;
  const reclaim = createReclaim({ ledger, wallet, settle, isPatient, block, log });
  /** Payments of which nothing has left this process so far, because their mint asked for patience. */
  const unsent = new Set<OperationId>();
  /**
   * How often in a row nothing was left that says what became of a payment, or what was owed of it was not there: one
   * vague refusal says the first, and a mint that is slow or was restarted is behind with the second.
   */
  const untraced = new Map<OperationId, number>();

  function isPatient(id: OperationId): boolean {
    return (untraced.get(id) ?? 0) < LIMITS.mint.vagueRoundsMax;
  }

  async function block({ id }: MeltOperation, reason: string, detail: string): Promise<StepResult> {
    log.error('gateway.melt.blocked', { operation: id, detail });
    await ledger.blockOperation(id, reason).durable;
    return { done: true };
  }

  async function settle(operation: MeltOperation, result: MeltEnding): Promise<StepResult> {
    const { id, purpose } = operation;
    switch (result.outcome) {
      case 'paid':
        if (result.short > 0) log.error('gateway.melt.short_change', { operation: id, short: result.short });
        await ledger.completeMelt(id, result.change, result.preimage).durable;
        log.info('gateway.melt.paid', { operation: id, purpose });
        return { done: true };
      case 'contradiction':
        return block(operation, 'mint_contradiction', result.detail);
      case 'untraceable': {
        const rounds = (untraced.get(id) ?? 0) + 1;
        if (rounds >= LIMITS.mint.vagueRoundsMax)
          return block(operation, 'quote_forgotten', 'the mint forgot the quote, and inputs are spent');
        untraced.set(id, rounds);
        return { done: false };
      }
      case 'owing':
        untraced.set(id, (untraced.get(id) ?? 0) + 1);
        return { done: false };
      case 'pending':
        return { done: false, waits: true };
      case 'unresolved':
        return {
          done: false,
          ...(result.retryAfterMs === undefined ? {} : { retryAfterMs: result.retryAfterMs }),
        };
    }
  }

  async function round(operation: MeltOperation, firstAttempt: boolean): Promise<StepResult> {
    const { id } = operation;
    if (operation.state !== 'executing') return { done: true };
    const { mint, unit, quote, amount, feeReserve, spend } = operation;
    invariant(spend !== undefined, 'an executing melt keeps its inputs');
    if (spend.reclaim !== undefined) return reclaim.swap(operation);
    const isFirst = firstAttempt || unsent.delete(id);
    const patient = isPatient(id);
    const request = { mint, unit, quote, amount, feeReserve, ...spend, firstAttempt: isFirst, patient };
    const result = await wallet.lightning.melt(request);
    if (result.outcome === 'unpaid') {
      const reason = `unpaid_${result.code}`;
      if (!isFirst) return reclaim.plan(operation, reason);
      // This was the only request that ever left, and the mint answered it.
      await ledger.failOperation(id, reason).durable;
      return { done: true };
    }
    if (result.outcome === 'forgotten') {
      const isOver = unixSeconds(clock) > endOf(operation);
      return isOver ? reclaim.plan(operation, 'quote_forgotten') : { done: false, waits: true };
    }
    if (isFirst && result.outcome === 'unresolved' && result.unsent === true) unsent.add(id);
    return settle(operation, result);
  }

  return async (id, firstAttempt) => {
    const operation = ledger.operation(id);
    invariant(operation?.kind === 'melt', 'a melt operation keeps its kind');
    const before = untraced.get(id);
    const result = await round(operation, firstAttempt);
    if (untraced.get(id) === before) untraced.delete(id);
    if (result.done) watch.end(id);
    else if (result.waits) {
      const { mint, quote } = operation;
      watch.begin(id, { kind: 'bolt11_melt_quote', mint, quote });
    }
    return result;
  };
}

/** Of payments from before quotes told their end: no invoice lives longer. */
const endOf = ({ expiresAt, createdAt }: MeltOperation): number =>
  expiresAt ?? createdAt + LIMITS.invoice.secondsMax;
