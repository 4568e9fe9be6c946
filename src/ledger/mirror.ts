/** Mirror: every journal group once more, appended to plain files that outlive whatever may happen to the database. */
import { type FileHandle, mkdir, open, truncate, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { refuse } from './database.ts';
import { SYNCED, createSynced, writeAll } from './files.ts';
import type { Head } from './head.ts';
import { type Group, decodeGroup } from './journal.ts';
import {
  type MirrorHeader,
  encodeRecord,
  mirrorFileName,
  mirrorFiles,
  readHeader,
  readRecords,
} from './mirror-file.ts';

export interface Mirror {
  /** On disk when it resolves. One at a time, each following the one before it. */
  append: (text: string, head: Head) => Promise<void>;
  close: () => Promise<void>;
}

/** How far the files go. */
export interface MirrorTail extends Head {
  /** Newest file; undefined where there is none yet. */
  path: string | undefined;
  /** The newest group, where the newest file has one, and its place in that file. */
  last: { group: Group; text: string; start: number } | undefined;
  /** Files that were only begun when the process died; nothing acknowledged is in them. */
  begun: string[];
}

/** Finds the end, whole records only. Refuses files of another ledger. */
export async function findTail(dir: string, genesis: string): Promise<MirrorTail> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const start = sha256Hex(genesis);
  const files = await mirrorFiles(dir);
  const begun: string[] = [];
  for (const path of files.toReversed()) {
    const { records } = await readRecords(path);
    const [opening, ...rest] = records;
    if (opening === undefined) {
      begun.push(path);
      continue;
    }
    const header = readHeader(opening.text);
    if (header.genesis !== genesis) refuse(`${dir} holds the mirror of another ledger`);
    const newest = rest.at(-1);
    if (newest === undefined) return { ...header.after, path, last: undefined, begun };
    const first = Number(/^{"v":1,"first":(\d+)/.exec(newest.text)?.[1]);
    const group = decodeGroup(newest.text, { first });
    const last = { group, text: newest.text, start: newest.start };
    return { n: group.last, hash: group.hash, path, last, begun };
  }
  return { n: 0, hash: start, path: undefined, last: undefined, begun };
}

/**
 * Opens the files for appending. The newest group is cut off and has to be appended again: after a failed sync a
 * read may show what never reached the disk.
 */
export async function openMirror(
  dir: string,
  genesis: string,
  tail: MirrorTail,
): Promise<{ mirror: Mirror; head: Head }> {
  const { path, last, begun } = tail;
  let head: Head = last ? { n: last.group.first - 1, hash: last.group.prev } : { n: tail.n, hash: tail.hash };
  let file: FileHandle | undefined;
  let size = 0;

  async function begin(): Promise<void> {
    await file?.close();
    file = undefined;
    const header: MirrorHeader = { format: 'routstr-node mirror', v: 1, genesis, after: head };
    const bytes = encodeRecord(JSON.stringify(header));
    file = await createSynced(join(dir, mirrorFileName(head.n + 1)), bytes);
    size = bytes.length;
  }

  for (const unfinished of begun) await unlink(unfinished);
  if (path !== undefined) {
    size = last?.start ?? (await readRecords(path)).records[0]?.end ?? 0;
    await truncate(path, size);
    file = await open(path, SYNCED);
    await file.sync();
  }

  return {
    head,
    mirror: {
      append: async (text, next) => {
        if (file === undefined || size >= LIMITS.ledger.mirrorFileBytes) await begin();
        const bytes = encodeRecord(text);
        if (file !== undefined) await writeAll(file, bytes, size);
        size += bytes.length;
        head = next;
      },
      close: async () => {
        await file?.close();
      },
    },
  };
}
