/** Restore: builds a ledger anew from its mirror or a backup, where there is none. */
import { existsSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, ExitError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { ifExists } from '../base/missing.ts';
import { type AuditReport, auditDatabase } from './audit.ts';
import { createCheck } from './backup.ts';
import { type Checkpoint, loadBooks } from './books.ts';
import {
  type Database,
  CHECKPOINT_KEY,
  GENESIS_KEY,
  asExitError,
  createDatabase,
  databasePath,
  sealValue,
} from './database.ts';
import { syncDirectory } from './files.ts';
import { type Head, openHead, readHead } from './head.ts';
import { decodeEntry, groupKey } from './journal.ts';
import { takeLock } from './lock.ts';
import { type MirrorReader, readMirror } from './mirror-file.ts';
import { rowReader } from './store.ts';
import { pointOps } from './verify.ts';

/**
 * Never touches a ledger that exists. Where only the database is gone, HEAD is still there, and what had been
 * acknowledged must be in the source. Throws ExitError: 5 nothing to restore from, 73 in use, 75 disk full, 78 refused.
 */
export async function restoreLedger(options: {
  /** Directory of a mirror or a backup; only read. */
  source: string;
  dir: string;
  log: Logger;
}): Promise<AuditReport> {
  const { source, dir, log } = options;
  try {
    const reader = await readMirror(source);
    if (reader === undefined)
      throw new ExitError(EXIT.notFound, `There is no mirror and no backup at ${source}.`);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const lock = await takeLock(dir);
    try {
      if (existsSync(databasePath(dir)))
        throw new ExitError(EXIT.refused, 'There is a ledger here already; it was left as it is.');
      const report = await build(reader, dir);
      log.info('ledger.restore.done', { entries: report.entries });
      return report;
    } finally {
      await lock.release();
    }
  } catch (error) {
    throw asExitError(error);
  }
}

const restoredPath = (dir: string): string => join(dir, 'RESTORED');

/** Name of the last restore of this ledger; undefined where it was never restored: then it knows every counter it used. */
export const restoredAs = (dir: string): Promise<string | undefined> =>
  ifExists(readFile(restoredPath(dir), 'utf8'));

/** Built aside, audited, and only then given its name. */
async function build(reader: MirrorReader, dir: string): Promise<AuditReport> {
  const aside = join(dir, 'restoring');
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { mode: 0o700 });
  try {
    const check = createCheck(await readHead(dir), reader.genesis);
    const db = await createDatabase(aside);
    let head: Head;
    let report: AuditReport;
    try {
      head = await write(db, reader, check.pass);
      check.end();
      report = await auditDatabase(db);
    } finally {
      await db.close();
    }
    await writeFile(restoredPath(dir), randomUUID(), { mode: 0o600, flush: true });
    await rename(databasePath(aside), databasePath(dir));
    await syncDirectory(dir);
    await (await openHead(dir, sha256Hex(reader.genesis), head)).close();
    return report;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/** Groups as they are, rows as they follow from them. */
async function write(db: Database, reader: MirrorReader, pass: (head: Head) => void): Promise<Head> {
  const genesis = sha256Hex(reader.genesis);
  const start: Checkpoint = { n: 0, hash: genesis, genesis, balances: {}, holds: [] };
  let head: Head = { n: 0, hash: genesis };
  await db.batch([
    { type: 'put', key: GENESIS_KEY, value: sealValue(GENESIS_KEY, reader.genesis) },
    { type: 'put', key: CHECKPOINT_KEY, value: sealValue(CHECKPOINT_KEY, JSON.stringify(start)) },
  ]);
  const books = await loadBooks(db, start, rowReader(db));
  let point = 0;
  async function checkpoint(): Promise<void> {
    await db.batch([...books.checkpoint(head.hash), ...pointOps(++point, head)], { sync: true });
    books.stored();
  }
  for await (const { group, text } of reader.groups()) {
    const key = groupKey(group.first);
    await db.put(key, sealValue(key, text));
    for (const line of group.lines) books.apply(decodeEntry(line, books.sequence() + 1));
    head = { n: group.last, hash: group.hash };
    pass(head);
    if (books.dirtyRows() >= LIMITS.ledger.checkpointRows) await checkpoint();
  }
  await checkpoint();
  return head;
}
