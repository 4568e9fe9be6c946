/** Missing: a file that is not there, told from one that cannot be read. */
import { stat } from 'node:fs/promises';

/** Why a file that is there cannot be read, in words for the person at the command line. */
export const unreadable = (file: string, error: unknown): string => {
  const { code } = error as NodeJS.ErrnoException;
  return `${file} cannot be read${code === 'EACCES' ? ' by this user' : ` (${code ?? 'unknown reason'})`}`;
};

/** What `read` gives, or undefined where there is no such file or directory; throws what else it throws. */
export async function ifExists<T>(read: Promise<T>): Promise<T | undefined> {
  return read.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** Throws where it cannot be found out. */
export const exists = async (path: string): Promise<boolean> => (await ifExists(stat(path))) !== undefined;
