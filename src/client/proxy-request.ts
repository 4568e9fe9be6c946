/** What both proxies do with a request of a program on this machine. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { DmRequest } from './dm.ts';
import { sendError } from './proxy-reply.ts';

/** Not yet listening. What `serve` throws becomes the answer. */
export function createLocalServer(
  serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  log: Logger,
): Server {
  return createServer(
    {
      maxHeaderSize: LIMITS.http.headerBytesMax,
      headersTimeout: LIMITS.http.headersTimeoutMs,
      requestTimeout: LIMITS.ask.bodyMs,
    },
    (request, response) => {
      serve(request, response).catch((error: unknown) => {
        const known = error instanceof NodeError;
        if (!known) log.warn('client.proxy.failed', { error: errorKind(error) });
        sendError(response, known ? error : new NodeError('internal_error', 'The proxy failed.'));
      });
    },
  );
}

export function methodOf({ method }: IncomingMessage): DmRequest['method'] {
  if (method === 'GET' || method === 'POST' || method === 'DELETE') return method;
  throw new NodeError('method_not_allowed', 'GET, POST and DELETE are passed on.');
}

/** Throws payload_too_large with `message` beyond `bytesMax`. */
export async function readBody(request: IncomingMessage, bytesMax: number, message: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new NodeError('payload_too_large', message);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const PASSED = [
  'accept',
  'anthropic-beta',
  'anthropic-version',
  'content-type',
  'key-expiry-time',
  'refund-lnurl',
  'x-claim-secret',
];

/** Headers that mean something to a node; nothing else of the local program leaves this machine. */
export const passed = (request: IncomingMessage, more: readonly string[] = []): Record<string, string> =>
  Object.fromEntries(
    [...PASSED, ...more].flatMap((name) => {
      const value = request.headers[name];
      return typeof value === 'string' && value.length <= 1_024 ? [[name, value]] : [];
    }),
  );
