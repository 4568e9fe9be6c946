/**
 * Format of the mirror and of backups: files of records `length | crc | payload`, both numbers 32 bits little-endian.
 * The first record of a file says which ledger it belongs to and what came before it; each other one is a journal group.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { LIMITS } from '../base/limits.ts';
import { sha256Hex } from '../base/id.ts';
import { ifExists } from '../base/missing.ts';
import { refuse } from './database.ts';
import type { Head } from './head.ts';
import { type Group, decodeGroup } from './journal.ts';

/** First record of each file. */
export interface MirrorHeader {
  format: 'routstr-node mirror';
  v: 1;
  /** Text of the ledger's first record; its hash begins the chain. */
  genesis: string;
  /** Where the file before ended. */
  after: Head;
}

export interface MirrorRecord {
  text: string;
  /** Place in the file: first byte, and first byte behind it. */
  start: number;
  end: number;
}

const NAME = /^\d{16}\.journal$/;
export const mirrorFileName = (first: number): string => `${String(first).padStart(16, '0')}.journal`;

/** Paths in the order of their entries; empty where there is no such directory. */
export async function mirrorFiles(dir: string): Promise<string[]> {
  const names = (await ifExists(readdir(dir))) ?? [];
  return names
    .filter((name) => NAME.test(name))
    .sort()
    .map((name) => join(dir, name));
}

export function encodeRecord(text: string): Buffer {
  const size = Buffer.byteLength(text);
  const bytes = Buffer.allocUnsafe(8 + size);
  bytes.write(text, 8);
  bytes.writeUInt32LE(size, 0);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

/** All whole records from the beginning; `torn` where something else follows them. */
export async function readRecords(path: string): Promise<{ records: MirrorRecord[]; torn: boolean }> {
  const bytes = await readFile(path);
  const records: MirrorRecord[] = [];
  let start = 0;
  while (start + 8 <= bytes.length) {
    const end = start + 8 + bytes.readUInt32LE(start);
    if (end > bytes.length || end - start > LIMITS.ledger.mirrorRecordBytesMax) break;
    const payload = bytes.subarray(start + 8, end);
    if (crc32(payload) !== bytes.readUInt32LE(start + 4)) break;
    records.push({ text: payload.toString(), start, end });
    start = end;
  }
  return { records, torn: start < bytes.length };
}

export function readHeader(text: string): MirrorHeader {
  const header = JSON.parse(text) as MirrorHeader;
  if (header.format !== 'routstr-node mirror' || header.v !== 1)
    refuse('its mirror was written by another version of this program');
  return header;
}

export interface MirrorReader {
  /** Text of the first record of the ledger that this is a copy of. */
  genesis: string;
  /** Every group from entry 1 on, each checked to follow the one before it. */
  groups: () => AsyncGenerator<{ group: Group; text: string }>;
}

/**
 * Reads a mirror or backup from its first entry. The newest file may end in the middle of a record, as a crash leaves
 * it; anything else that is missing or damaged is refused. Undefined where there is nothing.
 */
export async function readMirror(dir: string): Promise<MirrorReader | undefined> {
  const files = await mirrorFiles(dir);
  const [oldest] = files;
  if (oldest === undefined) return undefined;
  const [first] = (await readRecords(oldest)).records;
  if (first === undefined) refuse('the first file of the mirror cannot be read');
  const { genesis } = readHeader(first.text);
  return {
    genesis,
    groups: async function* () {
      let head: Head = { n: 0, hash: sha256Hex(genesis) };
      for (const path of files) {
        const { records, torn } = await readRecords(path);
        if (torn && path !== files.at(-1)) refuse(`the mirror is damaged after entry ${head.n}`);
        const [opening, ...rest] = records;
        if (opening === undefined) break;
        const header = readHeader(opening.text);
        if (header.genesis !== genesis) refuse('the mirror holds files of two ledgers');
        if (header.after.n !== head.n || header.after.hash !== head.hash)
          refuse(`the mirror lacks what follows entry ${head.n}`);
        for (const { text } of rest) {
          const group = decodeGroup(text, { first: head.n + 1, prev: head.hash });
          head = { n: group.last, hash: group.hash };
          yield { group, text };
        }
      }
    },
  };
}
