/** The Idempotency-Key of a request, and the hash that tells whether a later request is the same one. */
import type { IncomingMessage } from 'node:http';
import { NodeError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { RequestKey } from '../gateway/idempotency.ts';

/** Undefined without the header. Throws invalid_idempotency_key. */
export function idempotencyKey(req: IncomingMessage): string | undefined {
  const value = req.headers['idempotency-key'];
  if (value === undefined) return undefined;
  if (
    typeof value !== 'string' ||
    value.length > LIMITS.idempotency.keyCharsMax ||
    !/^[\x20-\x7e]+$/.test(value)
  ) {
    throw new NodeError('invalid_idempotency_key', 'Idempotency-Key must be 1 to 255 printable characters.');
  }
  return value;
}

/** @param route tells apart what the same fields may be sent to; both path families are one route. */
export function requestKey(
  req: IncomingMessage,
  route: string,
  fields: Record<string, unknown>,
): RequestKey | undefined {
  const key = idempotencyKey(req);
  return key === undefined ? undefined : { key, request: sha256Hex(`${route}\n${JSON.stringify(fields)}`) };
}

export const replayedHeader = (replayed: boolean): readonly string[] =>
  replayed ? ['idempotent-replayed', 'true'] : [];
