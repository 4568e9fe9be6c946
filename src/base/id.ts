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

/** Random bytes cut from larger draws: asking the system for twelve bytes costs more than an id is worth. */
function createPooledRandom(poolBytes: number): Random {
  let pool: Uint8Array = new Uint8Array(0);
  let at = 0;
  return (bytes) => {
    if (at + bytes > pool.length) {
      pool = randomBytes(Math.max(poolBytes, bytes));
      at = 0;
    }
    at += bytes;
    return pool.subarray(at - bytes, at);
  };
}
const pooledRandom = createPooledRandom(4_096);

export const newRequestId = (random: Random = pooledRandom): RequestId =>
  `req_${hex(random(12))}` as RequestId;
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
