/**
 * dmi/1: HTTP of this API as frames in encrypted direct messages. Each frame is the JSON content of one rumor of kind
 * 28421; this file says what a frame may look like, in both directions. Unknown fields are ignored.
 */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';

const { dmi } = LIMITS;
const text = (charsMax: number) => z.string().max(charsMax);
/** One word, as it stands in a header of HTTP. */
const credential = z
  .string()
  .max(dmi.frameBytesMax)
  .regex(/^[\x21-\x7e]+$/);
const msats = z.int().nonnegative();
/** Chosen at random by the client; with its key it makes a request happen once. */
const id = z.string().regex(/^[0-9a-f]{32}$/);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const partNumbers = z.array(z.int().nonnegative().lt(dmi.partsMax)).max(dmi.partsMax);

/** A body that comes in parts: their number, and length and sha256 of the body as it was before deflating. */
const parts = z.object({
  n: z.int().min(1).max(dmi.partsMax),
  bytes: z.int().nonnegative().max(dmi.bodyBytesMax),
  sha256: digest,
});

/** At most one of: the text itself, base64 of its raw deflate, or parts that follow. */
const body = {
  body: text(dmi.frameBytesMax).optional(),
  z: text(dmi.frameBytesMax).optional(),
  parts: parts.optional(),
};

const headers = z
  .record(text(64), text(1_024))
  .refine((all) => Object.keys(all).length <= 16, 'too many headers');

const partFrame = z.object({
  t: z.literal('part'),
  id,
  i: z.int().nonnegative().lt(dmi.partsMax),
  z: text(dmi.frameBytesMax),
});

const requestFrame = z
  .object({
    v: z.literal(1),
    t: z.literal('req'),
    id,
    /** Unix seconds after which the request must not begin any more. */
    exp: z.int().nonnegative(),
    method: z.enum(['GET', 'POST', 'DELETE']),
    /** With its query, as in HTTP. */
    path: z
      .string()
      .max(2_048)
      .regex(/^\/(?!\/)[\x21-\x7e]*$/)
      .refine((path) => !path.includes('#')),
    h: headers.optional(),
    ...body,
    /** Absent: the account that is bound to the key that sealed this. */
    auth: z.union([z.object({ bearer: credential }), z.object({ cashu: credential })]).optional(),
    /** Refused where the answer could cost more. */
    max_msat: msats.optional(),
    /** Frames as the answer is made, on relays where that is welcome. */
    stream: z
      .object({
        every_ms: z.int().positive().max(60_000).optional(),
        max_events: z.int().positive().max(10_000).optional(),
      })
      .optional(),
    /** Every frame in a wrap that relays store. */
    durable: z.boolean().optional(),
  })
  .refine((frame) => bodies(frame) <= 1, 'one body at most');

export const clientFrame = z.discriminatedUnion('t', [
  requestFrame,
  partFrame,
  z.object({ t: z.literal('cancel'), id }),
  /** The result arrived, and with it what it is worth. */
  z.object({ t: z.literal('ack'), id }),
  /** Asks again for state and result, for data from a number on, or for parts that are missing. */
  z.object({
    t: z.literal('get'),
    id,
    from: z.int().nonnegative().optional(),
    need_parts: partNumbers.optional(),
  }),
  z.object({ t: z.literal('ping'), n: z.int().nonnegative() }),
]);

const nodeFrame = z.discriminatedUnion('t', [
  /** It is being worked on. `est_msat`: set aside for it. `need_parts`: those that did not arrive yet. */
  z.object({
    t: z.literal('acc'),
    id,
    est_msat: msats.optional(),
    bal_msat: msats.optional(),
    need_parts: partNumbers.optional(),
  }),
  /** One chunk of a stream, numbered from 0. Empty: the node is still there. `e`: name of the event, if it has one. */
  z.object({
    t: z.literal('data'),
    id,
    seq: z.int().nonnegative(),
    e: text(dmi.eventNameCharsMax).optional(),
    d: text(dmi.frameBytesMax).optional(),
    z: text(dmi.frameBytesMax).optional(),
  }),
  /** The end. `last`: data frames of the stream; `sha256`: of their texts in a row. `change` is to be acked. */
  z
    .object({
      t: z.literal('res'),
      id,
      status: z.int().min(200).max(599),
      h: headers.optional(),
      ...body,
      last: z.int().nonnegative().optional(),
      sha256: digest.optional(),
      cost_msat: msats,
      bal_msat: msats.optional(),
      usage: z.record(z.string(), z.unknown()).optional(),
      change: text(dmi.frameBytesMax).optional(),
    })
    .refine((frame) => bodies(frame) <= 1, 'one body at most'),
  /** A refusal. `z`: the body that HTTP would give. */
  z.object({
    t: z.literal('err'),
    id,
    status: z.int().min(400).max(599),
    code: text(64),
    message: text(2_048),
    need_msat: msats.optional(),
    pay: z
      .object({
        mints: z.array(text(512)).max(64),
        unit: text(16),
        amount: msats,
        bolt11: text(4_096).optional(),
      })
      .optional(),
    retry_after: z.number().nonnegative().optional(),
    cost_msat: msats.optional(),
    body: text(dmi.frameBytesMax).optional(),
    z: text(dmi.frameBytesMax).optional(),
  }),
  partFrame,
  z.object({ t: z.literal('pong'), n: z.int().nonnegative() }),
]);

export type ClientFrame = z.infer<typeof clientFrame>;
export type NodeFrame = z.infer<typeof nodeFrame>;
export type RequestFrame = Extract<ClientFrame, { t: 'req' }>;
export type PartFrame = Extract<ClientFrame, { t: 'part' }>;
export type ResultFrame = Extract<NodeFrame, { t: 'res' }>;
export type ErrorFrame = Extract<NodeFrame, { t: 'err' }>;
export type DataFrame = Extract<NodeFrame, { t: 'data' }>;

export type FrameRead<Frame> =
  | { frame: Frame }
  /** `id` is there where the text at least said which request it is about. */
  | { refused: 'too_large' | 'bad_request' | 'unsupported'; id?: string };

export const readClientFrame = (content: string): FrameRead<ClientFrame> =>
  read(content, clientFrame, CLIENT_TYPES);
export const readNodeFrame = (content: string): FrameRead<NodeFrame> => read(content, nodeFrame, NODE_TYPES);

/** The content of a rumor. Throws RangeError for a frame that no relay would carry. */
export function frameText(frame: ClientFrame | NodeFrame): string {
  const content = JSON.stringify(frame);
  if (Buffer.byteLength(content) > dmi.frameBytesMax) throw new RangeError(`a ${frame.t} frame is too large`);
  return content;
}

const CLIENT_TYPES = ['req', 'part', 'cancel', 'ack', 'get', 'ping'];
const NODE_TYPES = ['acc', 'data', 'res', 'err', 'part', 'pong'];

function read<Frame>(content: string, schema: z.ZodType<Frame>, types: readonly string[]): FrameRead<Frame> {
  if (Buffer.byteLength(content) > dmi.frameBytesMax) return { refused: 'too_large' };
  const value = parsed(content);
  const result = schema.safeParse(value);
  if (result.success) return { frame: result.data };
  const { t, id: named } = (value ?? {}) as { t?: unknown; id?: unknown };
  const refused = typeof t === 'string' && !types.includes(t) ? 'unsupported' : 'bad_request';
  return id.safeParse(named).success ? { refused, id: named as string } : { refused };
}

function parsed(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

const bodies = (frame: { body?: unknown; z?: unknown; parts?: unknown }): number =>
  Number(frame.body !== undefined) + Number(frame.z !== undefined) + Number(frame.parts !== undefined);
