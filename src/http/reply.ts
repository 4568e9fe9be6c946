/** Replies: every byte that leaves over HTTP starts here, with the headers that each answer carries. */
import type { ServerResponse } from 'node:http';
import type { RequestId } from '../base/id.ts';

const EXPOSED = [
  'x-cashu',
  'x-request-id',
  'request-id',
  'x-routstr-request-id',
  'x-routstr-cost-msats',
  'x-routstr-cost-usd',
  'x-routstr-input-cost-msats',
  'x-routstr-output-cost-msats',
  'x-balance-msats',
  'idempotent-replayed',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
  'www-authenticate',
  'etag',
  'allow',
].join(', ');

/** Headers of every answer as a flat list: the form that node writes without building objects. */
export function commonHeaders(id: RequestId): string[] {
  return [
    'access-control-allow-origin',
    '*',
    'access-control-expose-headers',
    EXPOSED,
    'x-content-type-options',
    'nosniff',
    'x-request-id',
    id,
    'request-id',
    id,
    'x-routstr-request-id',
    id,
  ];
}

/** Sends a complete answer; text leaves in one write together with the head. `extra` is a flat list of names and values. */
export function reply(
  res: ServerResponse,
  id: RequestId,
  status: number,
  contentType: string,
  body: string | Buffer,
  extra: readonly string[] = [],
): void {
  if (res.headersSent || res.destroyed) return;
  const headers = commonHeaders(id);
  headers.push('content-type', contentType, 'content-length', String(Buffer.byteLength(body)), ...extra);
  res.writeHead(status, headers);
  res.end(res.req.method === 'HEAD' ? undefined : body);
}

/** 304: no body, and no length, which would be taken for the length of what the client has. */
export function replyUnchanged(res: ServerResponse, id: RequestId, extra: readonly string[]): void {
  res.writeHead(304, [...commonHeaders(id), ...extra]);
  res.end();
}

export const JSON_TYPE = 'application/json; charset=utf-8';

export function replyJson(
  res: ServerResponse,
  id: RequestId,
  status: number,
  value: unknown,
  extra: readonly string[] = [],
): void {
  reply(res, id, status, JSON_TYPE, JSON.stringify(value), extra);
}

/** Answers about money are never cached anywhere. */
export const NO_STORE: readonly string[] = ['cache-control', 'no-store'];
