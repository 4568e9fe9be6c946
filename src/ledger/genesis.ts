/** Genesis: the record that makes an empty database a ledger, written by `init` alone. */
import { mkdir } from 'node:fs/promises';
import { EXIT, ExitError } from '../base/error.ts';
import { hex, sha256Hex, systemRandom } from '../base/id.ts';
import type { Clock } from '../base/time.ts';
import type { Checkpoint } from './books.ts';
import {
  type Database,
  CHECKPOINT_KEY,
  GENESIS_KEY,
  asExitError,
  createDatabase,
  openValue,
  refuse,
  sealValue,
} from './database.ts';
import { takeLock } from './lock.ts';

export interface Genesis {
  format: 'routstr-node ledger';
  version: 1;
  /** Tells two ledgers of the same node apart. */
  id: string;
  nodeId: string;
  /** Unix seconds. */
  createdAt: number;
  /** A witness stands beside this ledger from its beginning; absent in ledgers of older versions. */
  witness?: true;
}

/** Makes an empty ledger in `dir`. Refuses (78) where one exists: overwriting it would delete client money. */
export async function initLedger(options: { dir: string; clock: Clock; nodeId: string }): Promise<void> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  const lock = await takeLock(options.dir);
  try {
    const db = await createDatabase(options.dir);
    try {
      for await (const _key of db.keys({ limit: 1 }))
        throw new ExitError(EXIT.refused, 'There is a ledger here already; it was left as it is.');
      await writeGenesis(db, options);
    } finally {
      await db.close();
    }
  } catch (error) {
    throw asExitError(error);
  } finally {
    await lock.release();
  }
}

async function writeGenesis(
  db: Database,
  { clock, nodeId }: { clock: Clock; nodeId: string },
): Promise<void> {
  const genesis: Genesis = {
    format: 'routstr-node ledger',
    version: 1,
    id: hex(systemRandom(16)),
    nodeId,
    createdAt: Math.floor(clock.now() / 1000),
    witness: true,
  };
  const text = JSON.stringify(genesis);
  const hash = sha256Hex(text);
  const checkpoint: Checkpoint = { n: 0, hash, genesis: hash, balances: {}, holds: [] };
  await db.batch(
    [
      { type: 'put', key: GENESIS_KEY, value: sealValue(GENESIS_KEY, text) },
      { type: 'put', key: CHECKPOINT_KEY, value: sealValue(CHECKPOINT_KEY, JSON.stringify(checkpoint)) },
    ],
    { sync: true },
  );
}

export interface Anchors {
  genesis: Genesis;
  /** The first record as it was written; its hash begins the chain. */
  text: string;
  checkpoint: Checkpoint;
}

/** Genesis and checkpoint of an open database; refuses when they do not belong together. */
export async function readAnchors(db: Database): Promise<Anchors> {
  const [genesisValue, checkpointValue] = await db.getMany([GENESIS_KEY, CHECKPOINT_KEY]);
  if (genesisValue === undefined || checkpointValue === undefined)
    refuse('its first record or its checkpoint is missing');
  const text = openValue(GENESIS_KEY, genesisValue);
  const genesis = JSON.parse(text) as Genesis;
  const checkpoint = JSON.parse(openValue(CHECKPOINT_KEY, checkpointValue)) as Checkpoint;
  if (genesis.version !== 1) refuse('it was written by a newer version of this program');
  if (checkpoint.genesis !== sha256Hex(text)) refuse('its first record is that of another ledger');
  return { genesis, text, checkpoint };
}
