/** Telling: the frames of an answer on their way, and which of them are told again. */
import type { NodeFrame } from '../protocol/dmi.ts';
import type { LiveJob } from './rpc-jobs.ts';
import { type Line, taken } from './rpc-line.ts';
import type { Outcome } from './rpc-run.ts';

/** In passing first; in stored wraps where nobody seems to listen. What has value follows from the outbox. */
export async function tell(line: Line, { frames, worth }: Pick<Outcome, 'frames' | 'worth'>): Promise<void> {
  for (const frame of frames) {
    const outcomes = await line.send(frame, 'live');
    const unheard = !outcomes.some((outcome) => taken(outcome) && outcome.outcome === 'ok');
    if (unheard && !worth) await line.send(frame, 'stored');
  }
}

export const acceptance = ({ frame: { id }, estMsat }: LiveJob): NodeFrame => ({
  t: 'acc',
  id,
  ...(estMsat !== undefined && { est_msat: estMsat }),
});

/** The frames that a client asks for once more. */
export function framesAgain(job: LiveJob, from: number, needParts?: readonly number[]): NodeFrame[] {
  const { final, data } = job;
  const frames: NodeFrame[] = final === undefined ? [acceptance(job)] : final;
  if (needParts !== undefined && final !== undefined) {
    return final.filter((part) => part.t === 'part' && needParts.includes(part.i));
  }
  return [...data.filter(({ seq }) => seq >= from), ...frames];
}
