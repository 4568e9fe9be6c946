import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { requestId } from '../../src/http/context.ts';
import { replyError } from '../../src/http/error.ts';

/** The answer of a server that refuses everything so. */
async function refusedWith(error: NodeError): Promise<Response> {
  const server = createServer((req, res) => replyError(res, requestId(req), error));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

test.each([
  [7_000, '7', '7000'],
  [1_234.567_89, '2', '1235'],
  [0.001, '1', '1'],
])(
  'a wait of %d ms is told in whole seconds and milliseconds, never too short',
  async (ms, seconds, whole) => {
    const { status, headers } = await refusedWith(
      new NodeError('loop_detected', 'Too often.', { retryAfterMs: ms }),
    );
    expect(status).toBe(429);
    expect([headers.get('retry-after'), headers.get('retry-after-ms')]).toEqual([seconds, whole]);
  },
);
