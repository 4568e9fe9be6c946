/** Identifiers and digests. All are lower-case hex or `prefix_` + hex; none of them is a secret. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import * as crypto from 'node:crypto';

declare const brand: unique symbol;
export type AccountId = string & { readonly [brand]: 'AccountId' };
export type RequestId = string & { readonly [brand]: 'RequestId' };
export type OperationId = string & { readonly [brand]: 'OperationId' };

/** Random bytes as a port, so that histories can be replayed. */
export type Random = (bytes: number) => Uint8Array;
export const systemRandom: Random = (bytes) => randomBytes(bytes);

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Digits cut from larger draws: asking the system for twelve bytes costs more than an id is worth. */
function createHexPool(idBytes: number, ids: number): () => string {
  const digits = 2 * idBytes;
  let pool = '';
  let at = 0;
  return () => {
    if (at === pool.length) {
      pool = hex(randomBytes(idBytes * ids));
      at = 0;
    }
    at += digits;
    return pool.slice(at - digits, at);
  };
}
const requestDigits = createHexPool(12, 64);

export const newRequestId = (): RequestId => `req_${requestDigits()}` as RequestId;
export const newOperationId = (random: Random = systemRandom): OperationId =>
  `op_${hex(random(16))}` as OperationId;

/** sha256 as hex. The one-shot form of newer Node versions costs half. */
export const sha256Hex: (data: string | Uint8Array) => string =
  typeof crypto.hash === 'function'
    ? (data) => crypto.hash('sha256', data, 'hex')
    : (data) => createHash('sha256').update(data).digest('hex');

export const hmacHex = (key: Uint8Array, data: string): string =>
  createHmac('sha256', key).update(data).digest('hex');

/** Account of an API key: only this hash is ever stored. */
export const accountOfKey = (apiKey: string): AccountId => sha256Hex(apiKey) as AccountId;

/** Account of a Nostr public key, given as 64 hex digits. No API key has it: none begins with `npub:`. */
export const accountOfPubkey = (pubkey: string): AccountId => sha256Hex(`npub:${pubkey}`) as AccountId;
