/** NIP-11: what a relay says about its own limits. Asked only of relays that the operator listed. */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { RelayLimits } from './relay.ts';

/** Numbers that make no sense are left out one by one; the rest still counts. */
const bound = z.int().positive().optional().catch(undefined);

const documentSchema = z.object({
  limitation: z
    .object({
      max_message_length: bound,
      max_event_tags: bound,
      max_content_length: bound,
    })
    .optional()
    .catch(undefined),
});

/**
 * Undefined if the relay has no document, or none that can be read within the bounds: one address, no redirects,
 * LIMITS.relay.documentTimeoutMs, LIMITS.relay.documentBytesMax.
 */
export async function fetchLimits(
  url: string,
  options: { clock: Clock; signal: AbortSignal },
): Promise<RelayLimits | undefined> {
  const { clock, signal } = options;
  const late = new AbortController();
  const done = new AbortController();
  void clock.sleep(LIMITS.relay.documentTimeoutMs, done.signal).then(() => late.abort());
  try {
    const response = await fetch(url.replace(/^ws/, 'http'), {
      headers: { accept: 'application/nostr+json' },
      redirect: 'error',
      signal: AbortSignal.any([signal, late.signal]),
    });
    // Before the body, which may take its time.
    const ahead = Date.parse(response.headers.get('date') ?? '') - clock.now();
    const text = response.ok ? await bounded(response) : undefined;
    return {
      ...(text === undefined ? {} : read(text)),
      ...(Number.isFinite(ahead) ? { clockAheadMs: ahead } : {}),
    };
  } catch {
    // A relay need not have this document; without it the usual limits hold.
    return undefined;
  } finally {
    done.abort();
    late.abort();
  }
}

function read(text: string): RelayLimits {
  const parsed = documentSchema.safeParse(JSON.parse(text));
  const said = parsed.success ? parsed.data.limitation : undefined;
  if (said === undefined) return {};
  return {
    ...(said.max_message_length === undefined ? {} : { messageBytes: said.max_message_length }),
    ...(said.max_event_tags === undefined ? {} : { tags: said.max_event_tags }),
    ...(said.max_content_length === undefined ? {} : { contentChars: said.max_content_length }),
  };
}

/** Undefined if the body is too long; the rest of it is not read. */
async function bounded(response: Response): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += (part as Uint8Array).byteLength;
    if (bytes > LIMITS.relay.documentBytesMax) return undefined;
    parts.push(part as Uint8Array);
  }
  return Buffer.concat(parts).toString('utf8');
}
