/** How a payment over Lightning ended, as a client hears it, and the refusals before it begins. */
import { NodeError, invariant } from '../base/error.ts';
import type { OperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Msat } from '../base/money.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { MeltOperation } from '../ledger/lightning.ts';

/** The operation if it is paid. Throws payment_failed, refund_pending, mint_quarantined. */
export async function endOfMelt(ledger: Ledger, id: OperationId): Promise<MeltOperation> {
  const operation = ledger.operation(id);
  invariant(operation?.kind === 'melt', 'a melt operation keeps its kind');
  switch (operation.state) {
    case 'done':
      // Whoever comes second must not hear of it before it is on disk.
      await ledger.completeMelt(id, []).durable;
      return operation;
    case 'failed':
      throw new NodeError(
        'payment_failed',
        `The payment did not go through. ${operation.spent === undefined ? 'Nothing' : `Only ${operation.spent} mSats of mint fees`} left the balance.`,
        { metadata: { operation_id: id, fee_msats: operation.spent ?? 0 } },
      );
    case 'blocked':
      throw new NodeError(
        'mint_quarantined',
        'The mint answered this payment inconsistently. It is on record and the operator was alarmed.',
        { metadata: { operation_id: id } },
      );
    case 'executing':
      throw new NodeError(
        'refund_pending',
        'The payment is on its way and on record. Repeat the same request to hear how it ended.',
        { retryAfterMs: 5_000, metadata: { operation_id: id, recipient: operation.recipient } },
      );
  }
}

/** Another mint may do what one cannot. */
export const MINT_TROUBLE = new Set([
  'mint_unreachable',
  'mint_rate_limited',
  'mint_quarantined',
  'payment_failed',
]);

export function afterReserve(sats: number): number {
  const { reserveSatsMin, reservePercent } = LIMITS.melt;
  return sats - Math.max(reserveSatsMin, Math.ceil((sats * reservePercent) / 100));
}

export const tooSmall = (): NodeError =>
  new NodeError('refund_too_small', 'Balance too small to refund', {
    legacyDetail: 'Balance too small to refund',
  });
export const tooMuch = (available: Msat, needed: number): NodeError =>
  new NodeError(
    'insufficient_balance',
    `Insufficient credits: ${needed} mSats are needed, Lightning and mint fees included; ${available} are available.`,
    { metadata: { available_msats: available, required_msats: needed } },
  );
export const stillHeld = (): NodeError =>
  new NodeError('refund_busy', 'A request still holds money of this account.', { retryAfterMs: 1_000 });
export const inProgress = (id: OperationId): NodeError =>
  new NodeError('operation_in_progress', 'Another payment of this balance is on its way. Wait for its end.', {
    retryAfterMs: 1_000,
    metadata: { operation_id: id },
  });
