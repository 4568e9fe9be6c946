/** Store: opens the database, replays the journal, and turns movements of the verbs into durable entries. */
import { NodeError, ExitError } from '../base/error.ts';
import type { AccountId, OperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { type Books, type RowReader, loadBooks } from './books.ts';
import { type Database, asExitError, openDatabase, openValue, refuse } from './database.ts';
import { readAnchors } from './genesis.ts';
import {
  type Entry,
  type Movement,
  decodeEntry,
  decodeGroup,
  encodeEntry,
  groupsBelow,
  groupsFrom,
} from './journal.ts';
import type { Account, Operation } from './ledger.ts';
import { takeLock } from './lock.ts';
import { type Writer, createWriter, storageUnavailable } from './writer.ts';

export interface Store {
  clock: Clock;
  log: Logger;
  /** Read state through `read` and the getters only: they refuse when the ledger cannot be trusted any more. */
  books: Books;
  account: (id: AccountId) => Account | undefined;
  operation: (id: OperationId) => Operation | undefined;
  row: (key: string) => unknown;
  /** Applies the movement in memory at once; the promise resolves when it is on disk. */
  commit: (movement: Movement) => Promise<void>;
  /** Everything queued so far is on disk. */
  flushed: () => Promise<void>;
  /** Throws when the ledger is poisoned or closed. */
  guard: () => void;
  isOpen: () => boolean;
  poisoned: () => boolean;
  queued: () => number;
  close: () => Promise<void>;
}

export interface StoreOptions {
  dir: string;
  clock: Clock;
  log: Logger;
}

export async function openStore(options: StoreOptions): Promise<Store> {
  const lock = await takeLock(options.dir);
  let db: Database | undefined;
  try {
    db = await openDatabase(options.dir);
    const { books, head } = await replay(db);
    return createStore(options, db, books, head, lock.release);
  } catch (error) {
    await db?.close();
    await lock.release();
    throw asExitError(error);
  }
}

/** Rows first, then every entry after the checkpoint: the same fold as in life. */
async function replay(db: Database): Promise<{ books: Books; head: string }> {
  const { checkpoint } = await readAnchors(db);
  await checkLastGroup(db, checkpoint);
  const books = await loadBooks(db, checkpoint, rowReader(db));
  let head = checkpoint.hash;
  for await (const [key, value] of db.iterator(groupsFrom(checkpoint.n + 1))) {
    const group = decodeGroup(openValue(key, value), { first: books.sequence() + 1, prev: head });
    for (const line of group.lines) books.apply(decodeEntry(line, books.sequence() + 1));
    head = group.hash;
  }
  return { books, head };
}

/** A checkpoint that is ahead of the journal, or of another journal, explains nothing. */
async function checkLastGroup(
  db: Database,
  checkpoint: { n: number; hash: string; genesis: string },
): Promise<void> {
  let last = { n: 0, hash: checkpoint.genesis };
  for await (const [key, value] of db.iterator({
    ...groupsBelow(checkpoint.n + 1),
    reverse: true,
    limit: 1,
  })) {
    const group = decodeGroup(openValue(key, value), { first: Number(key.slice(2)) });
    last = { n: group.last, hash: group.hash };
  }
  if (last.n !== checkpoint.n || last.hash !== checkpoint.hash)
    refuse(`its checkpoint at entry ${checkpoint.n} does not belong to its journal`);
}

export function rowReader(db: Database): RowReader {
  return async function* (prefix) {
    const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
    for await (const [key, value] of db.iterator({ gte: prefix, lt: end })) {
      yield [key, JSON.parse(openValue(key, value)) as unknown] as const;
    }
  };
}

function createStore(
  { clock, log }: StoreOptions,
  db: Database,
  books: Books,
  head: string,
  unlock: () => Promise<void>,
): Store {
  const stop = new AbortController();
  let closing: Promise<void> | undefined;
  let sinceCheckpoint = 0;
  let resting = false;

  const writer: Writer = createWriter({
    db,
    head,
    log,
    checkpoint: (hash) => {
      sinceCheckpoint = 0;
      return books.checkpoint(hash);
    },
    onCheckpoint: () => books.stored(),
    onPoison: () => stop.abort(),
  });

  function guard(): void {
    if (writer.poisoned()) throw storageUnavailable();
    if (closing !== undefined)
      throw new NodeError('storage_unavailable', 'The ledger of this node is closed.');
  }

  /** A damaged row is never served, and nothing is built on a ledger that has one. */
  function reading<T>(read: () => T): T {
    guard();
    try {
      return read();
    } catch (error) {
      log.error('ledger.row.refused', { exit: error instanceof ExitError ? error.exitCode : undefined });
      writer.poison(error);
      throw storageUnavailable();
    }
  }

  /** Writes changed rows once nothing has moved for a while. */
  async function rest(): Promise<void> {
    if (resting) return;
    resting = true;
    for (let seen = -1; seen !== books.sequence() && !stop.signal.aborted;) {
      seen = books.sequence();
      await clock.sleep(LIMITS.ledger.checkpointIdleMs, stop.signal);
    }
    resting = false;
    if (!stop.signal.aborted && books.dirtyRows() > 0) writer.requestCheckpoint();
  }

  function commit(movement: Movement): Promise<void> {
    guard();
    // Read here, where a damaged row is dealt with; everything that `apply` throws is then a broken invariant.
    if (movement.a !== undefined) reading(() => books.account(movement.a as AccountId));
    const { k, i, a, p, m, s, r } = movement;
    const entry: Entry = { n: books.sequence() + 1, t: clock.now(), k, i, a, p, m, s, r };
    books.apply(entry);
    const durable = writer.append(encodeEntry(entry), entry.n);
    sinceCheckpoint++;
    if (
      sinceCheckpoint >= LIMITS.ledger.checkpointEntries ||
      books.dirtyRows() >= LIMITS.ledger.checkpointRows
    )
      writer.requestCheckpoint();
    if (!resting) void rest();
    return durable;
  }

  async function close(): Promise<void> {
    stop.abort();
    try {
      await writer.finish();
      await db.close();
    } finally {
      await unlock();
    }
  }

  return {
    clock,
    log,
    books,
    account: (id) => reading(() => books.account(id)),
    operation: (id) => reading(() => books.operation(id)),
    row: (key) => reading(() => books.row(key)),
    commit,
    flushed: () => {
      guard();
      return writer.flushed();
    },
    guard,
    isOpen: () => closing === undefined,
    poisoned: writer.poisoned,
    queued: writer.queued,
    close: () => (closing ??= close()),
  };
}
