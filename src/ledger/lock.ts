/**
 * Lock: one open ledger per directory and machine, taken before LevelDB is touched.
 *
 * LevelDB's own lock is a POSIX record lock: a refused second open in the same process drops it without a word, and
 * two writers then destroy each other's work. An abstract unix socket named after the directory's inode cannot be
 * dropped by accident, refuses a second listener even in the same process, and vanishes with the process.
 */
import { stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { platform } from 'node:os';
import { asExitError, inUse, noLedger } from './database.ts';

export interface Lock {
  release: () => Promise<void>;
}

/** Directories open in this process; the only guard where abstract sockets do not exist. */
const heldHere = new Set<string>();

/** Throws ExitError 73 when the directory is open, here or in another process. */
export const takeLock = async (dir: string): Promise<Lock> => hold(await identityOf(dir));

/** A copy of a ledger is the same money: while one of them is open, no other may be. */
export const lockLedgerId = (id: string): Promise<Lock> => hold(`id:${id}`);

async function hold(identity: string): Promise<Lock> {
  if (heldHere.has(identity)) throw inUse();
  heldHere.add(identity);
  try {
    const server = platform() === 'linux' ? await listen(`\0routstr-node-ledger:${identity}`) : undefined;
    return {
      release: async () => {
        if (server) await new Promise((resolve) => server.close(resolve));
        heldHere.delete(identity);
      },
    };
  } catch (error) {
    heldHere.delete(identity);
    throw error;
  }
}

async function identityOf(dir: string): Promise<string> {
  try {
    const { dev, ino } = await stat(dir);
    return `${dev}:${ino}`;
  } catch (error) {
    throw (error as { code?: unknown }).code === 'ENOENT' ? noLedger() : asExitError(error);
  }
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? inUse() : error);
    });
    server.listen({ path }, () => resolve(server));
  });
}
