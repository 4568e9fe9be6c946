/** Store: opens the database, replays the journal, and turns movements of the verbs into durable entries. */
import { NodeError, ExitError } from '../base/error.ts';
import type { AccountId, OperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { type Books, type RowReader, loadBooks } from './books.ts';
import { type Database, asExitError, openValue } from './database.ts';
import { type Anchors, readAnchors } from './genesis.ts';
import type { Head } from './head.ts';
import {
  type Entry,
  type Group,
  type Movement,
  decodeEntry,
  decodeGroup,
  encodeEntry,
  groupsBelow,
  groupsFrom,
  movesMoney,
} from './journal.ts';
import type { Account, Operation } from './ledger.ts';
import { type Storage, onDisk } from './storage.ts';
import { checkRecent, pointOps } from './verify.ts';
import type { Witness } from './witness.ts';
import { type Writer, createWriter, storageUnavailable } from './writer.ts';

export interface Store {
  clock: Clock;
  log: Logger;
  /** Read state through `read` and the getters only: they refuse when the ledger cannot be trusted any more. */
  books: Books;
  account: (id: AccountId) => Account | undefined;
  operation: (id: OperationId) => Operation | undefined;
  row: (key: string) => unknown;
  /** Keys of rows on disk, in order: as they were at the last checkpoint. */
  keys: (range: { gte: string; lt: string }, limit: number) => Promise<string[]>;
  /** The journal value on disk that holds this entry. */
  group: (entry: number) => Promise<Group | undefined>;
  /**
   * Applies the movement in memory at once; the promise resolves when it is on disk. A `patient` one waits a little
   * for others to go there with.
   */
  commit: (movement: Movement, patient?: boolean) => Promise<void>;
  /** Begins to write what waits for others. */
  hurry: () => void;
  /** Everything queued so far is on disk. */
  flushed: () => Promise<void>;
  /** Throws when the ledger is poisoned or closed. */
  guard: () => void;
  isOpen: () => boolean;
  poisoned: () => boolean;
  queued: () => number;
  /** Resolves with the reason if the ledger is ever poisoned. */
  failed: Promise<unknown>;
  /** Id in the ledger's first record; a copy has the same. */
  id: string;
  close: () => Promise<void>;
}

export interface StoreOptions {
  dir: string;
  clock: Clock;
  log: Logger;
  /** Directory of the mirror; none is kept where this is absent. */
  mirror?: string | undefined;
  /** Where all of it is: on the disk, unless a simulation brings its own. */
  storage?: Storage | undefined;
}

/** The caller holds the lock of the directory. */
export async function openStore(options: StoreOptions): Promise<Store> {
  let opened: Partial<Opened> = {};
  try {
    const { dir, mirror, log, storage = onDisk } = options;
    const db = await storage.openDatabase(dir);
    opened = { db };
    const anchors = await readAnchors(db);
    const { books, head, point } = await replay(db, anchors);
    opened.witness = await storage.openWitness(db, anchors, head, { dir, mirror, log }, (group) =>
      applyGroup(books, group, head),
    );
    return createStore(options, { db, books, head, point, witness: opened.witness, id: anchors.genesis.id });
  } catch (error) {
    await opened.witness?.close();
    await opened.db?.close();
    throw asExitError(error);
  }
}

interface Opened {
  db: Database;
  books: Books;
  head: Head;
  /** Number of the last checkpoint. */
  point: number;
  witness: Witness;
  id: string;
}

/** Rows first, then every entry after the checkpoint: the same fold as in life. */
async function replay(
  db: Database,
  { checkpoint }: Anchors,
): Promise<Pick<Opened, 'books' | 'head' | 'point'>> {
  const point = await checkRecent(db, checkpoint);
  const books = await loadBooks(db, checkpoint, rowReader(db));
  const head = { n: checkpoint.n, hash: checkpoint.hash };
  for await (const [key, value] of db.iterator(groupsFrom(checkpoint.n + 1))) {
    const group = decodeGroup(openValue(key, value), { first: head.n + 1, prev: head.hash });
    applyGroup(books, group, head);
  }
  return { books, head, point };
}

function applyGroup(books: Books, group: Group, head: Head): void {
  for (const line of group.lines) books.apply(decodeEntry(line, books.sequence() + 1));
  head.n = group.last;
  head.hash = group.hash;
}

export function rowReader(db: Database): RowReader {
  return async function* (prefix) {
    const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
    for await (const [key, value] of db.iterator({ gte: prefix, lt: end })) {
      yield [key, JSON.parse(openValue(key, value)) as unknown] as const;
    }
  };
}

function createStore({ clock, log }: StoreOptions, { db, books, head, point, witness, id }: Opened): Store {
  const stop = new AbortController();
  let closing: Promise<void> | undefined;
  let sinceCheckpoint = 0;
  let resting = false;
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<unknown>((resolve) => {
    fail = resolve;
  });

  const writer: Writer = createWriter({
    db,
    witness,
    head,
    clock,
    log,
    checkpoint: (hash) => {
      sinceCheckpoint = 0;
      const n = books.sequence();
      return [...books.checkpoint(hash), ...pointOps(++point, { n, hash })];
    },
    onCheckpoint: () => books.stored(),
    onPoison: (error) => {
      stop.abort();
      fail(error);
    },
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

  function commit(movement: Movement, patient?: boolean): Promise<void> {
    guard();
    // Read here, where a damaged row is dealt with; everything that `apply` throws is then a broken invariant.
    const account =
      movement.a === undefined ? undefined : reading(() => books.account(movement.a as AccountId));
    const { k, i, a, p, m, s, r } = movement;
    const b = movesMoney(movement) ? (account?.lastEntry ?? 0) : undefined;
    const entry: Entry = { n: books.sequence() + 1, t: clock.now(), k, i, a, p, b, m, s, r };
    books.apply(entry);
    const durable = writer.append(encodeEntry(entry), entry.n, patient);
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
    await writer.finish();
    await witness.close();
    await db.close();
  }

  return {
    clock,
    log,
    books,
    account: (id) => reading(() => books.account(id)),
    operation: (id) => reading(() => books.operation(id)),
    row: (key) => reading(() => books.row(key)),
    keys: (range, limit) => {
      guard();
      return db.keys({ ...range, limit }).all();
    },
    group: async (entry) => {
      guard();
      const range = { ...groupsBelow(entry + 1), reverse: true, limit: 1 };
      const [found] = await db.iterator(range).all();
      return found && decodeGroup(openValue(found[0], found[1]), { first: Number(found[0].slice(2)) });
    },
    commit,
    hurry: writer.hurry,
    flushed: () => {
      guard();
      return writer.flushed();
    },
    guard,
    isOpen: () => closing === undefined,
    poisoned: writer.poisoned,
    queued: writer.queued,
    failed,
    id,
    close: () => (closing ??= close()),
  };
}
