/** The ledger on LevelDB: opens the store, ends the holds of the process before, and hands out the verbs. */
import { EXIT, ExitError } from '../base/error.ts';
import { createAccounts } from './accounts.ts';
import { createHolds } from './holds.ts';
import type { Ledger } from './ledger.ts';
import { createOperations } from './operations.ts';
import { reportTotals } from './postings.ts';
import { createReceive } from './receive.ts';
import { createSend } from './send.ts';
import { type Store, type StoreOptions, openStore } from './store.ts';

/**
 * Opens the ledger in `dir` (`<data_dir>/ledger`) for this process alone, verifies and recovers it.
 * Throws ExitError: 73 in use, 75 disk full, 78 missing or damaged.
 */
export async function openLedger(options: StoreOptions): Promise<Ledger> {
  const store = await openStore(options);
  const { releaseAll, ...holds } = createHolds(store);
  const released = releaseAll();
  try {
    await store.flushed();
  } catch (error) {
    await store.close();
    throw new ExitError(
      EXIT.storageFull,
      'The ledger cannot be written: free some disk space and start again.',
      error,
    );
  }
  options.log.info('ledger.store.opened', { sequence: store.books.sequence(), released });
  return {
    ...createAccounts(store),
    ...createOperations(store),
    ...createReceive(store),
    ...createSend(store),
    ...holds,
    totals: () => {
      store.guard();
      return reportTotals(store.books.balances);
    },
    health: () => health(store),
    close: store.close,
  };
}

function health(store: Store): ReturnType<Ledger['health']> {
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
export { initLedger } from './genesis.ts';
