/** Ends of requests that have no answer: in which words they are told, and how change comes with them. */
import type { NodeFrame } from '../protocol/dmi.ts';
import type { End } from './rpc-record.ts';

export const STOPPED = {
  status: 502,
  code: 'upstream_error',
  message: 'The node stopped while this was running.',
};
export const GIVEN_UP = { status: 499, code: 'cancelled', message: 'The request ended before its answer.' };
export const ANSWERED = {
  status: 409,
  code: 'already_charged',
  message:
    'This request was answered and charged before; its answer is not kept any more. Ask again under a new id.',
};

/** What is left of a one-shot payment, where there is no answer to go with it. */
export const changeFrame = (id: string, end: End, message: string, token: string): NodeFrame => ({
  t: 'res',
  id,
  status: end.status,
  h: { 'content-type': 'application/json' },
  body: JSON.stringify({ error: { message, code: end.code ?? ANSWERED.code } }),
  cost_msat: end.costMsat,
  change: token,
});

/** Why a request was given up. */
export function endOf(error: unknown, stop: AbortSignal, unheard: AbortSignal): Omit<End, 'costMsat'> {
  if (stop.aborted) {
    return stop.reason === 'timeout'
      ? { status: 504, code: 'timeout', message: 'The request took too long.' }
      : { status: 499, code: 'cancelled', message: 'The request was cancelled.' };
  }
  if (unheard.aborted)
    return { status: 499, code: 'cancelled', message: 'No relay took the answer any more.' };
  if (error instanceof RangeError)
    return { status: 413, code: 'too_large', message: 'The answer does not fit into messages.' };
  return { status: 500, code: 'internal_error', message: 'The request failed.' };
}
