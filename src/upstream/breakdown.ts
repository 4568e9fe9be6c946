/** Breakdown: what a failed connection means to a client. Texts of the library stay in `cause`; they may carry URLs. */
import { NodeError } from '../base/error.ts';

/** @param answering the head of the answer had come: from then on it is a broken answer. */
export function breakdown(error: unknown, answering: boolean): Error {
  if (error instanceof NodeError) return error;
  if (answering) {
    return new NodeError('upstream_error', 'The AI server broke off its answer.', { cause: error });
  }
  return new NodeError('upstream_unavailable', 'The AI server cannot be reached now. Nothing was charged.', {
    cause: error,
    retryAfterMs: 5_000,
  });
}
