/** Audit: folds the whole journal from its first entry anew, without the code or the rows that serve, and compares. */
import { EXIT, ExitError } from '../base/error.ts';
import { type Msat, type Unit, unitToMsat } from '../base/money.ts';
import { type AuditFold, createFold } from './audit-fold.ts';
import type { WitnessReport } from './audit-witness.ts';
import type { Checkpoint } from './books.ts';
import { type Database, asExitError, openValue } from './database.ts';
import { readAnchors } from './genesis.ts';
import { decodeEntry, decodeGroup, groupsFrom } from './journal.ts';
import type { Account, Totals } from './ledger.ts';
import { reportTotals } from './postings.ts';
import { onDisk } from './storage.ts';
import { type StoreOptions, rowReader } from './store.ts';

export interface AuditReport {
  entries: number;
  /** Hash of the last group. */
  head: string;
  /** Every group follows the one before it, from the first record on; anything else throws. */
  chain: 'ok';
  totals: Totals;
  /** Holds of a process that died; the next start releases them. */
  openHolds: number;
  /** Operations that wait for their mint. */
  unfinished: number;
  /** Operations that wait for the operator. */
  blocked: number;
  proofs: { mint: string; unit: Unit; count: number; msat: Msat }[];
  /** What accounts are owed, by the mint and unit that they refund from. */
  owed: { mint: string; unit: Unit; accounts: number; msat: Msat }[];
}

/** With what stands beside the journal. */
export interface LedgerAudit extends AuditReport {
  witness: WitnessReport;
  /** Accounts, child keys and small values of other rooms as the journal has them, by id. */
  rows: (kind: 'account' | 'child' | 'value') => ReadonlyMap<string, unknown>;
}

/**
 * Takes the same locks as a running node. Throws ExitError: 73 while a node holds the ledger, 78 for anything that
 * does not add up.
 */
export async function auditLedger({
  dir,
  mirror,
  log,
  storage = onDisk,
}: Pick<StoreOptions, 'dir' | 'mirror' | 'log' | 'storage'>): Promise<LedgerAudit> {
  const lock = await storage.takeLock(dir);
  let db: Database | undefined;
  try {
    db = await storage.openDatabase(dir);
    const { report, fold } = await foldDatabase(db);
    const end = { n: report.entries, hash: report.head };
    const witness = await storage.readWitness(db, await readAnchors(db), end, { dir, mirror });
    log.info('ledger.audit.done', { entries: report.entries, drift: report.totals.drift });
    return { ...report, witness, rows: fold.rows };
  } catch (error) {
    throw asExitError(error);
  } finally {
    await db?.close();
    await lock.release();
  }
}

/** Of a database that is open already. */
export const auditDatabase = async (db: Database): Promise<AuditReport> => (await foldDatabase(db)).report;

async function foldDatabase(db: Database): Promise<{ report: AuditReport; fold: AuditFold }> {
  const { checkpoint } = await readAnchors(db);
  const fold = createFold();
  let head = checkpoint.genesis;
  let entries = 0;
  if (checkpoint.n === 0) await compareRows(db, checkpoint, head, fold);
  for await (const [key, value] of db.iterator(groupsFrom(0))) {
    const group = decodeGroup(openValue(key, value), { first: entries + 1, prev: head });
    for (const line of group.lines) {
      fold.apply(decodeEntry(line, ++entries));
    }
    head = group.hash;
    if (entries === checkpoint.n) await compareRows(db, checkpoint, head, fold);
  }
  if (entries < checkpoint.n)
    differ(`the journal ends at entry ${entries}, before its checkpoint at ${checkpoint.n}`);
  fold.check(differ);
  const report: AuditReport = {
    entries,
    head,
    chain: 'ok',
    totals: reportTotals(fold.totals()),
    openHolds: fold.holds.size,
    unfinished: fold.operationsIn('executing').length,
    blocked: fold.operationsIn('blocked').length,
    proofs: countProofs(fold),
    owed: countOwed(fold),
  };
  return { report, fold };
}

/** Stored rows are the fold up to the checkpoint; nothing more and nothing less. */
async function compareRows(
  db: Database,
  checkpoint: Checkpoint,
  head: string,
  fold: AuditFold,
): Promise<void> {
  if (head !== checkpoint.hash) differ(`the checkpoint at entry ${checkpoint.n} names another journal`);
  for (const [kind, prefix] of [
    ['account', 'a!'],
    ['proof', 'p!'],
    ['counter', 'k!'],
    ['operation', 'o!'],
    ['child', 'c!'],
  ] as const) {
    const expected = fold.rows(kind);
    let seen = 0;
    for await (const [key, row] of rowReader(db)(prefix)) {
      const want = expected.get(key.slice(2));
      if (want === undefined) differ(`there is a stored ${kind} that the journal does not know`);
      if (canonical(want) !== canonical(row)) differ(`a stored ${kind} differs from what the journal says`);
      seen++;
    }
    if (seen !== expected.size) differ(`${expected.size - seen} stored rows are missing (${kind})`);
  }
  compareBalances(checkpoint, fold);
}

function compareBalances(checkpoint: Checkpoint, fold: AuditFold): void {
  const folded = fold.totals();
  for (const [name, balance] of Object.entries(checkpoint.balances)) {
    if ((folded.get(name) ?? 0) !== balance) differ(`the stored total of ${name} differs from the journal's`);
  }
  if (checkpoint.holds.length !== fold.holds.size) differ('the stored holds differ from the journal');
  for (const [id, account, amount] of checkpoint.holds) {
    const hold = fold.holds.get(id);
    if (hold?.account !== account || hold.amount !== amount) differ('a stored hold differs from the journal');
  }
}

function countProofs(fold: AuditFold): AuditReport['proofs'] {
  const shelves = new Map<string, AuditReport['proofs'][number]>();
  for (const { mint, unit, amount } of fold.proofs()) {
    const name = `${mint}|${unit}`;
    const shelf = shelves.get(name) ?? { mint, unit, count: 0, msat: unitToMsat(0, unit) };
    const msat = unitToMsat(amount, unit);
    shelves.set(name, { ...shelf, count: shelf.count + 1, msat: (shelf.msat + msat) as Msat });
  }
  return [...shelves.values()];
}

function countOwed(fold: AuditFold): AuditReport['owed'] {
  const shelves = new Map<string, AuditReport['owed'][number]>();
  for (const row of fold.rows('account').values()) {
    const { mint, unit, available, held } = row as Pick<Account, 'mint' | 'unit' | 'available' | 'held'>;
    const name = `${mint}|${unit}`;
    const shelf = shelves.get(name) ?? { mint, unit, accounts: 0, msat: unitToMsat(0, unit) };
    const msat = (shelf.msat + available + held) as Msat;
    shelves.set(name, { ...shelf, accounts: shelf.accounts + 1, msat });
  }
  return [...shelves.values()].filter(({ msat }) => msat > 0);
}

/** JSON with sorted keys: the order of fields says nothing. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

function differ(what: string): never {
  throw new ExitError(
    EXIT.refused,
    `The audit failed: ${what}. Do not start the node on this ledger; restore a backup.`,
  );
}
