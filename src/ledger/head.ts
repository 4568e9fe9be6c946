/** HEAD: a small file beside the database that names the last durable group, because a rollback leaves no trace inside. */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { LIMITS } from '../base/limits.ts';
import { ifExists } from '../base/missing.ts';
import { refuse } from './database.ts';
import { SYNCED, createSynced, writeAll } from './files.ts';

/** The end of a journal, or a place in it: the group that ends with entry n. */
export interface Head {
  n: number;
  hash: string;
}
export interface Witness extends Head {
  genesis: string;
  /** Writes of this file so far; the parity says which of the two slots is written. */
  turn: number;
}

export interface HeadFile {
  /** On disk when it resolves. One at a time. */
  write: (head: Head) => Promise<void>;
  close: () => Promise<void>;
}

/** Slots lie in pages of their own: a torn write damages the one that was being written and never the other. */
const SLOT_BYTES = 4096;
const headPath = (dir: string): string => join(dir, 'HEAD');

/** Undefined where there is none. Refuses a file of which no slot can be read. */
export async function readHead(dir: string): Promise<Witness | undefined> {
  const bytes = await ifExists(readFile(headPath(dir)));
  if (bytes === undefined) return undefined;
  const [newest] = [readSlot(bytes, 0), readSlot(bytes, 1)]
    .filter((slot) => slot !== undefined)
    .sort((a, b) => b.turn - a.turn);
  return newest ?? refuse('its witness, the file HEAD, cannot be read');
}

/** Names `head` at once, and whatever is written later in turn. */
export async function openHead(dir: string, genesis: string, head: Head): Promise<HeadFile> {
  const known = await ifExists(readFile(headPath(dir)).then(() => readHead(dir)));
  let turn = (known?.turn ?? 0) + 1;
  let file: FileHandle;
  if (known === undefined) {
    file = await createSynced(headPath(dir), twoSlots({ genesis, turn, ...head }));
  } else {
    file = await open(headPath(dir), SYNCED);
    await writeSlot(file, { genesis, turn, ...head }).catch(async (error: unknown) => {
      await file.close();
      throw error;
    });
  }
  return {
    write: ({ n, hash }) => writeSlot(file, { genesis, turn: ++turn, n, hash }),
    close: () => file.close(),
  };
}

/** Writes the newest head after a pause and skips those before it; a failure is told to whoever comes next. */
export function trailHead(file: HeadFile): { note: (head: Head) => undefined; close: () => Promise<void> } {
  let newest: Head | undefined;
  let writing = Promise.resolve();
  let failure: { error: unknown } | undefined;
  let timer: NodeJS.Timeout | undefined;

  async function write(): Promise<void> {
    timer = undefined;
    // After a failure the other slot may be the last one that can be read.
    if (newest === undefined || failure !== undefined) return;
    const head = newest;
    newest = undefined;
    await file.write(head).catch((error: unknown) => {
      failure = { error };
    });
  }

  return {
    note: (head) => {
      if (failure !== undefined) throw failure.error;
      newest = head;
      timer ??= setTimeout(() => {
        writing = writing.then(write);
      }, LIMITS.ledger.headTrailMs);
    },
    close: async () => {
      clearTimeout(timer);
      await writing;
      await write();
      await file.close();
    },
  };
}

const writeSlot = (file: FileHandle, witness: Witness): Promise<void> =>
  writeAll(file, Buffer.from(slotText(witness)), (witness.turn % 2) * SLOT_BYTES);

function twoSlots(witness: Witness): Buffer {
  const bytes = Buffer.alloc(2 * SLOT_BYTES, ' ');
  bytes.write(slotText(witness), (witness.turn % 2) * SLOT_BYTES);
  return bytes;
}

/** Always of one length, so that nothing of an older text is left behind it. */
function slotText({ genesis, turn, n, hash }: Witness): string {
  const text = JSON.stringify({ v: 1, turn, n, genesis, hash }).padEnd(256);
  return `${checksum(text)}${text}\n`;
}

function readSlot(bytes: Buffer, slot: number): Witness | undefined {
  const text = bytes.toString('latin1', slot * SLOT_BYTES, slot * SLOT_BYTES + 264);
  if (text.length < 264 || text.slice(0, 8) !== checksum(text.slice(8))) return undefined;
  const { v, turn, n, genesis, hash } = JSON.parse(text.slice(8)) as Witness & { v: number };
  if (v !== 1) refuse('its witness was written by a newer version of this program');
  return { turn, n, genesis, hash };
}

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');
