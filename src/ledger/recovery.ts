/** Recovery: after a write that failed, the ledger is closed, opened again from disk, and served from there. */
import { LIMITS } from '../base/limits.ts';
import { errorKind } from '../base/log.ts';
import { isDamage } from './database.ts';
import { onDisk } from './storage.ts';
import { type Store, type StoreOptions, openStore } from './store.ts';

export interface Recovery {
  /** True while the ledger is poisoned and may become usable again. */
  active: () => boolean;
  /** Ends all attempts; resolves when nothing of them is under way. */
  stop: () => Promise<void>;
}

/**
 * Watches a store and each one that follows it. Damaged data is left alone: opening it again would only find it again.
 * The lock of the directory stays taken meanwhile.
 */
export function createRecovery(options: StoreOptions, first: Store, adopt: (store: Store) => void): Recovery {
  const { dir, mirror, clock, log, storage = onDisk } = options;
  const stopped = new AbortController();
  const { signal } = stopped;
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  let active = false;
  let work: Promise<void> = Promise.resolve();

  /** A new store, or undefined when the attempt may be repeated. Throws when there is no point in that. */
  async function attempt(): Promise<Store | undefined> {
    try {
      return (await storage.canOpen(dir, mirror)) ? await openStore(options) : undefined;
    } catch (error) {
      if (isDamage(error)) throw error;
      log.warn('ledger.recovery.postponed', { kind: errorKind(error) });
      return undefined;
    }
  }

  async function recover(broken: Store, reason: unknown): Promise<void> {
    if (isDamage(reason)) return log.error('ledger.recovery.refused', { kind: errorKind(reason) });
    active = true;
    try {
      await broken.close();
      await storage.makeRoom(dir);
      for (let tries = 1; !signal.aborted; tries++) {
        const store = await attempt();
        if (store !== undefined) {
          watch(store);
          adopt(store);
          log.info('ledger.recovery.done', { sequence: store.books.sequence(), tries });
          return;
        }
        await Promise.race([clock.sleep(LIMITS.ledger.recoverRetryMs, signal), aborted]);
      }
    } catch (error) {
      log.error('ledger.recovery.refused', { kind: errorKind(error) });
    } finally {
      active = false;
    }
  }

  function watch(store: Store): void {
    void store.failed.then((reason) => {
      work = recover(store, reason);
    });
  }
  watch(first);

  return {
    active: () => active,
    stop: async () => {
      stopped.abort();
      await work;
    },
  };
}
