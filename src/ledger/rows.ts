/** Rows: everything keyed that the ledger knows, read lazily and kept dirty in memory until a checkpoint writes it. */
import { LIMITS } from '../base/limits.ts';
import { type BatchOp, type Database, openValue, sealValue } from './database.ts';

export interface Rows {
  /** Undefined when there is no such row. Throws when its checksum fails. */
  get: (key: string) => unknown;
  /** Null removes. A row that was set is never changed in place. */
  set: (key: string, value: unknown) => void;
  dirty: () => number;
  /** Every dirty row as it is now. They stay in memory until `stored`, because a read cannot see them before. */
  drain: () => BatchOp[];
  stored: () => void;
}

/** @param prefix begins the key of each of these rows in the database. */
export function createRows(
  db: Pick<Database, 'getSync'>,
  prefix = '',
  cachedRowsMax: number = LIMITS.ledger.cachedRowsMax,
): Rows {
  /** null: known to be removed. */
  const cache = new Map<string, unknown>();
  let dirty = new Set<string>();
  let storing: ReadonlySet<string> = new Set();
  let oldest = cache.keys();

  /**
   * Drops clean rows, oldest first. A few steps per read keep the bound, and the iterator goes on where it stopped:
   * a new one would walk over all that was deleted before.
   */
  function trim(steps: number): void {
    for (let step = 0; step < steps && cache.size - dirty.size - storing.size > cachedRowsMax; step++) {
      const { value: key, done } = oldest.next();
      if (done === true) oldest = cache.keys();
      else if (!dirty.has(key) && !storing.has(key)) cache.delete(key);
    }
  }

  return {
    get: (key) => {
      const cached = cache.get(key);
      if (cached !== undefined) return cached ?? undefined;
      const value = db.getSync(prefix + key);
      if (value === undefined) return undefined;
      const row: unknown = JSON.parse(openValue(prefix + key, value));
      cache.set(key, row);
      trim(8);
      return row;
    },
    set: (key, value) => {
      cache.set(key, value);
      dirty.add(key);
    },
    dirty: () => dirty.size,
    drain: () => {
      const ops: BatchOp[] = [];
      for (const row of dirty) {
        const key = prefix + row;
        const value = cache.get(row);
        if (value === null) ops.push({ type: 'del', key });
        else ops.push({ type: 'put', key, value: sealValue(key, JSON.stringify(value)) });
      }
      storing = dirty;
      dirty = new Set();
      return ops;
    },
    stored: () => {
      const count = storing.size;
      for (const key of storing) if (cache.get(key) === null && !dirty.has(key)) cache.delete(key);
      storing = new Set();
      trim(2 * count);
    },
  };
}
