/** Backup: a verified copy of the whole journal in the format of the mirror, from which `restore` rebuilds the ledger. */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { EXIT, ExitError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { ifExists } from '../base/missing.ts';
import { type AuditFold, createFold } from './audit-fold.ts';
import { type Database, asExitError, openDatabase, openValue, refuse } from './database.ts';
import { createSynced, syncDirectory } from './files.ts';
import { readAnchors } from './genesis.ts';
import { type Head, type Witness, readHead } from './head.ts';
import { type Group, decodeEntry, decodeGroup, groupsFrom } from './journal.ts';
import type { Totals } from './ledger.ts';
import { takeLock } from './lock.ts';
import { type MirrorHeader, encodeRecord, mirrorFileName, readMirror } from './mirror-file.ts';
import { reportTotals } from './postings.ts';

export interface BackupReport {
  target: string;
  entries: number;
  /** Hash of the last journal group: two backups with the same are the same. */
  hash: string;
  totals: Totals;
}

export interface BackupOptions {
  dir: string;
  /** Where the node keeps its mirror: read instead of the database, which a running node holds. */
  mirror: string | undefined;
  /** A directory that does not exist or is empty. */
  target: string;
  log: Logger;
}

interface Source {
  genesis: string;
  groups: () => AsyncIterable<{ group: Group; text: string }>;
}

/**
 * Throws ExitError: 73 without a mirror while a node runs, 75 disk full, 78 for anything that does not add up. What is
 * acknowledged when it begins is in the backup.
 */
export async function backupLedger(options: BackupOptions): Promise<BackupReport> {
  const { dir, target, log } = options;
  if (((await ifExists(readdir(target))) ?? []).length > 0)
    throw new ExitError(EXIT.error, `${target} is not empty; name a directory that does not exist yet.`);
  try {
    const witness = await readHead(dir);
    const report = await withSource(options, (source) => copy(source, witness, target));
    log.info('ledger.backup.done', { entries: report.entries });
    return report;
  } catch (error) {
    throw asExitError(error);
  }
}

async function withSource<T>(
  { dir, mirror }: BackupOptions,
  use: (source: Source) => Promise<T>,
): Promise<T> {
  const mirrored = mirror === undefined ? undefined : await readMirror(mirror);
  if (mirrored !== undefined) return use(mirrored);
  const lock = await takeLock(dir);
  let db: Database | undefined;
  try {
    db = await openDatabase(dir);
    return await use(await databaseSource(db));
  } finally {
    await db?.close();
    await lock.release();
  }
}

async function databaseSource(db: Database): Promise<Source> {
  const { text } = await readAnchors(db);
  return {
    genesis: text,
    groups: async function* () {
      let head: Head = { n: 0, hash: sha256Hex(text) };
      for await (const [key, value] of db.iterator(groupsFrom(0))) {
        const group = openValue(key, value);
        const decoded = decodeGroup(group, { first: head.n + 1, prev: head.hash });
        head = { n: decoded.last, hash: decoded.hash };
        yield { group: decoded, text: group };
      }
    },
  };
}

/** The name appears when everything below it is on disk and adds up. */
async function copy(source: Source, witness: Witness | undefined, target: string): Promise<BackupReport> {
  const unfinished = `${target}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  try {
    const fold = createFold();
    const files = createFiles(unfinished, source.genesis);
    const seen = createCheck(witness, source.genesis);
    for await (const { group, text } of source.groups()) {
      for (const [i, line] of group.lines.entries()) fold.apply(decodeEntry(line, group.first + i));
      seen.pass({ n: group.last, hash: group.hash });
      await files.add(text, { n: group.last, hash: group.hash });
    }
    seen.end();
    const totals = checkFold(fold);
    const { n, hash } = await files.finish();
    await rename(unfinished, target);
    await syncDirectory(dirname(target));
    return { target, entries: n, hash, totals };
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

/** Whole files at a time: a sync for each group would make a long journal take minutes. */
function createFiles(dir: string, genesis: string) {
  let head: Head = { n: 0, hash: sha256Hex(genesis) };
  let records: Buffer[] = [];
  let size = 0;
  let first = 1;

  function begin(): void {
    const header: MirrorHeader = { format: 'routstr-node mirror', v: 1, genesis, after: head };
    records = [encodeRecord(JSON.stringify(header))];
    size = 0;
    first = head.n + 1;
  }
  async function flush(): Promise<void> {
    const file = await createSynced(join(dir, mirrorFileName(first)), Buffer.concat(records));
    await file.close();
  }
  begin();
  return {
    add: async (text: string, next: Head): Promise<void> => {
      if (size >= LIMITS.ledger.mirrorFileBytes) {
        await flush();
        begin();
      }
      const record = encodeRecord(text);
      records.push(record);
      size += record.length;
      head = next;
    },
    finish: async (): Promise<Head> => {
      await flush();
      return head;
    },
  };
}

/** Holds a copy of the journal against the witness of the ledger: nothing that was acknowledged may be missing. */
export function createCheck(
  witness: Witness | undefined,
  genesis: string,
): { pass: (head: Head) => void; end: () => void } {
  if (witness !== undefined && witness.genesis !== sha256Hex(genesis))
    refuse('this is the copy of another ledger than the one whose witness HEAD is here');
  let last = 0;
  let found = witness === undefined || witness.n === 0;
  return {
    pass: ({ n, hash }) => {
      last = n;
      if (witness?.n === n) found = hash === witness.hash;
    },
    end: () => {
      if (found || witness === undefined) return;
      if (last < witness.n)
        refuse(`the copy ends at entry ${last}, but entry ${witness.n} had been acknowledged`);
      refuse(`entry ${witness.n} of the copy is not the one that had been acknowledged`);
    },
  };
}

function checkFold(fold: AuditFold): Totals {
  fold.check((what) => refuse(what));
  const totals = reportTotals(fold.totals());
  if (totals.drift !== 0) refuse(`the books do not balance: drift ${totals.drift} msat`);
  return totals;
}
