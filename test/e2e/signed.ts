/** A client with a Nostr key: stock nostr-tools signs, nothing of the node's own code. */
import { randomUUID } from 'node:crypto';
import { type EventTemplate, type NostrEvent, finalizeEvent, generateSecretKey } from 'nostr-tools/pure';
import { sha256Hex } from '../../src/base/id.ts';

export const newSecret = generateSecretKey;
export const unixNow = (): number => Math.floor(Date.now() / 1000);

export interface SignedRequest {
  url: string;
  method?: string;
  body?: string;
}

/** The event that NIP-98 asks for; `change` makes another one of it before it is signed. */
export function authEvent(
  secret: Uint8Array,
  { url, method = 'GET', body }: SignedRequest,
  change: (template: EventTemplate) => EventTemplate = (template) => template,
): NostrEvent {
  const tags = [
    ['u', url],
    ['method', method],
    ...(body === undefined ? [] : [['payload', sha256Hex(body)]]),
    ['nonce', randomUUID()],
  ];
  return finalizeEvent(change({ kind: 27235, created_at: unixNow(), tags, content: '' }), secret);
}

export const asHeader = (event: unknown): { authorization: string } => ({
  authorization: `Nostr ${Buffer.from(JSON.stringify(event)).toString('base64')}`,
});

export const signed = (...args: Parameters<typeof authEvent>): { authorization: string } =>
  asHeader(authEvent(...args));
