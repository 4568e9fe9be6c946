/** What stands beside the journal, compared with it: HEAD, and every group of the mirror. */
import type { Database } from './database.ts';
import { refuse } from './database.ts';
import type { Anchors } from './genesis.ts';
import { type Head, readHead } from './head.ts';
import { groupsFrom } from './journal.ts';
import { readMirror } from './mirror-file.ts';
import { type Place, compareHead, isInJournal } from './witness.ts';

export interface WitnessReport {
  /** Last entry that the file HEAD names; undefined where there is no such file yet. */
  head: number | undefined;
  /** Undefined where no mirror is kept. */
  mirror: MirrorReport | undefined;
}

/**
 * `ahead` or `behind` by one group is how a process that was killed leaves it; the next start evens it out.
 * `incomplete`: groups that had been acknowledged are not in it, or nothing is.
 */
export interface MirrorReport {
  state: 'same' | 'ahead' | 'behind' | 'incomplete';
  /** Last entry in it. */
  entry: number;
}

/** Throws ExitError 78 for anything beside the journal that tells another story than the journal. */
export async function readWitness(
  db: Database,
  anchors: Anchors,
  end: Head,
  { dir, mirror }: Pick<Place, 'dir' | 'mirror'>,
): Promise<WitnessReport> {
  await compareHead(db, anchors, end, dir);
  const head = (await readHead(dir))?.n;
  return { head, mirror: mirror === undefined ? undefined : await readWhole(db, anchors, end, mirror) };
}

async function readWhole(db: Database, anchors: Anchors, end: Head, dir: string): Promise<MirrorReport> {
  const reader = await readMirror(dir);
  if (reader === undefined) return { state: end.n === 0 ? 'same' : 'incomplete', entry: 0 };
  if (reader.genesis !== anchors.text) refuse(`${dir} holds the mirror of another ledger`);
  let tail: Head = { n: 0, hash: anchors.checkpoint.genesis };
  for await (const { group } of reader.groups()) {
    if (tail.n === end.n && group.prev === end.hash) return { state: 'ahead', entry: group.last };
    tail = { n: group.last, hash: group.hash };
    if (tail.n > end.n) refuse(`it ends at entry ${end.n}, and its mirror goes on`);
  }
  if (!(await isInJournal(db, anchors, end, tail)))
    refuse(`its mirror has another entry ${tail.n} than its journal`);
  if (tail.n === end.n) return { state: 'same', entry: tail.n };
  const missing = await db.keys({ ...groupsFrom(tail.n + 1), limit: 2 }).all();
  return { state: missing.length === 1 ? 'behind' : 'incomplete', entry: tail.n };
}
