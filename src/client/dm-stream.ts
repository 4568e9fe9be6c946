/** createDmStream: puts data frames of one answer in order, whatever was lost, doubled or overtaken on the way. */
import { createHash } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import type { DataFrame } from '../protocol/dmi.ts';
import { unpackBody } from '../protocol/dmi-body.ts';

/** One event of a stream: `data` is its text, `event` its name if it has one. */
export interface DmChunk {
  event?: string;
  data: string;
}

export interface DmStream {
  /** False for what is known already. */
  take: (frame: DataFrame) => boolean;
  /** Says how many frames there are, and the digest of their texts in a row. */
  end: (last: number, sha256: string | undefined) => void;
  /** The first number that is missing while a later one is there, or while the end is known. */
  missing: () => number | undefined;
  /** Whether every frame up to the end is there. */
  complete: () => boolean;
  /** The next event with a text, in order; undefined if it is not there yet. Throws DmDamage for what is not what was sent. */
  next: () => Promise<DmChunk | undefined>;
}

export class DmDamage extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DmDamage';
  }
}

export function createDmStream(): DmStream {
  const { aheadMax, aheadBytesMax } = LIMITS.ask;
  const frames = new Map<number, DataFrame>();
  /** Frames without text say that the node is there; the number of one may be given to real text later. */
  const empty = new Set<number>();
  const hash = createHash('sha256');
  let bytes = 0;
  let at = 0;
  let highest = -1;
  let last: number | undefined;
  let digest: string | undefined;
  let checked = false;
  const has = (seq: number): boolean =>
    frames.has(seq) || (empty.has(seq) && (seq < highest || last !== undefined));

  function missing(): number | undefined {
    const end = last ?? highest + 1;
    for (let seq = at; seq < end; seq += 1) if (!has(seq)) return seq;
    return undefined;
  }

  return {
    take: (frame) => {
      const { seq, d, z } = frame;
      const size = (d ?? z ?? '').length;
      const isFull = frames.size + empty.size >= aheadMax || bytes + size > aheadBytesMax;
      // There is always room for the one that everything waits for.
      if (seq < at || frames.has(seq) || (isFull && seq !== at)) return false;
      if (d === undefined && z === undefined) {
        empty.add(seq);
        return true;
      }
      frames.set(seq, frame);
      bytes += size;
      highest = Math.max(highest, seq);
      return true;
    },
    end: (count, sha256) => {
      last = count;
      digest = sha256;
    },
    missing,
    complete: () => last !== undefined && missing() === undefined,
    next: async () => {
      for (;;) {
        while (!frames.has(at) && has(at)) empty.delete(at++);
        const frame = frames.get(at);
        if (frame === undefined) {
          if (last !== undefined && at >= last) checkDigest();
          return undefined;
        }
        frames.delete(at);
        bytes -= (frame.d ?? frame.z ?? '').length;
        at += 1;
        const data = await textOf(frame);
        hash.update(data);
        // Without a text it only says that the node is still there.
        if (data !== '') return { data, ...(frame.e === undefined ? {} : { event: frame.e }) };
      }
    },
  };

  function checkDigest(): void {
    if (checked) return;
    checked = true;
    if (digest !== undefined && hash.digest('hex') !== digest) {
      throw new DmDamage('the stream is not the one that the node sent');
    }
  }
}

async function textOf(frame: DataFrame): Promise<string> {
  try {
    return (await unpackBody({ body: frame.d, z: frame.z })).toString('utf8');
  } catch (cause) {
    throw new DmDamage(`a frame of the stream cannot be read: ${(cause as Error).name}`);
  }
}
