/**
 * In-process HTTP: a request that did not come over the network runs through the very same handlers. It is written
 * as HTTP into one end of a pipe in memory and read by Node's own parser at the other, so bodies, streams,
 * back-pressure and a client that leaves are the same as over TCP. Requests from the network do not notice.
 */
import http, { type IncomingHttpHeaders, type Server } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import { NodeError } from '../base/error.ts';
import type { RequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Msat } from '../base/money.ts';
import { setRequestId, setSender } from './context.ts';

export interface InProcessRequest {
  id: RequestId;
  method: string;
  /** With its query. */
  path: string;
  headers: Readonly<Record<string, string>>;
  body: Buffer;
  /** Public key, 64 hex digits, that was proved to have sent this; no header can claim it. */
  sender: string;
  /** Told what is set aside for a paid request. */
  held?: ((amount: Msat) => void) | undefined;
  /** Aborted: the client is gone. */
  signal: AbortSignal;
}

export interface InProcessAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  /** As it is made; whoever does not read it holds the answer up. */
  body: AsyncIterable<Buffer>;
}

export interface InProcess {
  /** Throws NodeError('not_found') for what only the network, or only the operator, may ask; else rejects if the signal aborts. */
  ask: (request: InProcessRequest) => Promise<InProcessAnswer>;
}

/** @param server the listening face; its handlers are used, its sockets are not. */
export function createInProcess(server: Server): InProcess {
  const senders = new WeakMap<Duplex, Pick<InProcessRequest, 'id' | 'sender' | 'held'>>();
  // Never listens: connections are handed to it.
  const inner = http.createServer({ maxHeaderSize: LIMITS.http.headerBytesMax }, (req, res) => {
    const carried = senders.get(req.socket);
    if (carried === undefined) return void res.destroy();
    setSender(req, () => carried.sender, carried.held);
    setRequestId(req, carried.id);
    server.emit('request', req, res);
  });

  return {
    ask: async ({ id, method, path, headers, body, sender, held, signal }) => {
      if (!isPublic(path)) throw new NodeError('not_found', 'There is no such path in direct messages.');
      const [near, far] = duplexPair();
      near.once('close', () => far.destroy());
      far.once('close', () => near.destroy());
      // A client that leaves is no failure of anybody.
      far.on('error', () => undefined);
      senders.set(far, { id, sender, held });
      inner.emit('connection', far);
      const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
        const request = http.request({
          method,
          path,
          headers: {
            ...headers,
            host: 'direct-message',
            connection: 'close',
            ...(body.length > 0 || method === 'POST' ? { 'content-length': String(body.length) } : {}),
          },
          createConnection: () => near,
          maxHeaderSize: LIMITS.http.headerBytesMax,
          signal,
        });
        request.once('response', resolve);
        request.once('error', reject);
        request.end(body);
      });
      return { status: response.statusCode ?? 500, headers: response.headers, body: response };
    },
  };
}

/** An allow-list: what is mounted later is not reachable this way until somebody decides that it may be. */
const PUBLIC: readonly RegExp[] = [
  /^(?:\/v1)?\/(?:info|key|quote|generation|providers|models(?:\/.+)?|ops\/[^/]+)\/?$/,
  /^(?:\/v1)?\/(?:chat\/completions|completions|embeddings|responses|messages(?:\/count_tokens)?|moderations|rerank)\/?$/,
  /^(?:\/v1)?\/(?:images\/(?:generations|edits)|audio\/(?:transcriptions|translations|speech))\/?$/,
  /^(?:\/v1)?\/(?:balance|wallet)(?:\/[\w/-]*)?$/,
  /^(?:\/v1|\/v2)?\/lightning\/[\w/-]+$/,
];

const isPublic = (path: string): boolean => {
  const [pathname = ''] = path.split('?', 1);
  return PUBLIC.some((pattern) => pattern.test(pathname));
};
