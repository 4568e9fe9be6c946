/**
 * Verify: what a start reads again below the checkpoint.
 *
 * LevelDB passes over what it cannot read in its logs, so a crash or a flipped bit may take single batches out of the
 * middle. Each batch holds a journal group or a numbered checkpoint. Both are looked for as far back as such logs reach;
 * older batches lie in sorted tables, whose loss LevelDB notices by itself.
 */
import { LIMITS } from '../base/limits.ts';
import type { Checkpoint } from './books.ts';
import { type BatchOp, type Database, POINT_PREFIX, openValue, refuse, sealValue } from './database.ts';
import type { Head } from './head.ts';
import { type Group, decodeGroup, groupsBelow } from './journal.ts';

interface Point extends Head {
  number: number;
}

const pointKey = (number: number): string => POINT_PREFIX + String(number).padStart(12, '0');

/** The group that ends with entry n, if the journal has one that does. */
export async function groupEnding(db: Database, n: number): Promise<Group | undefined> {
  for await (const [key, value] of db.iterator({ ...groupsBelow(n + 1), reverse: true, limit: 1 })) {
    const group = decodeGroup(openValue(key, value), { first: Number(key.slice(2)) });
    return group.last === n ? group : undefined;
  }
  return undefined;
}

/** Returns the number of the last checkpoint. */
export async function checkRecent(db: Database, checkpoint: Checkpoint): Promise<number> {
  const from = await checkGroups(db, checkpoint);
  return checkPoints(db, from);
}

/** Chain and checksums from the checkpoint backwards. Returns the oldest entry seen. */
async function checkGroups(db: Database, checkpoint: Checkpoint): Promise<number> {
  let next = { first: checkpoint.n + 1, prev: checkpoint.hash };
  let chars = 0;
  for await (const [key, value] of db.iterator({ ...groupsBelow(checkpoint.n + 1), reverse: true })) {
    const group = decodeGroup(openValue(key, value), { first: Number(key.slice(2)) });
    if (group.last !== next.first - 1 || group.hash !== next.prev) {
      if (next.first === checkpoint.n + 1) break;
      refuse(`journal entries before ${next.first} are missing or belong to another journal`);
    }
    next = group;
    chars += value.length;
    if (chars > LIMITS.ledger.recheckChars) return next.first;
  }
  if (next.first === 1 && next.prev === checkpoint.genesis) return 1;
  if (next.first === checkpoint.n + 1)
    refuse(`its checkpoint at entry ${checkpoint.n} does not belong to its journal`);
  refuse(`journal entries before ${next.first} are missing`);
}

async function checkPoints(db: Database, fromEntry: number): Promise<number> {
  const range = { gte: POINT_PREFIX, lt: `${POINT_PREFIX}~`, reverse: true };
  let last: number | undefined;
  let next: Point | undefined;
  for await (const [key, value] of db.iterator(range)) {
    const point = JSON.parse(openValue(key, value)) as Point;
    last ??= point.number;
    if (next !== undefined && point.number !== next.number - 1) break;
    next = point;
    if (point.n < fromEntry) return last;
  }
  const whole =
    next === undefined || next.number === 1 || (last ?? 0) - next.number >= LIMITS.ledger.pointsKept - 1;
  if (!whole) refuse(`its checkpoint number ${(next?.number ?? 0) - 1} is missing`);
  return last ?? 0;
}

/** What a checkpoint leaves behind, for its batch. */
export function pointOps(number: number, head: Head): BatchOp[] {
  const key = pointKey(number);
  const point: Point = { number, ...head };
  const ops: BatchOp[] = [{ type: 'put', key, value: sealValue(key, JSON.stringify(point)) }];
  const old = number - LIMITS.ledger.pointsKept;
  if (old > 0) ops.push({ type: 'del', key: pointKey(old) });
  return ops;
}
