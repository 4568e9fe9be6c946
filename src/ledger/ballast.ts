/** Ballast: disk space kept back, so that a full disk leaves enough to open the ledger again. */
import { open, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { systemRandom } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { ifExists } from '../base/missing.ts';

const ballastPath = (dir: string): string => join(dir, 'ballast');

/** Throws ENOSPC where there is no room for it. */
export async function layBallast(dir: string): Promise<void> {
  const size = LIMITS.ledger.ballastBytes;
  if ((await ifExists(stat(ballastPath(dir))))?.size === size) return;
  const file = await open(ballastPath(dir), 'w', 0o600);
  try {
    // Noise, because some file systems store a page of zeros as nothing.
    const noise = systemRandom(64 * 1024);
    const chunk = Buffer.concat(Array.from({ length: 16 }, () => noise));
    for (let done = 0; done < size; done += chunk.length) await file.writeFile(chunk);
  } catch (error) {
    await rm(ballastPath(dir), { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

export const dropBallast = (dir: string): Promise<void> => rm(ballastPath(dir), { force: true });

/** Whether the ballast can be laid again and something is left to work with. */
export async function hasRoom(dir: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize >= LIMITS.ledger.ballastBytes + LIMITS.ledger.roomBytes;
}
