/** Bodies of dmi/1 frames: as they are, deflated, or in parts. Deflating happens off the main thread. */
import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { PartFrame } from './dmi.ts';

const deflate = promisify<Uint8Array, Buffer>(deflateRaw);
const inflate = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw);
const { dmi } = LIMITS;

/** What goes into a frame, and the parts that follow it where it did not fit. */
export interface PackedBody {
  fields: { body?: string; z?: string; parts?: { n: number; bytes: number; sha256: string } };
  parts: Omit<PartFrame, 'id'>[];
}

/**
 * @param room bytes of base64 that a frame has left, and that a part may have; for relays that take less than usual.
 * Throws RangeError beyond LIMITS.dmi.bodyBytesMax or partsMax.
 */
export async function packBody(
  bytes: Buffer,
  room: { inFrame?: number; inPart?: number } = {},
): Promise<PackedBody> {
  const { inFrame = dmi.bodyCharsInFrame, inPart = dmi.partCharsMax } = room;
  if (bytes.length > dmi.bodyBytesMax)
    throw new RangeError('the body is larger than a direct message may carry');
  if (bytes.length <= dmi.plainBytesMax && isText(bytes))
    return { fields: { body: bytes.toString('utf8') }, parts: [] };
  const deflated = await deflate(bytes);
  const whole = deflated.toString('base64');
  if (whole.length <= inFrame) return { fields: { z: whole }, parts: [] };
  // Each part is base64 of its own, so its bytes must be a multiple of three for the sum to come out.
  const step = 3 * Math.floor(inPart / 4);
  const n = Math.ceil(deflated.length / step);
  if (n > dmi.partsMax) throw new RangeError('the body needs more parts than a direct message may have');
  const parts = Array.from({ length: n }, (_, i) => ({
    t: 'part' as const,
    i,
    z: deflated.toString('base64', i * step, (i + 1) * step),
  }));
  return { fields: { parts: { n, bytes: bytes.length, sha256: sha256Hex(bytes) } }, parts };
}

/** Bytes of a body that is in the frame itself; an empty one where there is none. Throws for what is not deflate. */
export async function unpackBody(fields: {
  body?: string | undefined;
  z?: string | undefined;
}): Promise<Buffer> {
  if (fields.z === undefined) return Buffer.from(fields.body ?? '');
  return inflated(Buffer.from(fields.z, 'base64'), dmi.bodyBytesMax);
}

export interface PartsInbox {
  /** Takes a part in any order; the first one with a number counts. False for a number that was not announced. */
  take: (part: { i: number; z: string }) => boolean;
  missing: () => number[];
  /** The body, once nothing is missing. Throws where it is not the one that was announced. */
  body: () => Promise<Buffer>;
}

export function createPartsInbox(announced: { n: number; bytes: number; sha256: string }): PartsInbox {
  const got = new Map<number, Buffer>();
  const numbers = Array.from({ length: announced.n }, (_, i) => i);
  return {
    take: ({ i, z }) => {
      if (i >= announced.n) return false;
      if (!got.has(i)) got.set(i, Buffer.from(z, 'base64'));
      return true;
    },
    missing: () => numbers.filter((i) => !got.has(i)),
    body: async () => {
      const bytes = await inflated(
        Buffer.concat(numbers.map((i) => got.get(i) ?? Buffer.alloc(0))),
        announced.bytes,
      );
      if (bytes.length !== announced.bytes || sha256Hex(bytes) !== announced.sha256) {
        throw new RangeError('the parts do not make up the body that was announced');
      }
      return bytes;
    },
  };
}

/** A small text may inflate to gigabytes; zlib stops at the bound. Zero is no bound to it, so it gets at least one. */
const inflated = (deflated: Buffer, bytesMax: number): Promise<Buffer> =>
  inflate(deflated, { maxOutputLength: Math.max(1, bytesMax) });

const isText = (bytes: Buffer): boolean => Buffer.from(bytes.toString('utf8')).equals(bytes);
