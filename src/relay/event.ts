/** verifyEvent: turns anything a relay sent into an event whose id and signature hold, or undefined. */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import type { NostrEvent } from './relay.ts';
import { verifySignature } from './schnorr.ts';

/** Lower-case only: some implementations also accept upper-case ids, and then one event has two names. */
export const hexOf = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${length}}$`));

export const eventSchema = z.object({
  id: hexOf(64),
  pubkey: hexOf(64),
  created_at: z.int().nonnegative(),
  kind: z.int().min(0).max(65_535),
  tags: z.array(z.array(z.string())).max(LIMITS.relay.tagsMax),
  content: z.string(),
  sig: hexOf(128),
});

/**
 * The check runs on an object made here: libraries keep "already verified" as a mark on the object, which a
 * spread copy with other content would inherit.
 */
export function verifyEvent(event: unknown): NostrEvent | undefined {
  const read = eventSchema.safeParse(event);
  return read.success && verifySignature(read.data) ? read.data : undefined;
}
