/** Files beside the database: written so that a crash leaves the old one or the new one, for one user only. */
import { constants } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Each write is on disk when it resolves: one call to the system instead of a write and a sync. */
export const SYNCED = constants.O_RDWR | constants.O_DSYNC;

export async function writeAll(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

/** The name appears only once the content is on disk, and is on disk itself afterwards. The handle stays open. */
export async function createSynced(path: string, bytes: Buffer): Promise<FileHandle> {
  const unfinished = `${path}.new`;
  const file = await open(unfinished, SYNCED | constants.O_CREAT | constants.O_TRUNC, 0o600);
  try {
    await writeAll(file, bytes, 0);
    await rename(unfinished, path);
    await syncDirectory(dirname(path));
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Both finish before a failure of either is told, the first one's before the other's: nobody closes a file under a write. */
export async function both(one: Promise<unknown>, other: Promise<unknown> | undefined): Promise<void> {
  const ended = other?.catch(() => undefined);
  try {
    await one;
  } finally {
    await ended;
  }
  await other;
}
