/** Entries of relays.json: schema, defaults and messages that name the entry at fault. */
import { z } from 'zod';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { RelayConfig } from './relay.ts';

const relayUrl = z
  .string()
  .max(512)
  .transform((text, context) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const plain = url !== undefined && url.username === '' && url.password === '' && url.hash === '';
    if (plain && (url.protocol === 'ws:' || url.protocol === 'wss:')) {
      return url.pathname === '/' && url.search === '' ? url.origin : url.href;
    }
    context.addIssue({
      code: 'custom',
      message: 'must be a ws:// or wss:// address without user and password',
    });
    return z.NEVER;
  });

const role = z.enum(['announce', 'discover', 'dm', 'rpc', 'index']);

const entry = z.strictObject({
  url: relayUrl.describe('ws:// or wss:// address'),
  roles: z.array(role).min(1).describe('what this relay is used for'),
  perMinute: z.number().positive().max(6_000).exactOptional().describe('events published per minute'),
  burst: z.int().positive().max(1_000).exactOptional().describe('events published at once'),
  auth: z.boolean().exactOptional().describe('answer NIP-42 challenges of this relay'),
  maxEventBytes: z.int().positive().exactOptional().describe('larger events are not sent'),
});

/** A bare address stands for a relay to announce on and to discover from. */
const shorthand = relayUrl.transform((url): RelayConfig => ({ url, roles: ['announce', 'discover'] }));

/** relays.json: a list of addresses or entries, each address once. */
const relaysSchema = z
  .array(z.union([shorthand, entry]))
  .max(LIMITS.relay.relaysMax, `at most ${LIMITS.relay.relaysMax} relays`)
  .superRefine((relays, context) => {
    const seen = new Set<string>();
    relays.forEach((relay, index) => {
      if (seen.has(relay.url)) {
        context.addIssue({ code: 'custom', path: [index, 'url'], message: 'is listed twice' });
      }
      seen.add(relay.url);
    });
  });

/** Reads a parsed relays.json. Throws NodeError('invalid_request') naming the first entry at fault. */
export function parseRelays(json: unknown): RelayConfig[] {
  if (!Array.isArray(json)) throw new NodeError('invalid_request', 'relays must be a list of relay entries.');
  for (const [index, item] of json.entries()) {
    const read = typeof item === 'string' ? shorthand.safeParse(item) : entry.safeParse(item);
    if (!read.success) throw fault(index, nameOf(item), read.error);
  }
  const all = relaysSchema.safeParse(json);
  if (all.success) return all.data;
  const index = all.error.issues[0]?.path[0];
  if (typeof index !== 'number') throw new NodeError('invalid_request', `relays: ${first(all.error)}.`);
  throw fault(index, nameOf(json[index]), all.error);
}

const first = (error: z.ZodError): string => error.issues[0]?.message ?? 'not understood';

function fault(index: number, name: string, error: z.ZodError): NodeError {
  const field = error.issues[0]?.path.filter((part) => typeof part === 'string').join('.') ?? '';
  const where = field === '' ? '' : ` ${field}:`;
  return new NodeError('invalid_request', `relays entry ${index + 1} (${name}):${where} ${first(error)}.`);
}

/** Enough to find the entry by; user, password and query of an address may be secrets and are left out. */
function nameOf(item: unknown): string {
  const url = typeof item === 'object' && item !== null ? (item as { url?: unknown }).url : item;
  if (typeof url !== 'string') return 'without url';
  const named = url.replace(/^(\w+:\/\/)?.*@/s, '$1');
  return named.split(/[?#]/, 1).join('').slice(0, 100);
}
