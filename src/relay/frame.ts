/** Frames that a relay may send (NIP-01, NIP-42), read from untrusted text. */
import { z } from 'zod';
import { eventSchema } from './event.ts';

const subscription = z.string().max(64);

const frameSchema = z.union([
  z.tuple([z.literal('EVENT'), subscription, eventSchema]),
  z.tuple([z.literal('EOSE'), subscription]).rest(z.unknown()),
  z.tuple([z.literal('CLOSED'), subscription, z.string()]).rest(z.unknown()),
  z.tuple([z.literal('OK'), z.string(), z.boolean()]).rest(z.unknown()),
  z.tuple([z.literal('AUTH'), z.string().max(1_024)]).rest(z.unknown()),
]);

export type Frame = z.infer<typeof frameSchema>;

/** Undefined for everything else, notices included: nothing here reads them. */
export function readFrame(text: string): Frame | undefined {
  const read = frameSchema.safeParse(parsed(text));
  return read.success ? read.data : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
