/** Witness: HEAD and mirror together, compared with the journal at a start and written along with every group. */
import { sha256Hex } from '../base/id.ts';
import type { Logger } from '../base/log.ts';
import { type Database, WITNESSED_KEY, openValue, refuse, sealValue } from './database.ts';
import type { Anchors } from './genesis.ts';
import { type Head, type HeadFile, openHead, readHead, trailHead } from './head.ts';
import { type Group, decodeGroup, groupKey, groupsFrom } from './journal.ts';
import { type Mirror, type MirrorTail, findTail, openMirror } from './mirror.ts';
import { groupEnding } from './verify.ts';

export interface Witness {
  /** Copies a group while the database writes it; undefined where there is no mirror. */
  copy: ((text: string, head: Head) => Promise<void>) | undefined;
  /** Called once a group is in the database and in the mirror; it is acknowledged when this resolves. */
  note: (head: Head) => Promise<void> | undefined;
  close: () => Promise<void>;
}

export interface Place {
  dir: string;
  mirror: string | undefined;
  log: Logger;
}

/**
 * The one group that may have reached the mirror and not the database when the process died. A mirror that is further
 * ahead, or that tells another story, means that the database lost what had been acknowledged.
 */
export async function compareMirror(
  db: Database,
  anchors: Anchors,
  head: Head,
  dir: string,
): Promise<{ tail: MirrorTail; ahead: { group: Group; text: string } | undefined }> {
  const tail = await findTail(dir, anchors.text);
  if (tail.n > head.n) {
    const { last } = tail;
    if (last?.group.first === head.n + 1 && last.group.prev === head.hash) return { tail, ahead: last };
    refuse(`it ends at entry ${head.n}, and its mirror at entry ${tail.n}`);
  }
  const same = await isInJournal(db, anchors, head, tail);
  if (!same) refuse(`its mirror has another entry ${tail.n} than its journal`);
  return { tail, ahead: undefined };
}

/** What was acknowledged is in the journal, or the ledger is refused. */
export async function compareHead(db: Database, anchors: Anchors, head: Head, dir: string): Promise<void> {
  const witness = await readHead(dir);
  if (witness === undefined) {
    const expected = anchors.genesis.witness === true || (await db.get(WITNESSED_KEY)) !== undefined;
    if (expected && head.n > 0) refuse('its witness, the file HEAD beside the database, is missing');
    return;
  }
  if (witness.genesis !== anchors.checkpoint.genesis) refuse('its witness is that of another ledger');
  if (witness.n > head.n) refuse(`it ends at entry ${head.n}, but entry ${witness.n} had been acknowledged`);
  const same = await isInJournal(db, anchors, head, witness);
  if (!same) refuse(`its entry ${witness.n} is not the one that had been acknowledged`);
}

export async function isInJournal(db: Database, anchors: Anchors, head: Head, place: Head): Promise<boolean> {
  if (place.n === head.n) return place.hash === head.hash;
  if (place.n === 0) return place.hash === anchors.checkpoint.genesis;
  return (await groupEnding(db, place.n))?.hash === place.hash;
}

/** Brings mirror and HEAD up to the journal and keeps them there. */
export async function openWitness(
  db: Database,
  anchors: Anchors,
  head: Head,
  { dir, mirror: mirrorDir, log, tail }: Place & { tail: MirrorTail | undefined },
): Promise<Witness> {
  let mirror: Mirror | undefined;
  let file: HeadFile | undefined;
  try {
    if (mirrorDir !== undefined && tail !== undefined) {
      const opened = await openMirror(mirrorDir, anchors.text, tail);
      mirror = opened.mirror;
      const entries = head.n - (await catchUp(db, mirror, opened.head));
      if (entries > 0) refuse(`journal entries after ${head.n - entries} cannot be copied into the mirror`);
      if (head.n > tail.n) log.info('ledger.mirror.caught_up', { from: tail.n, to: head.n });
    }
    file = await openHead(dir, sha256Hex(anchors.text), head);
    if (anchors.genesis.witness !== true && (await db.get(WITNESSED_KEY)) === undefined)
      await db.put(WITNESSED_KEY, sealValue(WITNESSED_KEY, '1'), { sync: true });
    return createWitness(mirror, file);
  } catch (error) {
    await mirror?.close();
    await file?.close();
    throw error;
  }
}

/** Copies what the journal has and the mirror has not. Returns the last entry copied. */
async function catchUp(db: Database, mirror: Mirror, from: Head): Promise<number> {
  let at = from;
  for await (const [key, value] of db.iterator(groupsFrom(from.n + 1))) {
    const text = openValue(key, value);
    const group = decodeGroup(text, { first: at.n + 1, prev: at.hash });
    at = { n: group.last, hash: group.hash };
    await mirror.append(text, at);
  }
  return at.n;
}

/**
 * Without a mirror each group waits for HEAD. With one, database and mirror both have the group already, so HEAD may
 * follow a little later: it matters only once both of them are rolled back.
 */
function createWitness(mirror: Mirror | undefined, file: HeadFile): Witness {
  if (mirror === undefined) return { copy: undefined, note: file.write, close: file.close };
  const trailing = trailHead(file);
  return {
    copy: mirror.append,
    note: trailing.note,
    close: async () => {
      await trailing.close();
      await mirror.close();
    },
  };
}

/** Puts into the database what only the mirror has. */
export async function redo(db: Database, { group, text }: { group: Group; text: string }): Promise<void> {
  const key = groupKey(group.first);
  await db.put(key, sealValue(key, text), { sync: true });
}
