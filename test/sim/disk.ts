/** Disk: what is durable, apart from what a process has asked to be written. A write in flight at a crash lands or not. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/time.ts';
import { type Database, openDatabase } from '../../src/ledger/database.ts';
import { initLedger } from '../../src/ledger/level.ts';
import type { Storage } from '../../src/ledger/storage.ts';
import type { VirtualTime } from './time.ts';

export interface Disk {
  /** Storage of one process: from its death on nothing is written and no call returns. */
  storageFor: (isDead: () => boolean) => Storage;
  /** Decides for each write in flight whether it lands. */
  crash: () => void;
}

type Op = { type: 'put'; key: string; value: string } | { type: 'del'; key: string };
const lock = { release: () => Promise.resolve() };
const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

/** Records of a ledger that was just initialised; made by the real thing, once. */
let template: Promise<Map<string, string>> | undefined;
export const freshLedger = (): Promise<Map<string, string>> => (template ??= makeTemplate());

async function makeTemplate(): Promise<Map<string, string>> {
  const root = await mkdtemp(join(tmpdir(), 'routstr-sim-'));
  const dir = join(root, 'ledger');
  await initLedger({ dir, clock: systemClock, nodeId: 'simulated' });
  const db = await openDatabase(dir);
  const records = new Map<string, string>();
  for await (const [key, value] of db.iterator()) records.set(key, value);
  await db.close();
  await rm(root, { recursive: true });
  return records;
}

export function createDisk(parts: {
  records: ReadonlyMap<string, string>;
  time: VirtualTime;
  random: () => number;
  /** How long a flush takes. */
  flushMs: () => number;
  /** True if this write fails. */
  fails: () => boolean;
}): Disk {
  const { time, random, flushMs, fails } = parts;
  const durable = new Map(parts.records);
  const inFlight = new Set<Op[]>();

  function land(ops: readonly Op[]): void {
    for (const op of ops) {
      if (op.type === 'put') durable.set(op.key, op.value);
      else durable.delete(op.key);
    }
  }

  async function write(ops: Op[], isDead: () => boolean): Promise<void> {
    if (isDead()) return never();
    inFlight.add(ops);
    await time.sleep(flushMs());
    if (!inFlight.delete(ops) || isDead()) return never();
    const failed = fails();
    if (!failed || random() < 0.5) land(ops);
    if (failed) throw Object.assign(new Error('no space left'), { code: 'LEVEL_IO_ERROR' });
  }

  async function* iterate(range: { gte?: string; lt?: string; reverse?: boolean; limit?: number } = {}) {
    const { gte = '', lt = '\uffff', reverse = false, limit = Infinity } = range;
    const keys = [...durable.keys()].filter((key) => key >= gte && key < lt).sort();
    for (const key of (reverse ? keys.reverse() : keys).slice(0, limit))
      yield [key, durable.get(key) ?? ''] as const;
  }

  function chained(isDead: () => boolean) {
    const ops: Op[] = [];
    return {
      put: (key: string, value: string) => ops.push({ type: 'put', key, value }),
      del: (key: string) => ops.push({ type: 'del', key }),
      write: () => write(ops, isDead),
    };
  }

  const databaseFor = (isDead: () => boolean): Database =>
    ({
      getSync: (key: string) => durable.get(key),
      getMany: (keys: string[]) => Promise.resolve(keys.map((key) => durable.get(key))),
      iterator: iterate,
      put: (key: string, value: string) => write([{ type: 'put', key, value }], isDead),
      batch: () => chained(isDead),
      close: () => Promise.resolve(),
    }) as unknown as Database;

  return {
    storageFor: (isDead) => ({
      takeLock: () => Promise.resolve(lock),
      lockLedgerId: () => Promise.resolve(lock),
      openDatabase: () => Promise.resolve(databaseFor(isDead)),
      // HEAD and mirror have tests on real files; a simulated disk loses nothing that they would find.
      openWitness: () =>
        Promise.resolve({ copy: undefined, note: () => Promise.resolve(), close: () => Promise.resolve() }),
      readWitness: () => Promise.resolve({ head: undefined, mirror: undefined }),
      makeRoom: () => Promise.resolve(),
      canOpen: () => Promise.resolve(!isDead()),
    }),
    crash: () => {
      for (const ops of inFlight) if (random() < 0.5) land(ops);
      inFlight.clear();
    },
  };
}
