/** Refusals of refunds, and of change that is claimed. */
import { NodeError } from '../base/error.ts';
import type { Account } from '../ledger/ledger.ts';

export const refundTooMuch = (account: Pick<Account, 'available'>): NodeError =>
  new NodeError(
    'insufficient_balance',
    `Insufficient credits: ${account.available} mSats are available for a refund, mint fees included.`,
    { metadata: { available_msats: account.available } },
  );
export const refundBusy = (): NodeError =>
  new NodeError('refund_busy', 'Cannot refund key. There are ongoing requests for this api key.', {
    legacyDetail: 'Cannot refund key. There are ongoing requests for this api key.',
    retryAfterMs: 1_000,
  });
export const nothingToRefund = (): NodeError =>
  new NodeError('nothing_to_refund', 'No balance to refund', { legacyDetail: 'No balance to refund' });
export const refundTooSmall = (): NodeError =>
  new NodeError('refund_too_small', 'Balance too small to refund', {
    legacyDetail: 'Balance too small to refund',
  });
export const refundNotFound = (): NodeError =>
  new NodeError('refund_not_found', 'Refund not found', { legacyDetail: 'Refund not found' });
export const refundPending = (): NodeError =>
  new NodeError('refund_pending', 'Refund is pending; retry shortly.', { retryAfterMs: 2_000 });
export const refundSwept = (): NodeError =>
  new NodeError('refund_swept', 'This change was claimed already: its token is spent at the mint.');
