/** The ledger on LevelDB: opens the store, ends the holds of the process before, and hands out the verbs. */
import { mkdir } from 'node:fs/promises';
import { EXIT, ExitError } from '../base/error.ts';
import { createAccounts } from './accounts.ts';
import { type OpenAsides, createAsides } from './asides.ts';
import { createChildren } from './children.ts';
import { asExitError } from './database.ts';
import { createExpiry } from './expiry.ts';
import { createHolds } from './holds.ts';
import { createHistory } from './history.ts';
import { createIdempotent } from './idempotency.ts';
import { createKept } from './kept.ts';
import type { Ledger } from './ledger.ts';
import { type Lock, takeLock } from './lock.ts';
import { createMelt } from './melt.ts';
import { createMint } from './mint.ts';
import { createOperations } from './operations.ts';
import { reportTotals } from './postings.ts';
import { createReceive } from './receive.ts';
import { createReclaim } from './reclaim.ts';
import { createRotation } from './rotation.ts';
import { createRecovery } from './recovery.ts';
import { createSendEnd } from './send-end.ts';
import { createSend } from './send.ts';
import { onDisk } from './storage.ts';
import { type Store, type StoreOptions, openStore } from './store.ts';

/**
 * Opens the ledger in `dir` (`<data_dir>/ledger`) for this process alone, verifies and recovers it.
 * Throws ExitError: 73 in use, 75 disk full, 78 missing or damaged.
 */
export async function openLedger(options: StoreOptions): Promise<Ledger> {
  const { dir, mirror, storage = onDisk } = options;
  const locks: Lock[] = [await storage.takeLock(dir)];
  const unlock = async (): Promise<void> => {
    for (const lock of locks) await lock.release();
  };
  try {
    if (mirror !== undefined) locks.push(await lockMirror(mirror));
    const store = await openStore(options);
    try {
      locks.push(await storage.lockLedgerId(store.id));
      const open: OpenAsides = new Map();
      const verbs = await begin(store, open);
      return keepServing(options, { store, verbs, open }, unlock);
    } catch (error) {
      await store.close();
      throw error;
    }
  } catch (error) {
    await unlock();
    throw asExitError(error);
  }
}

async function lockMirror(dir: string): Promise<Lock> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  return takeLock(dir);
}

type Verbs = Omit<Ledger, 'health' | 'close'>;

/** Ends the holds of the process before: their requests ended with it. */
async function begin(store: Store, open: OpenAsides): Promise<Verbs> {
  const { releaseAll, ...verbs } = createVerbs(store, open);
  const released = releaseAll();
  try {
    await store.flushed();
  } catch (error) {
    const message = 'The ledger cannot be written: free some disk space and start again.';
    throw new ExitError(EXIT.storageFull, message, error);
  }
  store.log.info('ledger.store.opened', { sequence: store.books.sequence(), released });
  return verbs;
}

/** @param open what is known about open holds beside the books; a store that takes over takes it over, too. */
function createVerbs(store: Store, open: OpenAsides): Verbs & { releaseAll: () => number } {
  const children = createChildren(store);
  const asides = createAsides(store, children, open);
  return {
    ...createAccounts(store, children),
    ...children.verbs,
    ...createHistory(store, asides),
    ...createOperations(store),
    ...createReceive(store),
    ...createSend(store),
    ...createSendEnd(store),
    ...createMint(store),
    ...createMelt(store),
    ...createReclaim(store),
    ...createRotation(store),
    ...createIdempotent(store),
    ...createKept(store),
    ...createExpiry(store),
    ...createHolds(store, children, asides),
    flushed: () => store.flushed(),
    totals: () => {
      store.guard();
      return reportTotals(store.books.balances);
    },
  };
}

/** One ledger for everyone who got it, whichever store is behind it: its verbs are exchanged, it stays. */
function keepServing(
  options: StoreOptions,
  first: { store: Store; verbs: Verbs; open: OpenAsides },
  unlock: () => Promise<void>,
): Ledger {
  const { verbs, open } = first;
  let { store } = first;
  let closing: Promise<void> | undefined;
  const recovery = createRecovery(options, store, (next) => {
    store = next;
    // Requests of this process live on, and so do their holds.
    const { releaseAll: _releaseAll, ...again } = createVerbs(next, open);
    Object.assign(ledger, again);
  });
  async function close(): Promise<void> {
    try {
      await recovery.stop();
      await store.close();
    } finally {
      await unlock();
    }
  }
  const ledger: Ledger = {
    ...verbs,
    health: () => ({
      ...health(store),
      recovering: recovery.active(),
      open: closing === undefined && store.isOpen(),
    }),
    close: () => (closing ??= close()),
  };
  return ledger;
}

function health(store: Store): Omit<ReturnType<Ledger['health']>, 'recovering'> {
  const states = [...store.books.unfinished.values()].map(({ state }) => state);
  return {
    open: store.isOpen(),
    poisoned: store.poisoned(),
    sequence: store.books.sequence(),
    queued: store.queued(),
    executing: states.filter((state) => state === 'executing').length,
    blocked: states.filter((state) => state === 'blocked').length,
  };
}

export { auditLedger } from './audit.ts';
export { backupLedger } from './backup.ts';
export { initLedger } from './genesis.ts';
export { restoreLedger, restoredAs } from './restore.ts';
