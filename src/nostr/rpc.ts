/**
 * RPC: the public HTTP surface of this node over direct messages, protocol dmi/1. One id of one key is one request:
 * it is on record before anything can cost money, so it has one effect over however many wraps, relays and processes.
 */
import { newRequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Sealer } from '../base/seal.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { type ClientFrame, type NodeFrame, type RequestFrame, readClientFrame } from '../protocol/dmi.ts';
import { unpackBody } from '../protocol/dmi-body.ts';
import type { RelaySet } from '../relay/relay.ts';
import type { Wrapper } from '../relay/wrap.ts';
import type { Letter } from './inbox.ts';
import { type Ask, hasValue, isPaid, refusal } from './rpc-ask.ts';
import { type LiveJob, createJobs } from './rpc-jobs.ts';
import { type Line, createLines } from './rpc-line.ts';
import { createOnRecord } from './rpc-on-record.ts';
import { createOutbox } from './rpc-outbox.ts';
import { createTransfers } from './rpc-parts.ts';
import { type RecordStore, type RequestRecord, createRecords, recordKey, senderOfKey } from './rpc-record.ts';
import { acceptance, framesAgain, tell } from './rpc-tell.ts';
import { busy, hashOf, untimely } from './rpc-rules.ts';
import { createRuns } from './rpc-run.ts';

export interface Rpc {
  /** For the inbox: letters of kind 28421. */
  take: (letter: Letter) => Promise<void>;
  start: () => void;
  /** Gives up what runs, settles it, and waits until that is on record. */
  stop: () => Promise<void>;
  /** Requests under way. */
  running: () => number;
  /** Frames by what became of them. */
  counts: () => Readonly<Record<string, number>>;
}

export function createRpc(options: {
  ask: Ask;
  relays: RelaySet;
  wrapper: Wrapper;
  store: RecordStore;
  sealer: Sealer;
  clock: Clock;
  log: Logger;
}): Rpc {
  const { ask, relays, wrapper, store, sealer, clock, log } = options;
  const openLine = createLines({ wrapper, relays, clock });
  const records = createRecords({ store, sealer, clock });
  const runs = createRuns({ ask, clock, log });
  const jobs = createJobs({ clock });
  const transfers = createTransfers({ clock });
  const outbox = createOutbox({ records, resend, clock, log });
  const counts: Record<string, number> = {};
  const count = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1);
  /** Everything that outlives the letter that began it. */
  const under = new Set<Promise<unknown>>();

  function background(work: Promise<unknown>): void {
    const watched = work
      .catch((error: unknown) => log.error('nostr.request.failed', { error: errorKind(error) }))
      .finally(() => under.delete(watched));
    under.add(watched);
  }
  const say = (line: Line, frame: NodeFrame): void => background(line.send(frame, 'live'));
  const onRecord = createOnRecord({ records, outbox, runs, relays, say });

  async function take(letter: Letter): Promise<void> {
    const read = readClientFrame(letter.rumor.content);
    const durable = 'frame' in read && read.frame.t === 'req' && read.frame.durable === true;
    const line = openLine(letter.sender, letter.from, durable);
    if ('refused' in read) {
      count(read.refused);
      if (read.id !== undefined) say(line, refusal(read.id, 400, read.refused, 'This is no frame of dmi/1.'));
      return;
    }
    count(read.frame.t);
    await takeFrame(letter, read.frame, line);
  }

  async function takeFrame(letter: Letter, frame: ClientFrame, line: Line): Promise<void> {
    const key = frame.t === 'ping' ? '' : recordKey(letter.sender, frame.id);
    switch (frame.t) {
      case 'ping':
        return say(line, { t: 'pong', n: frame.n });
      case 'req':
        return takeRequest(letter, frame, key, line);
      case 'part':
        if (!transfers.take(letter.sender, key, frame)) say(line, busy(frame.id));
        return;
      case 'cancel':
        jobs.get(key)?.stop.abort('cancelled');
        return;
      case 'ack':
        return onRecord.acknowledge(key);
      case 'get': {
        const job = jobs.get(key);
        if (job !== undefined) {
          job.line.also(letter.from);
          return repeat(job, frame.from, frame.need_parts);
        }
        const record = records.get(key);
        if (record !== undefined) return onRecord.tellAgain(key, record, line);
        return say(line, refusal(frame.id, 404, 'not_found', 'There is no such request of this key.'));
      }
    }
  }

  async function takeRequest(letter: Letter, frame: RequestFrame, key: string, line: Line): Promise<void> {
    const hash = hashOf(frame);
    const job = jobs.get(key);
    const record = job === undefined ? records.get(key) : undefined;
    if ((job ?? record)?.hash !== undefined && (job ?? record)?.hash !== hash) {
      return say(
        line,
        refusal(frame.id, 409, 'id_conflict', 'This id was used for another request of this key.'),
      );
    }
    if (job !== undefined) {
      job.line.also(letter.from);
      return repeat(job);
    }
    if (record !== undefined) return onRecord.tellAgain(key, record, line, frame);
    const problem = untimely(frame, letter.rumor.created_at, unixSeconds(clock));
    if (problem !== undefined) {
      count('stale');
      return say(line, problem);
    }
    const begun = jobs.begin({ key, sender: letter.sender, hash, frame, line });
    if (begun === 'busy') return say(line, busy(frame.id));
    try {
      await begin(begun);
    } catch (error) {
      jobs.drop(begun);
      throw error;
    }
  }

  /** Resolves when the request is on record; what follows goes on by itself. */
  async function begin(job: LiveJob): Promise<void> {
    const { frame, key, sender, line, hash } = job;
    const refuse = (status: number, code: string, message: string): void => {
      jobs.drop(job);
      say(line, refusal(frame.id, status, code, message));
    };
    let body: Buffer | undefined;
    try {
      const askFor = (missing: number[]): void => say(line, { t: 'acc', id: frame.id, need_parts: missing });
      body =
        frame.parts === undefined
          ? await unpackBody(frame)
          : await transfers.collect(sender, key, frame.parts, askFor, job.stop.signal);
    } catch {
      return refuse(400, 'bad_request', 'The body is not what was announced.');
    }
    if (job.stop.signal.aborted) return refuse(499, 'cancelled', 'It was cancelled; nothing was begun.');
    if (body === undefined)
      return refuse(408, 'timeout', 'Parts of the body did not arrive. Nothing was begun.');
    // Parts take their time, and a client whose request is over may have spent its token elsewhere.
    const now = unixSeconds(clock);
    const late = untimely(frame, now, now);
    if (late !== undefined) {
      jobs.drop(job);
      return say(line, late);
    }
    const requestId = newRequestId();
    const { parts: _parts, body: _body, z: _z, ...withoutBody } = frame;
    const record: RequestRecord = {
      hash,
      state: 'running',
      requestId,
      at: now,
      hasValue: hasValue(frame),
      from: line.from,
      // What was said in a paid request is nobody's business later: it is looked up then, and never run again.
      sealed: records.seal(key, isPaid(frame) || frame.parts !== undefined ? withoutBody : frame),
    };
    await Promise.all([records.put(key, record), record.hasValue ? outbox.expect(key) : undefined]);
    background(execute(job, record, body));
  }

  async function execute(job: LiveJob, record: RequestRecord, body: Buffer): Promise<void> {
    const ended = new AbortController();
    void clock.sleep(LIMITS.dmi.totalMs, ended.signal).then(() => {
      if (!ended.signal.aborted) job.stop.abort('timeout');
    });
    let accepted = false;
    const accept = (estMsat?: number): void => {
      if (ended.signal.aborted || job.estMsat !== undefined || (accepted && estMsat === undefined)) return;
      accepted = true;
      job.estMsat = estMsat;
      say(job.line, acceptance(job));
    };
    // What is set aside for it is known at once, but for a token that its mint has to see first; then it follows.
    if (isPaid(job.frame)) void clock.sleep(LIMITS.dmi.acceptMs, ended.signal).then(() => accept());
    else accept();
    const outcome = await runs.run({
      ...onRecord.taskOf(job.key, record, job.frame, job.line, job.stop.signal),
      body,
      held: accept,
      keep: (frame) => jobs.keep(job, frame),
    });
    ended.abort();
    // A disk that takes nothing must not keep an answer from who paid for it: the ledger knows what it cost.
    await onRecord.finish(job.key, record, outcome).catch((error: unknown) => {
      log.error('nostr.request.unrecorded', { request_id: record.requestId, error: errorKind(error) });
      outbox.ready(job.key);
    });
    // What is not known yet is looked up when it is asked for again; this answer would only be repeated.
    if (outcome.end.status === 425) jobs.drop(job);
    else jobs.end(job, outcome.frames);
    await tell(job.line, outcome);
  }

  function repeat(job: LiveJob, from = 0, needParts?: readonly number[]): void {
    if (!jobs.mayRepeat(job)) return;
    background(tell(job.line, { frames: framesAgain(job, from, needParts), worth: true }));
  }

  async function resend(key: string): Promise<boolean> {
    const record = records.get(key);
    if (record === undefined || (record.state === 'done' && !record.hasValue)) return false;
    const job = jobs.get(key);
    if (job !== undefined && job.final === undefined) return true;
    const line = job?.line ?? openLine(senderOfKey(key), record.from);
    if (job?.final !== undefined) for (const frame of job.final) await line.send(frame, 'stored');
    else await onRecord.tellAgain(key, record, line, undefined, 'stored');
    return records.get(key)?.hasValue === true;
  }

  return {
    take,
    start: () => outbox.start(),
    stop: async () => {
      await outbox.stop();
      for (const job of jobs.running()) job.stop.abort('cancelled');
      while (under.size > 0) await Promise.allSettled(under);
    },
    running: () => jobs.running().length,
    counts: () => ({ ...counts }),
  };
}
