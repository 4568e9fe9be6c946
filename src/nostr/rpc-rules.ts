/** When a request may begin, what makes it the same one, and how it is refused. */
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { NodeFrame, RequestFrame } from '../protocol/dmi.ts';
import { refusal } from './rpc-ask.ts';
import type { RequestRecord } from './rpc-record.ts';

/** Undefined for a request that may begin now. */
export function untimely(frame: RequestFrame, writtenAt: number, now: number): NodeFrame | undefined {
  const { aheadSecondsMax, clockSecondsMax } = LIMITS.dmi;
  if (frame.exp <= now || Math.abs(now - writtenAt) > clockSecondsMax) {
    return refusal(
      frame.id,
      408,
      'stale',
      'The time of this request is over; nothing was begun, a token is untouched.',
    );
  }
  return frame.exp > now + aheadSecondsMax + 60
    ? refusal(frame.id, 400, 'bad_request', `exp may be ${aheadSecondsMax} seconds ahead at most.`)
    : undefined;
}

/** The same request may be sent again with a later time. */
export const hashOf = ({ exp: _exp, ...frame }: RequestFrame): string => sha256Hex(JSON.stringify(frame));

export const acknowledged = (key: string, { end }: RequestRecord): NodeFrame =>
  refusal(key.slice(65), 410, 'acknowledged', 'This answer arrived, and is not kept any more.', {
    cost_msat: end?.costMsat ?? 0,
  });

export const busy = (id: string): NodeFrame =>
  refusal(id, 429, 'busy', 'Too many requests are under way; ask again in a moment.', { retry_after: 1 });
