/**
 * On record: what a request is on disk from its acceptance until its client acknowledged the answer. Told once more
 * from there, it is looked up and never paid for again.
 */
import { LIMITS } from '../base/limits.ts';
import type { NodeFrame, RequestFrame } from '../protocol/dmi.ts';
import { unpackBody } from '../protocol/dmi-body.ts';
import type { RelaySet } from '../relay/relay.ts';
import { refusal } from './rpc-ask.ts';
import type { Line } from './rpc-line.ts';
import type { Outbox } from './rpc-outbox.ts';
import { type Records, type RequestRecord, senderOfKey } from './rpc-record.ts';
import { acknowledged } from './rpc-rules.ts';
import type { Job, Outcome, Runs } from './rpc-run.ts';

export interface OnRecord {
  /** The outcome is on disk when it resolves, and may be told. */
  finish: (key: string, record: RequestRecord, outcome: Outcome) => Promise<void>;
  /** Tells what became of a request whose answer is not in memory. `asked`: the same request, sent again. */
  tellAgain: (
    key: string,
    record: RequestRecord,
    line: Line,
    asked?: RequestFrame,
    how?: 'live' | 'stored',
  ) => Promise<void>;
  acknowledge: (key: string) => Promise<void>;
  taskOf: (
    key: string,
    record: RequestRecord,
    frame: RequestFrame,
    line: Line,
    stop: AbortSignal,
  ) => Omit<Job, 'body'>;
}

export function createOnRecord(parts: {
  records: Records;
  outbox: Outbox;
  runs: Runs;
  relays: RelaySet;
  say: (line: Line, frame: NodeFrame) => void;
}): OnRecord {
  const { records, outbox, runs, relays, say } = parts;
  /** Requests of earlier processes that are being looked into. */
  const lookingInto = new Set<string>();

  /** On record before it is told, so that what was told is known ever after. */
  async function finish(key: string, record: RequestRecord, { end, worth }: Outcome): Promise<void> {
    const { sealed, ...rest } = record;
    const unsettled = end.status === 425;
    const done: RequestRecord = {
      ...rest,
      state: unsettled ? 'running' : 'done',
      end,
      hasValue: worth,
      // What is free is asked for again; what was paid for and worth nothing any more is only told.
      ...(sealed !== undefined && { sealed }),
    };
    await records.put(key, done);
    if (!worth) await outbox.done(key);
    else outbox.ready(key);
  }

  /** A request whose answer is not in memory: what the ledger knows of it is told, nothing is paid for again. */
  async function tellAgain(
    key: string,
    record: RequestRecord,
    line: Line,
    asked?: RequestFrame,
    how: 'live' | 'stored' = 'live',
  ): Promise<void> {
    if (lookingInto.has(key)) return;
    lookingInto.add(key);
    try {
      const frame = records.frame(key, record) ?? asked;
      if (frame === undefined) return say(line, acknowledged(key, record));
      const body = frame.parts === undefined ? await unpackBody(frame) : Buffer.alloc(0);
      const stop = AbortSignal.timeout(LIMITS.dmi.settleMs);
      const task = { ...taskOf(key, record, frame, line, stop), body };
      const known =
        record.state === 'done' ? record.end : record.end?.status === 425 ? record.end : undefined;
      const outcome = await runs.again(task, known);
      if (outcome === undefined) {
        return say(line, refusal(frame.id, 425, 'refund_pending', 'It is being settled; ask again shortly.'));
      }
      // Meanwhile it may have arrived, told before: then it stays acknowledged.
      if (isAcknowledged(records.get(key))) return;
      await finish(key, record, outcome);
      for (const each of outcome.frames) await line.send(each, how);
    } finally {
      lookingInto.delete(key);
    }
  }

  async function acknowledge(key: string): Promise<void> {
    const record = records.get(key);
    if (record === undefined || record.state !== 'done') return;
    const { sealed: _sealed, ...rest } = record;
    await records.put(key, { ...rest, hasValue: false });
    await outbox.done(key);
  }

  function taskOf(
    key: string,
    { requestId }: RequestRecord,
    frame: RequestFrame,
    line: Line,
    stop: AbortSignal,
  ): Omit<Job, 'body'> {
    const welcome = (url: string): boolean =>
      relays.status().some((relay) => relay.url === url && relay.roles.includes('rpc'));
    const streamOn = (): string[] => line.from.filter(welcome);
    return { key, sender: senderOfKey(key), requestId, frame, line, streamOn, keep: () => undefined, stop };
  }

  return { finish, tellAgain, acknowledge, taskOf };
}

const isAcknowledged = (record: RequestRecord | undefined): boolean =>
  record?.state === 'done' && record.sealed === undefined && !record.hasValue;
