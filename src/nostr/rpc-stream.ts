/** A streamed answer as data frames: the first at once, then what has come since the last, less often where relays complain. */
import { createHash } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { createChunkMerge } from '../protocol/chunk-merge.ts';
import type { DataFrame, RequestFrame } from '../protocol/dmi.ts';
import { packBody } from '../protocol/dmi-body.ts';
import { type Line, taken } from './rpc-line.ts';

export interface Streamed {
  /** Number of data frames. */
  last: number;
  /** Of their texts in a row. */
  sha256: string;
  /** The last chunk; usage and cost stand there. */
  lastChunk: Record<string, unknown> | undefined;
}

export interface StreamJob {
  frame: RequestFrame;
  body: AsyncIterable<Buffer>;
  line: Line;
  /** Relays of the line where streams are welcome. */
  only: () => readonly string[];
  /** Called with each frame, before it is sent. */
  keep: (frame: DataFrame) => void;
  /** Nobody takes the frames any more. */
  unheard: () => void;
  clock: Clock;
}

/** Rejects with what broke the body off. */
export async function sendStream(job: StreamJob): Promise<Streamed> {
  const { frame, line, only, keep, unheard, clock } = job;
  const { everyMs, everyMsMax, keepAliveMs, unheardMs, bodyBytesMax, eventNameCharsMax } = LIMITS.dmi;
  const merge = createChunkMerge();
  const hash = createHash('sha256');
  const left = frame.stream?.max_events ?? Infinity;
  let every = Math.max(everyMs, frame.stream?.every_ms ?? 0);
  let wake = new AbortController();
  let ended = false;
  let bytes = 0;
  let seq = 0;
  let sending = 0;
  let heardAt = clock.monotonic();
  let sentAt = -Infinity;

  const reading = (async () => {
    for await (const part of job.body) {
      bytes += part.length;
      if (bytes > 4 * bodyBytesMax) throw new RangeError('the answer is larger than direct messages carry');
      merge.push(part);
      if (sentAt === -Infinity) wake.abort();
    }
  })().finally(() => {
    ended = true;
    wake.abort();
  });
  // Looked at below, when all that came before is sent.
  reading.catch(() => undefined);

  async function send(text: string, name?: string): Promise<void> {
    const { fields } = await packBody(Buffer.from(text), { inFrame: LIMITS.dmi.partCharsMax });
    if (fields.parts !== undefined || (name?.length ?? 0) > eventNameCharsMax)
      throw new RangeError('one event of the stream is larger than a message');
    const data: DataFrame = {
      t: 'data',
      id: frame.id,
      seq: seq++,
      ...(name !== undefined && { e: name }),
      ...(fields.z === undefined ? { d: text } : { z: fields.z }),
    };
    hash.update(text);
    keep(data);
    sentAt = clock.monotonic();
    sending += 1;
    const sent = line.send(data, 'live', only()).then((outcomes) => {
      sending -= 1;
      if (outcomes.some(taken)) heardAt = clock.monotonic();
      if (outcomes.some(({ outcome }) => outcome === 'rate-limited')) every = Math.min(every * 2, everyMsMax);
    });
    // Relays that are slow to say OK hold up the next frame, which then carries more.
    if (sending > 4) await sent;
  }

  while (!ended) {
    const pause = sentAt === -Infinity ? keepAliveMs : seq + 1 < left ? every : keepAliveMs;
    await clock.sleep(pause, wake.signal);
    if (wake.signal.aborted && !ended) wake = new AbortController();
    if (ended) break;
    const events = seq + 1 < left ? merge.take() : [];
    for (const { d, e } of events) await send(d, e);
    const now = clock.monotonic();
    if (events.length === 0 && now - sentAt >= keepAliveMs) await send('');
    if (seq > 0 && now - heardAt > unheardMs) unheard();
  }
  for (const { d, e } of merge.take()) await send(d, e);
  await reading;
  return { last: seq, sha256: hash.digest('hex'), lastChunk: merge.last() };
}
