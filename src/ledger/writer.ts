/** Writer: group commit. One synced LevelDB write is in flight at a time; what arrives meanwhile is the next one. */
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { type BatchOp, type Database, sealValue } from './database.ts';
import { encodeGroup, groupKey } from './journal.ts';

export interface Writer {
  /** Queues one entry; resolves when it is on disk. Everyone in a group shares one promise. */
  append: (line: string, sequence: number) => Promise<void>;
  /** Resolves when everything queued so far is on disk. */
  flushed: () => Promise<void>;
  /** Writes changed rows together with the next group, or alone when there is none. */
  requestCheckpoint: () => void;
  /** Nothing is acknowledged any more: after a failed write LevelDB may lose what it acknowledges later. */
  poison: (error: unknown) => void;
  poisoned: () => boolean;
  queued: () => number;
  /** Writes everything and a synced checkpoint; never throws. */
  finish: () => Promise<void>;
}

interface Pending {
  first: number;
  lines: string[];
  chars: number;
  written: Promise<void>;
  resolve: () => void;
  reject: (error: NodeError) => void;
}

export function createWriter(options: {
  db: Pick<Database, 'batch' | 'put'>;
  /** Hash of the last group on disk. */
  head: string;
  checkpoint: (hash: string) => BatchOp[];
  onCheckpoint: () => void;
  onPoison: () => void;
  log: Logger;
}): Writer {
  const { db, log } = options;
  const waiting: Pending[] = [];
  let head = options.head;
  let inFlight: Pending | undefined;
  let running: Promise<void> | undefined;
  let checkpointWanted = false;
  let queued = 0;
  let poisoned = false;

  function poison(error: unknown): void {
    if (poisoned) return;
    poisoned = true;
    log.error('ledger.write.failed', { kind: errorKind(error), queued });
    for (const group of inFlight ? [inFlight, ...waiting] : waiting) group.reject(storageUnavailable());
    waiting.length = 0;
    inFlight = undefined;
    options.onPoison();
  }

  async function write(group: Pending | undefined, withCheckpoint: boolean): Promise<void> {
    const encoded = group && encodeGroup(group.first, head, group.lines);
    const key = group && groupKey(group.first);
    if (encoded && key !== undefined && !withCheckpoint) {
      await db.put(key, sealValue(key, encoded.text), { sync: true });
    } else {
      // The rows are the fold up to the last entry of this very group: one batch keeps that true on disk.
      const ops = options.checkpoint(encoded?.hash ?? head);
      if (encoded && key !== undefined) ops.push({ type: 'put', key, value: sealValue(key, encoded.text) });
      // The chained form costs a tenth of the array form, and the loop stands still meanwhile.
      const batch = db.batch();
      for (const op of ops) {
        if (op.type === 'put') batch.put(op.key, op.value);
        else batch.del(op.key);
      }
      await batch.write({ sync: true });
      options.onCheckpoint();
    }
    if (encoded) head = encoded.hash;
  }

  async function run(): Promise<void> {
    while (!poisoned && (waiting.length > 0 || checkpointWanted)) {
      const group = waiting.shift();
      inFlight = group;
      const withCheckpoint = checkpointWanted && waiting.length === 0;
      if (withCheckpoint) checkpointWanted = false;
      try {
        await write(group, withCheckpoint);
      } catch (error) {
        poison(error);
      }
      if (poisoned) return;
      inFlight = undefined;
      queued -= group?.lines.length ?? 0;
      group?.resolve();
      // Whoever was waiting for this group gets to queue its next entry before the next group is closed. Under load
      // a moment more makes the groups larger, and a flush costs the same however much it carries.
      await ((group?.lines.length ?? 0) >= LIMITS.ledger.gatherAbove ? moment() : nextTurn());
    }
  }

  function start(): void {
    running ??= nextTurn()
      .then(run)
      .finally(() => {
        running = undefined;
        if (!poisoned && (waiting.length > 0 || checkpointWanted)) start();
      });
  }

  return {
    append: (line, sequence) => {
      let group = waiting.at(-1);
      if (group === undefined || isFull(group)) {
        group = newPending(sequence);
        waiting.push(group);
        start();
      }
      group.lines.push(line);
      group.chars += line.length;
      queued++;
      return group.written;
    },
    flushed: () => (waiting.at(-1) ?? inFlight)?.written ?? Promise.resolve(),
    requestCheckpoint: () => {
      checkpointWanted = true;
      start();
    },
    poison,
    poisoned: () => poisoned,
    queued: () => queued,
    finish: async () => {
      checkpointWanted = true;
      start();
      while (running !== undefined) await running;
    },
  };
}

export const storageUnavailable = (): NodeError =>
  new NodeError(
    'storage_unavailable',
    'The node cannot write to its ledger now. Ask for the state of this operation before trying it again.',
  );

const isFull = ({ lines, chars }: Pending): boolean =>
  lines.length >= LIMITS.ledger.groupEntriesMax || chars >= LIMITS.ledger.groupCharsMax;

function newPending(first: number): Pending {
  let resolve = (): void => undefined;
  let reject = (_error: NodeError): void => undefined;
  const written = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // Not everyone waits for durability (a release does not); their failure shows in health and at the next verb.
  written.catch(() => undefined);
  return { first, lines: [], chars: 0, written, resolve, reject };
}

const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, LIMITS.ledger.gatherMs));
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
