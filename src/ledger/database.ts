/** The LevelDB below the ledger: opening it without ever creating it by accident, and a checksum on every value. */
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { Level } from 'level';
import { EXIT, ExitError } from '../base/error.ts';

export type Database = Level;
export type BatchOp = { type: 'put'; key: string; value: string } | { type: 'del'; key: string };

/** Keys that are neither journal nor row. */
export const GENESIS_KEY = 'meta!genesis';
export const CHECKPOINT_KEY = 'meta!checkpoint';
/** Present where a witness was added to a ledger that had begun without one. */
export const WITNESSED_KEY = 'meta!witnessed';
/** Checkpoints by running number; each is written in the batch of its checkpoint. */
export const POINT_PREFIX = 'meta!point!';

export const databasePath = (dir: string): string => join(dir, 'db');

/** Ends the start: what is on disk is not what was written, and serving it could cost someone money. */
export function refuse(what: string): never {
  throw new ExitError(
    EXIT.refused,
    `The ledger was refused: ${what}. Nothing was changed; restore it from a backup.`,
  );
}

/** Each value starts with eight hex digits: CRC-32 over its key and its text, so that a value under a wrong key fails too. */
export const sealValue = (key: string, text: string): string => checksum(key, text) + text;

export function openValue(key: string, value: string): string {
  const text = value.slice(8);
  if (value.slice(0, 8) !== checksum(key, text))
    refuse(`the value of ${key.slice(0, 24)} fails its checksum`);
  return text;
}

const checksum = (key: string, text: string): string => crc32(text, crc32(key)).toString(16).padStart(8, '0');

/** Snappy is off: with it one flipped bit garbles dozens of records instead of one. */
const OPTIONS = { compression: false, createIfMissing: false } as const;

export async function openDatabase(dir: string): Promise<Database> {
  if (!existsSync(databasePath(dir))) throw noLedger();
  const db = new Level(databasePath(dir), OPTIONS);
  try {
    await db.open();
  } catch (error) {
    throw asExitError(error);
  }
  return db;
}

/** Only `init` comes here. An existing database is opened, never overwritten: LevelDB deletes what it does not know. */
export async function createDatabase(dir: string): Promise<Database> {
  await mkdir(databasePath(dir), { mode: 0o700, recursive: true });
  const files = await readdir(databasePath(dir));
  if (files.length > 0) return openDatabase(dir);
  const db = new Level(databasePath(dir), { ...OPTIONS, createIfMissing: true, errorIfExists: true });
  await db.open();
  return db;
}

export const noLedger = (): ExitError =>
  new ExitError(
    EXIT.refused,
    'There is no ledger here. A new node is made by `routstr-node init`, a lost ledger by `routstr-node restore`.',
  );

export const inUse = (): ExitError =>
  new ExitError(EXIT.ledgerInUse, 'The ledger is in use by another routstr-node process.');

/** Sentence and exit code for whatever kept the ledger from opening. */
export function asExitError(error: unknown): ExitError {
  if (error instanceof ExitError) return error;
  const text = chainText(error);
  if (text.includes('LEVEL_LOCKED')) return inUse();
  if (/ENOSPC|No space left/.test(text))
    return new ExitError(EXIT.storageFull, 'The disk is full; free some space and start again.', error);
  return new ExitError(
    EXIT.refused,
    'The ledger was refused: its database cannot be read. Nothing was changed; restore it from a backup.',
    error,
  );
}

/** What no waiting and no new start can cure, unlike a full disk or a device that does not answer. */
export const isDamage = (error: unknown): boolean =>
  (error instanceof ExitError && error.exitCode === EXIT.refused && error.cause === undefined) ||
  /CORRUPTION|Corruption/.test(chainText(error));

/** Codes and messages along the chain of causes, for matching only; never shown or logged. */
function chainText(error: unknown): string {
  const parts: string[] = [];
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    parts.push(String((at as { code?: unknown }).code), at.message);
  }
  return parts.join(' ');
}
