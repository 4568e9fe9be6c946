/** Errors over HTTP: one dual envelope, `error` for OpenAI clients and `detail.error` for Routstr clients. */
import type { ServerResponse } from 'node:http';
import { type ErrorCode, NodeError } from '../base/error.ts';
import type { RequestId } from '../base/id.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { NO_STORE, replyJson } from './reply.ts';
import { endStream } from './stream.ts';

/** Body of a refusal: `{error:{message,type,param,code,metadata?}, detail, request_id}`. */
export function errorBody(error: NodeError, id: RequestId): Record<string, unknown> {
  const { param, metadata, legacyDetail } = error.options;
  const body = {
    message: error.message,
    type: error.type,
    param: param ?? null,
    code: error.wireCode,
    ...(metadata ? { metadata } : {}),
  };
  return { error: body, detail: legacyDetail ?? { error: body }, request_id: id };
}

/** Anything thrown becomes a NodeError; what is not one of ours says nothing about the inside. */
export function toNodeError(error: unknown, log: Logger, id: RequestId): NodeError {
  if (error instanceof NodeError) return error;
  log.error('http.request.failed', { request_id: id, error: errorKind(error) });
  return new NodeError(
    'internal_error',
    'Internal error. Nothing more was charged; quote the request id to the operator.',
  );
}

export function replyError(res: ServerResponse, id: RequestId, error: NodeError): void {
  // A stream may have begun with its head and comments only.
  if (res.headersSent) endStream(res, id, error);
  else replyJson(res, id, error.status, errorBody(error, id), [...NO_STORE, ...errorHeaders(error)]);
}

/** Refusals of a signed request, which a key would not have met. */
const SIGNED: ReadonlySet<string> = new Set<ErrorCode>(['unauthorized', 'replayed']);

function errorHeaders(error: NodeError): string[] {
  const headers: string[] = [];
  const { retryAfterMs, change, metadata } = error.options;
  if (retryAfterMs !== undefined) {
    headers.push(
      'retry-after',
      String(Math.ceil(retryAfterMs / 1000)),
      'retry-after-ms',
      String(Math.ceil(retryAfterMs)),
    );
  }
  // A client that sent its token again after this would be told that it is spent.
  const redeemed = change !== undefined || metadata?.['refund_available'] === true;
  if (!error.shouldRetry || redeemed) headers.push('x-should-retry', 'false');
  if (error.status === 401) headers.push('www-authenticate', SIGNED.has(error.code) ? 'Nostr' : 'Bearer');
  if (change) headers.push('x-cashu', change.reveal());
  else if (error.code === 'payment_required' && typeof metadata?.['payment_request'] === 'string') {
    headers.push('x-cashu', metadata['payment_request']);
  }
  return headers;
}
