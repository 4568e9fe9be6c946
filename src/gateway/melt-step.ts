/** One round of a payment over Lightning with its mint, and what is booked for each way it can end. */
import { invariant } from '../base/error.ts';
import type { OperationId } from '../base/id.ts';
import type { Logger } from '../base/log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { StepResult } from './drive.ts';

export function createMeltStep(parts: { ledger: Ledger; wallet: Wallet; log: Logger }) {
  const { ledger, wallet, log } = parts;

  return async (id: OperationId, firstAttempt: boolean): Promise<StepResult> => {
    const operation = ledger.operation(id);
    invariant(operation?.kind === 'melt', 'a melt operation keeps its kind');
    if (operation.state !== 'executing') return { done: true };
    const { mint, unit, quote, amount, feeReserve, spend } = operation;
    invariant(spend !== undefined, 'an executing melt keeps its inputs');
    const result = await wallet.lightning.melt({
      mint,
      unit,
      quote,
      amount,
      feeReserve,
      ...spend,
      firstAttempt,
    });
    switch (result.outcome) {
      case 'paid':
        if (result.short > 0) log.error('gateway.melt.short_change', { operation: id, short: result.short });
        await ledger.completeMelt(id, result.change, result.preimage).durable;
        log.info('gateway.melt.paid', { operation: id, purpose: operation.purpose });
        return { done: true };
      case 'unpaid':
        await ledger.failOperation(id, `unpaid_${result.code}`).durable;
        return { done: true };
      case 'contradiction':
        log.error('gateway.melt.blocked', { operation: id, detail: result.detail });
        await ledger.blockOperation(id, 'mint_contradiction').durable;
        return { done: true };
      case 'pending':
        return { done: false, waits: true };
      case 'unresolved':
        return {
          done: false,
          ...(result.retryAfterMs === undefined ? {} : { retryAfterMs: result.retryAfterMs }),
        };
    }
  };
}
