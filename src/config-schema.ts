/** Schema of node.yaml: every key with its default and its meaning. Validation, JSON Schema and docs come from here. */
import { z } from 'zod';
import { LIMITS } from './base/limits.ts';
import { pricing, secretReference, upstream, whole } from './config-sale.ts';

const NPUB = /^npub1[02-9ac-hj-np-z]{58}$/;

const seconds = (max: number) => whole.min(1).max(max);

const contact = z
  .strictObject({
    npub: z.string().regex(NPUB, 'must be a public key, npub1…').optional().describe('Operator on Nostr.'),
    email: z
      .string()
      .regex(/^[^\s@]+@[^\s@]+$/, 'must be an e-mail address')
      .optional()
      .describe('Published.'),
    website: z
      .url({ protocol: /^https?$/, error: 'must be a URL' })
      .optional()
      .describe('Published.'),
  })
  .prefault({})
  .describe('How buyers reach the operator. Everything here is published.');

const mint = z.strictObject({
  url: z.string().describe('Base URL of the mint; https, or http together with allow_private.'),
  unit: z.enum(['sat', 'msat']).default('sat').describe('Unit of the ecash accepted from this mint.'),
  allow_private: z.boolean().default(false).describe('Lets this mint live on loopback or a local network.'),
});

const limits = z
  .strictObject({
    max_connections: whole
      .min(1)
      .max(65_535)
      .default(LIMITS.http.connectionsMax)
      .describe('Open client connections; further ones are refused, so that memory stays bounded.'),
    first_byte_seconds: seconds(3_600)
      .default(LIMITS.upstream.firstByteTimeoutMs / 1000)
      .describe('Patience with an upstream before the first byte; reasoning models think long.'),
    idle_seconds: seconds(3_600)
      .default(LIMITS.upstream.idleTimeoutMs / 1000)
      .describe('Patience with an upstream that falls silent in the middle of an answer.'),
    requests_per_minute: whole
      .min(0)
      .max(10_000_000)
      .default(LIMITS.rateLimit.requestsPerMinute)
      .describe('Paid requests of one key, a tenth of them at once; 0 switches it off.'),
    identical_requests: whole
      .min(0)
      .max(1_000_000)
      .refine((value) => value !== 1, 'must be 0 or more than 1')
      .default(LIMITS.loop.identicalRequests)
      .describe(
        'So many equal requests of one key within a minute are refused as a loop; 0 switches it off.',
      ),
    drain_seconds: seconds(600)
      .default(LIMITS.http.drainMs / 1000)
      .describe('How long running answers may finish after a stop signal.'),
  })
  .prefault({})
  .describe('The bounds an operator may have a reason to move. All others are fixed.');

const ledger = z
  .strictObject({
    mirror: z
      .union([z.literal(false), z.string().min(1)], { error: 'must be a directory, or false for none' })
      .optional()
      .describe(
        'Directory of the second copy of the journal, best on another disk; false for none. Default: mirror in data_dir.',
      ),
  })
  .prefault({})
  .describe('How the books are kept.');

export const settingsSchema = z.strictObject({
  name: z.string().min(1).max(100).default('A Routstr node').describe('Shown to buyers.'),
  about: z.string().max(2_000).default('').describe('One or two sentences for buyers.'),
  contact,
  public_urls: z
    .array(z.string())
    .max(10)
    .default([])
    .describe('Addresses that buyers use, clearnet and .onion, without /v1. They are announced.'),
  data_dir: z
    .string()
    .min(1)
    .default('./data')
    .describe('Ledger, seed and keys. Back it up; share it with no one.'),
  ledger,
  listen: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1').describe('Address to listen on; 0.0.0.0 for all.'),
      port: whole.min(0).max(65_535).default(8000).describe('0 takes any free port.'),
      trust_proxy: z
        .boolean()
        .default(false)
        .describe('A proxy of your own stands in front: the last X-Forwarded-For entry is the client.'),
    })
    .prefault({})
    .describe('Where the HTTP server listens. TLS belongs to a reverse proxy in front.'),
  identity: z
    .strictObject({
      nsec: secretReference
        .optional()
        .describe('The Nostr key, env:NAME or file:PATH. Default: the file nsec in data_dir, made by init.'),
    })
    .prefault({})
    .describe('Who the node is on Nostr.'),
  relays: z
    .union([z.string().min(1), z.array(z.unknown())], {
      error: 'must be the path of a JSON file or a list of relays',
    })
    .default('./relays.json')
    .describe('Path of relays.json, or the same list written here.'),
  mints: z
    .array(mint)
    .min(1)
    .max(50)
    .describe('Mints whose ecash is accepted. You trust them with the money you hold.'),
  upstreams: z.array(upstream).max(100).default([]).describe('The AI servers whose answers are sold.'),
  pricing,
  announce: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Publish this node on the relays.'),
      id: z
        .string()
        .min(1)
        .max(64)
        .optional()
        .describe(
          'Identifier among the announcements of this key. Default: the one in use, else from the key.',
        ),
      heartbeat_seconds: whole
        .min(60)
        .max(86_400)
        .default(3_600)
        .describe('The announcement is signed anew this often, and expires after three times as long.'),
    })
    .prefault({})
    .describe('The public announcement.'),
  dm: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Serve requests in encrypted direct messages.'),
      chat: z.boolean().default(true).describe('Answer plain chat messages too.'),
    })
    .prefault({})
    .describe('Requests over Nostr.'),
  payout: z
    .strictObject({
      lightning_address: z
        .string()
        .regex(
          /^([^\s@]+@[^\s@]+\.[^\s@]+|(lightning:)?lnurl1[02-9ac-hj-np-z]+)$/i,
          'must be a lightning address, name@host, or an LNURL',
        )
        .describe('Where earnings go.'),
      threshold_sats: whole.min(1).default(10_000).describe('Pay out when this much has been earned.'),
    })
    .optional()
    .describe('Automatic payout of earnings. Leave out to keep them in the node.'),
  lightning: z
    .strictObject({
      allow_private: z
        .boolean()
        .default(false)
        .describe('Lets Lightning addresses lead to this machine or a local network, by http: for tests.'),
    })
    .prefault({})
    .describe('Refunds and payouts over Lightning.'),
  admin: z
    .strictObject({
      public: z.boolean().default(false).describe('Offer the operator pages on the public listener too.'),
    })
    .prefault({})
    .describe('Operator access.'),
  limits,
});

/** The file as it is after validation: its own key names, all defaults filled in. */
export type Settings = z.infer<typeof settingsSchema>;

/** JSON Schema of the file as an operator writes it, for editors and `config schema`. */
export function settingsJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(settingsSchema, { io: 'input' });
  return { ...schema, title: 'routstr-node configuration' } as JsonSchema;
}

/** The part of JSON Schema that this program reads again. */
export interface JsonSchema {
  type?: string;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  [keyword: string]: unknown;
}
