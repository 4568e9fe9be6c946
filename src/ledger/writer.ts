/**
 * Writer: group commit. One synced LevelDB write is in flight at a time; what arrives meanwhile is the next one, which
 * waits for more where many ask.
 */
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { type BatchOp, type Database, sealValue } from './database.ts';
import { both } from './files.ts';
import type { Head } from './head.ts';
import { encodeGroup, groupKey } from './journal.ts';
import type { Witness } from './witness.ts';

export interface Writer {
  /**
   * Queues one entry; resolves when it is on disk. Everyone in a group shares one promise. A `patient` entry goes with
   * the next one that is not, or alone after one or two times LIMITS.ledger.holdWaitMs.
   */
  append: (line: string, sequence: number, patient?: boolean) => Promise<void>;
  /** Begins to write what waits for company. */
  hurry: () => void;
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
  /** Somebody waits for it. */
  urgent: boolean;
  written: Promise<void>;
  resolve: () => void;
  reject: (error: NodeError) => void;
}

export function createWriter(options: {
  db: Pick<Database, 'batch' | 'put'>;
  witness: Pick<Witness, 'copy' | 'note'>;
  /** The last group on disk. */
  head: Head;
  checkpoint: (hash: string) => BatchOp[];
  onCheckpoint: () => void;
  onPoison: (error: unknown) => void;
  clock: Clock;
  log: Logger;
}): Writer {
  const { db, witness, clock, log } = options;
  const waiting: Pending[] = [];
  let head = options.head;
  let inFlight: Pending | undefined;
  let running: Promise<void> | undefined;
  let checkpointWanted = false;
  let queued = 0;
  /** Entries that somebody waits for, since the beginning. */
  let urgent = 0;
  let lastSize = 0;
  let poisoned = false;
  /** Looks after patient entries that nobody hurries. */
  let lookedAfter = false;

  function poison(error: unknown): void {
    if (poisoned) return;
    poisoned = true;
    log.error('ledger.write.failed', { kind: errorKind(error), queued });
    for (const group of inFlight ? [inFlight, ...waiting] : waiting) group.reject(storageUnavailable());
    waiting.length = 0;
    inFlight = undefined;
    options.onPoison(error);
  }

  /** The batch of a checkpoint: rows are the fold up to the last entry of this very group, on disk as in memory. */
  async function putCheckpoint(
    hash: string,
    group: { key: string; value: string } | undefined,
  ): Promise<void> {
    const ops = options.checkpoint(hash);
    // The chained form costs a tenth of the array form, and the loop stands still meanwhile.
    const batch = db.batch();
    for (const op of ops) {
      if (op.type === 'put') batch.put(op.key, op.value);
      else batch.del(op.key);
    }
    if (group) batch.put(group.key, group.value);
    await batch.write({ sync: true });
    options.onCheckpoint();
  }

  async function write(pending: Pending | undefined, withCheckpoint: boolean): Promise<void> {
    if (pending === undefined) return putCheckpoint(head.hash, undefined);
    const { text, hash } = encodeGroup(pending.first, head.hash, pending.lines);
    const next = { n: pending.first + pending.lines.length - 1, hash };
    const key = groupKey(pending.first);
    const value = sealValue(key, text);
    const stored = withCheckpoint ? putCheckpoint(hash, { key, value }) : db.put(key, value, { sync: true });
    await both(stored, witness.copy?.(text, next));
    await witness.note(next);
    head = next;
  }

  async function run(): Promise<void> {
    while (isWanted()) {
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
      lastSize = group?.lines.length ?? 0;
      queued -= lastSize;
      group?.resolve();
      await gather();
    }
  }

  /**
   * A group costs the same for one entry as for a hundred, and after a large one more are about to come: the loop may
   * turn a few times then, as long as each turn brings an entry that somebody waits for. Else the next one begins at once.
   */
  async function gather(): Promise<void> {
    if (lastSize < LIMITS.ledger.crowdEntries) return;
    for (let turn = 0, seen = -1; turn < LIMITS.ledger.gatherTurnsMax && seen !== urgent; turn++) {
      seen = urgent;
      await nextTurn();
    }
  }

  const isWanted = (): boolean => !poisoned && (checkpointWanted || waiting[0]?.urgent === true);

  function start(): void {
    running ??= nextTurn()
      .then(gather)
      .then(run)
      .finally(() => {
        running = undefined;
        if (isWanted()) start();
      });
  }

  /** All groups before the last one are full, and were hurried then. */
  function hurry(): void {
    const group = waiting.at(-1);
    if (group === undefined || group.urgent) return;
    group.urgent = true;
    start();
  }

  async function lookAfterPatient(): Promise<void> {
    lookedAfter = true;
    for (let group = waiting.at(-1); group?.urgent === false; group = waiting.at(-1)) {
      await clock.sleep(LIMITS.ledger.holdWaitMs);
      if (group === waiting.at(-1)) hurry();
    }
    lookedAfter = false;
  }

  return {
    append: (line, sequence, patient = false) => {
      let group = waiting.at(-1);
      if (group === undefined || isFull(group)) {
        hurry();
        group = newPending(sequence);
        waiting.push(group);
      }
      group.lines.push(line);
      group.chars += line.length;
      queued++;
      if (!patient) {
        urgent++;
        hurry();
      } else if (!lookedAfter) void lookAfterPatient();
      return group.written;
    },
    hurry,
    flushed: () => {
      hurry();
      return (waiting.at(-1) ?? inFlight)?.written ?? Promise.resolve();
    },
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
  return { first, lines: [], chars: 0, urgent: false, written, resolve, reject };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
