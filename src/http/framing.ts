/** Framing: what Node's parser lets through although two servers in a row could read it differently. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { NodeError } from '../base/error.ts';
import { newRequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { requestId } from './context.ts';
import { errorBody, replyError } from './error.ts';
import { commonHeaders } from './reply.ts';

export interface Framing {
  /** True if the request may go on; else it has been answered and its connection ends. */
  admit: (req: IncomingMessage, res: ServerResponse) => boolean;
  /** For `checkExpectation`: the only expectation that is met is 100-continue, which Node handles itself. */
  refuseExpectation: (req: IncomingMessage, res: ServerResponse) => void;
  /** For `clientError`: what Node's parser refuses gets the same envelope, written by hand. */
  refuseBroken: (error: NodeJS.ErrnoException, socket: Duplex) => void;
}

/** Kept on the socket: a WeakMap that changes with each request is walked through by each collection. */
const CONNECTION = Symbol('connection');
interface Connection {
  /** The latest answer. */
  answer: ServerResponse | undefined;
  /** It ends with the answer it got: what follows on it may be the body of a refused request. */
  ending: boolean;
}

const connectionOf = (socket: Duplex & { [CONNECTION]?: Connection }): Connection =>
  (socket[CONNECTION] ??= { answer: undefined, ending: false });

export function createFraming(): Framing {
  function refuse(req: IncomingMessage, res: ServerResponse, error: NodeError): void {
    connectionOf(req.socket).ending = true;
    res.shouldKeepAlive = false;
    replyError(res, requestId(req), error);
  }

  return {
    admit: (req, res) => {
      const connection = connectionOf(req.socket);
      if (connection.ending) return false;
      const error = fault(req);
      if (error !== undefined) refuse(req, res, error);
      else connection.answer = res;
      return error === undefined;
    },
    refuseExpectation: (req, res) =>
      refuse(req, res, bad('Only Expect: 100-continue can be met.', { status: 417 })),
    refuseBroken: (error, socket) => {
      const connection = connectionOf(socket);
      const { answer } = connection;
      // In the middle of an answer, or before the answer to an earlier request, there is no place for another one.
      const busy =
        answer !== undefined && !answer.writableFinished && (answer.headersSent || answer.req.complete);
      if (!socket.writable || connection.ending || busy) {
        socket.destroy();
        return;
      }
      connection.ending = true;
      socket.end(envelope(brokenRequest(error)));
    },
  };
}

function fault(req: IncomingMessage): NodeError | undefined {
  const { rawHeaders, httpVersionMajor, httpVersionMinor } = req;
  if (httpVersionMajor !== 1) return bad('Use HTTP/1.1.');
  if (rawHeaders.length > 2 * LIMITS.http.headersMax) {
    return new NodeError(
      'headers_too_large',
      `A request may have at most ${LIMITS.http.headersMax} headers.`,
    );
  }
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1 || (hosts === 0 && httpVersionMinor > 0)) return bad('Send exactly one Host header.');
  if (!req.url?.startsWith('/')) return bad('This is no proxy: the request target must be a path.');
  const coding = req.headers['transfer-encoding'];
  if (coding !== undefined && (httpVersionMinor === 0 || coding.toLowerCase() !== 'chunked')) {
    return bad('Only Transfer-Encoding: chunked of HTTP/1.1 is understood.');
  }
  return undefined;
}

function brokenRequest(error: NodeJS.ErrnoException): NodeError {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new NodeError(
        'headers_too_large',
        'The headers are larger than 64 KiB; send a large token in the body of /v1/wallet/create.',
      );
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new NodeError('payload_too_large', 'The chunk extensions of the body are too large.');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return bad('The request took too long to arrive.', { status: 408, wireCode: 'request_timeout' });
    default:
      return bad('This is not a well-formed HTTP request.');
  }
}

function envelope(error: NodeError): string {
  const id = newRequestId();
  const body = JSON.stringify(errorBody(error, id));
  const headers = commonHeaders(id);
  const lines = [`HTTP/1.1 ${error.status} ${error.code}`];
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
  lines.push('content-type: application/json; charset=utf-8', `content-length: ${Buffer.byteLength(body)}`);
  return `${lines.join('\r\n')}\r\nconnection: close\r\n\r\n${body}`;
}

const bad = (message: string, options: { status?: number; wireCode?: string } = {}): NodeError =>
  new NodeError('bad_request', message, options);
