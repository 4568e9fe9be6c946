/** Streams over HTTP: bytes leave as they come, comments keep the line alive, a stalled reader counts as gone. */
import type { ServerResponse } from 'node:http';
import type { NodeError } from '../base/error.ts';
import type { RequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Answer } from '../gateway/request.ts';
import { waitsForReader, writeChunk } from './chunked.ts';
import { commonHeaders } from './reply.ts';

const KEEP_ALIVE = Buffer.from(': keepalive\n\n');

export interface OpenStream {
  /** Something else than a comment was written. */
  wrote: () => void;
  /** No more comments. */
  close: () => void;
}

/** Sends the head, then a comment wherever nothing else is written for a while. */
export function openStream(
  res: ServerResponse,
  id: RequestId,
  { status, contentType }: Pick<Answer, 'status' | 'contentType'>,
): OpenStream {
  const headers = commonHeaders(id);
  headers.push(
    'content-type',
    contentType,
    'cache-control',
    'no-cache, no-transform',
    'x-accel-buffering',
    'no',
  );
  res.writeHead(status, headers);
  res.flushHeaders();

  let lastWrite = performance.now();
  const heartbeat = setInterval(() => {
    // Looked at more often than it is due: a look just before the time would else leave twice as long a silence.
    if (performance.now() - lastWrite < LIMITS.http.heartbeatMs || waitsForReader(res)) return;
    lastWrite = performance.now();
    writeChunk(res, KEEP_ALIVE);
  }, LIMITS.http.heartbeatMs / 4);
  return {
    wrote: () => {
      lastWrite = performance.now();
    },
    close: () => clearInterval(heartbeat),
  };
}

/** Writes the answer to its end, or until the client is gone; the answer settles in either case. */
export async function sendStream(
  res: ServerResponse,
  id: RequestId,
  answer: Answer,
  opened?: OpenStream,
): Promise<void> {
  await using paid = answer;
  if (res.destroyed) {
    opened?.close();
    return;
  }
  const stream = opened ?? openStream(res, id, paid);
  try {
    for await (const chunk of paid.chunks) {
      if (res.destroyed) return;
      stream.wrote();
      if (!writeChunk(res, chunk) && !(await drained(res))) return;
    }
    res.end();
  } finally {
    stream.close();
    // The settlement of a stream that broke off must not be reported as a failure of this request.
    if (!res.writableEnded) res.destroy();
  }
}

/** A refusal after the head has gone: what would have been its status and headers stands in the frame. */
export function endStream(res: ServerResponse, id: RequestId, error: NodeError): void {
  if (res.writableEnded || res.destroyed) return;
  const { message, type, wireCode: code, status, options } = error;
  const metadata = {
    ...options.metadata,
    status,
    request_id: id,
    // Whoever streams claims change with the original token.
    ...(options.change && { refund_available: true }),
  };
  res.end(`data: ${JSON.stringify({ error: { message, type, code, metadata } })}\n\ndata: [DONE]\n\n`);
}

/** True when the client reads again; false when it is gone or reads nothing for too long. */
function drained(res: ServerResponse): Promise<boolean> {
  if (res.destroyed) return Promise.resolve(false);
  const { socket } = res;
  return new Promise((resolve) => {
    const finish = (open: boolean) => {
      clearTimeout(timer);
      res.off('drain', onDrain);
      socket?.off('drain', onDrain);
      res.off('close', onClose);
      resolve(open);
    };
    const onDrain = () => finish(true);
    const onClose = () => finish(false);
    const timer = setTimeout(() => finish(false), LIMITS.stream.stalledMs);
    res.on('drain', onDrain);
    socket?.on('drain', onDrain);
    res.on('close', onClose);
  });
}
