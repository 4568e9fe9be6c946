/** Streams over HTTP: bytes leave as they come, comments keep the line alive, a stalled reader counts as gone. */
import type { ServerResponse } from 'node:http';
import type { RequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Answer } from '../gateway/request.ts';
import { commonHeaders } from './reply.ts';

const KEEP_ALIVE = Buffer.from(': keepalive\n\n');

/** Writes the answer to its end, or until the client is gone; the answer settles in either case. */
export async function sendStream(res: ServerResponse, id: RequestId, answer: Answer): Promise<void> {
  await using paid = answer;
  const headers = commonHeaders(id);
  headers.push(
    'content-type',
    paid.contentType,
    'cache-control',
    'no-cache, no-transform',
    'x-accel-buffering',
    'no',
  );
  if (res.destroyed) return;
  res.writeHead(paid.status, headers);
  res.flushHeaders();

  let lastWrite = performance.now();
  const heartbeat = setInterval(() => {
    // Looked at more often than it is due: a look just before the time would else leave twice as long a silence.
    if (performance.now() - lastWrite < LIMITS.http.heartbeatMs || res.writableNeedDrain) return;
    lastWrite = performance.now();
    res.write(KEEP_ALIVE);
  }, LIMITS.http.heartbeatMs / 4);
  try {
    for await (const chunk of paid.chunks) {
      if (res.destroyed) return;
      lastWrite = performance.now();
      if (!res.write(chunk) && !(await drained(res))) return;
    }
    res.end();
  } finally {
    clearInterval(heartbeat);
    // The settlement of a stream that broke off must not be reported as a failure of this request.
    if (!res.writableEnded) res.destroy();
  }
}

/** True when the client reads again; false when it is gone or reads nothing for too long. */
function drained(res: ServerResponse): Promise<boolean> {
  if (res.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const finish = (open: boolean) => {
      clearTimeout(timer);
      res.off('drain', onDrain);
      res.off('close', onClose);
      resolve(open);
    };
    const onDrain = () => finish(true);
    const onClose = () => finish(false);
    const timer = setTimeout(() => finish(false), LIMITS.stream.stalledMs);
    res.on('drain', onDrain);
    res.on('close', onClose);
  });
}
