/** Refusals of deposits: what a presenter is told about a token that was not credited. */
import { NodeError } from '../base/error.ts';
import type { ReceiveOperation } from '../ledger/ledger.ts';
import type { TokenInfo } from '../wallet/wallet.ts';

/**
 * The same proofs in another text are somebody else's attempt; the same text for another purpose is spent. Nothing is
 * called spent that the mint refused for another reason, or that was only refused together with a spent proof:
 * clients throw spent tokens away. `spent`: the mint says so of a proof of this very token.
 */
export function foreignClaim(info: TokenInfo, operation: ReceiveOperation, spent: boolean): NodeError {
  const untouched = operation.state === 'failed' && !spent;
  if (untouched || (operation.textHash !== info.textHash && operation.state !== 'failed')) {
    return new NodeError(
      'token_already_claimed',
      untouched
        ? 'These proofs were presented before, in another way, and the mint refused them then. Present the token exactly as at first, or swap it in a wallet.'
        : 'These proofs were claimed by another payment. Use the token exactly as it was first presented, or another token.',
    );
  }
  return tokenSpent();
}

export const tokenSpent = (metadata?: Record<string, unknown>): NodeError =>
  new NodeError(
    'token_already_spent',
    'Cashu token already spent: it cannot pay again. Send another token.',
    metadata ? { metadata } : {},
  );

export function refusalOf(operation: ReceiveOperation): NodeError {
  if (operation.state === 'blocked') {
    return new NodeError(
      'mint_quarantined',
      'The mint answered this payment inconsistently. It is on record and the operator was alarmed; do not pay with this mint now.',
      { metadata: { operation_id: operation.id } },
    );
  }
  switch (operation.reason) {
    case 'token_already_spent':
      return tokenSpent();
    case 'cashu_token_swap_fees_exceed_amount':
      return new NodeError(
        'cashu_token_swap_fees_exceed_amount',
        'The mint fee eats the whole token. It was not redeemed.',
      );
    case 'unknown_keyset':
      return new NodeError(
        'unknown_keyset',
        'The mint does not know the keyset of this token. It was not redeemed.',
      );
    default:
      return new NodeError(
        'invalid_cashu_token',
        'The mint refused this token as invalid. It was not redeemed.',
        {
          metadata: { reason: operation.reason ?? 'refused' },
        },
      );
  }
}
