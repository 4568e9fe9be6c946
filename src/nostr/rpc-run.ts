/** One dmi/1 request from HTTP to its last frames, and what can still be said of one that ended with its process. */
import { NodeError } from '../base/error.ts';
import { type RequestId, newRequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import type { DataFrame, NodeFrame } from '../protocol/dmi.ts';
import {
  type Ask,
  type HttpAnswer,
  answerFrames,
  changeOf,
  costOf,
  hasValue,
  headersOf,
  isPaid,
  readWhole,
  refusal,
  refusalOf,
  usageIn,
} from './rpc-ask.ts';
import { type Asking, createBooks } from './rpc-books.ts';
import { ANSWERED, GIVEN_UP, STOPPED, changeFrame, endOf } from './rpc-ends.ts';
import type { Line } from './rpc-line.ts';
import type { End } from './rpc-record.ts';
import { sendStream } from './rpc-stream.ts';

export interface Job extends Asking {
  body: Buffer;
  line: Line;
  /** Relays of the line where streams are welcome. */
  streamOn: () => readonly string[];
  keep: (frame: DataFrame) => void;
  /** Told the msat that are set aside for it. */
  held?: (msat: number) => void;
  /** Aborted by the client, by time, or because nobody listens. */
  stop: AbortSignal;
}

/** What is sent, what is written down, and whether it is worth waiting for an acknowledgement. */
export interface Outcome {
  frames: NodeFrame[];
  end: End;
  worth: boolean;
}

export interface Runs {
  run: (job: Job) => Promise<Outcome>;
  /**
   * Once more, or for the first time after the process that ran it ended: from what the ledger knows, never by paying
   * again. Undefined: not known yet, to be asked again.
   */
  again: (job: Job, end: End | undefined) => Promise<Outcome | undefined>;
}

export function createRuns(options: { ask: Ask; clock: Clock; log: Logger }): Runs {
  const { ask, clock, log } = options;
  const { settled, claimed } = createBooks({ ask, clock });

  const asked = (
    job: Job,
    over: { id?: RequestId; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ) =>
    ask({
      id: job.requestId,
      method: job.frame.method,
      path: job.frame.path,
      headers: headersOf(job.frame, job.key),
      body: job.body,
      sender: job.sender,
      signal: job.stop,
      ...(job.held && { held: job.held }),
      ...over,
    });

  async function whole(job: Job, answer: HttpAnswer): Promise<Outcome> {
    const complete = await readWhole(answer);
    const costMsat =
      costOf(complete) ?? (isPaid(job.frame) && answer.status < 400 ? await settled(job) : 0) ?? 0;
    const frames = await answerFrames(job.frame.id, complete, costMsat);
    const refused = frames[0]?.t === 'err' ? frames[0] : undefined;
    return {
      frames,
      end: {
        status: answer.status,
        costMsat,
        ...(refused && { code: refused.code, message: refused.message }),
      },
      worth: isPaid(job.frame) ? changeOf(complete) !== undefined : hasValue(job.frame) && !refused,
    };
  }

  async function streamed(job: Job, answer: HttpAnswer, unheard: () => void): Promise<Outcome> {
    const { frame, line, streamOn: only, keep } = job;
    const { last, sha256, lastChunk } = await sendStream({
      frame,
      body: answer.body,
      line,
      only,
      keep,
      unheard,
      clock,
    });
    const usage = usageIn(lastChunk);
    const { cost, metadata } = (lastChunk ?? {}) as {
      cost?: { total_msats?: unknown };
      metadata?: { routstr?: { change?: unknown; remaining_balance_msats?: unknown } };
    };
    const said = cost?.total_msats;
    const costMsat = (typeof said === 'number' ? said : await settled(job)) ?? 0;
    const { change, remaining_balance_msats: balance } = metadata?.routstr ?? {};
    const type = answer.headers['content-type'];
    return {
      frames: [
        {
          t: 'res',
          id: frame.id,
          status: answer.status,
          h: {
            'content-type': typeof type === 'string' ? type : 'text/event-stream',
            'x-request-id': job.requestId,
          },
          last,
          sha256,
          cost_msat: costMsat,
          ...(typeof balance === 'number' && { bal_msat: balance }),
          ...(usage && { usage }),
          ...(typeof change === 'string' && change.length <= LIMITS.dmi.bodyCharsInFrame && { change }),
        },
      ],
      end: { status: answer.status, costMsat },
      worth: typeof change === 'string',
    };
  }

  /** An end without an answer: what was charged, and what is left of a token that paid for it. */
  async function withoutAnswer(job: Job, end: Omit<End, 'costMsat'>): Promise<Outcome | undefined> {
    const costMsat = await settled(job);
    const { token, later } = await claimed(job);
    if (costMsat === undefined || later) return undefined;
    const { status, code = 'internal_error' } = end;
    const spent = costMsat === 0 ? 'Nothing was charged.' : `${costMsat} mSats were charged.`;
    const known = { status, code, message: `${end.message ?? ''} ${spent}`, costMsat };
    const { id } = job.frame;
    const frame =
      token === undefined
        ? refusal(id, status, code, known.message, { cost_msat: costMsat })
        : changeFrame(id, known, known.message, token);
    return { frames: [frame], end: known, worth: token !== undefined };
  }

  return {
    run: async (job) => {
      const given = new AbortController();
      const signal = AbortSignal.any([job.stop, given.signal]);
      try {
        const streams = job.frame.stream !== undefined && job.streamOn().length > 0;
        const headers = headersOf(job.frame, job.key);
        // Change of a stream that is not held back comes with its last chunk.
        if (streams && headers['x-cashu'] !== undefined) headers['x-cashu-change'] = 'claim';
        const answer = await asked(job, { headers, signal });
        const isStream = String(answer.headers['content-type'] ?? '').startsWith('text/event-stream');
        if (streams && isStream) return await streamed(job, answer, () => given.abort());
        return await whole(job, answer);
      } catch (error) {
        if (error instanceof NodeError) {
          const frame = refusalOf(job.frame.id, error);
          return {
            frames: [frame],
            end: { status: error.status, costMsat: 0, code: frame.code },
            worth: false,
          };
        }
        const end = endOf(error, job.stop, given.signal);
        if (end.status === 500)
          log.error('nostr.request.failed', { request_id: job.requestId, error: errorKind(error) });
        given.abort();
        const known = await withoutAnswer(job, end).catch((unknown: unknown) => {
          log.warn('nostr.request.unsettled', { request_id: job.requestId, error: errorKind(unknown) });
        });
        const later = `${end.message} Ask again for what it cost.`;
        return (
          known ?? {
            frames: [refusal(job.frame.id, 425, 'refund_pending', later)],
            end: { ...end, status: 425, costMsat: 0 },
            worth: true,
          }
        );
      }
    },
    again: async (job, end) => {
      const { id } = job.frame;
      if (!isPaid(job.frame) && end?.code === undefined) {
        return whole(job, await asked(job, { id: newRequestId() }));
      }
      if (end === undefined) return withoutAnswer(job, STOPPED);
      if (end.status === 425) return withoutAnswer(job, GIVEN_UP);
      const { token, later } = await claimed(job);
      if (later) return undefined;
      const { status, costMsat } = end;
      const { code, message } =
        end.code === undefined ? ANSWERED : { code: end.code, message: end.message ?? '' };
      if (token !== undefined) return { frames: [changeFrame(id, end, message, token)], end, worth: true };
      const frame = refusal(id, end.code === undefined ? ANSWERED.status : status, code, message, {
        cost_msat: costMsat,
      });
      return { frames: [frame], end, worth: false };
    },
  };
}
