/**
 * createHttpProxy: an OpenAI-compatible server on this machine that asks a node at its address, so that an unmodified
 * SDK pays from the account of a Nostr key (NIP-98) and has an upper bound for what an answer may cost.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import { pipeline } from 'node:stream/promises';
import { ipLiteral, isPrivateAddress, PrivateAddressError, publicLookup } from '../base/address.ts';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Msat } from '../base/money.ts';
import type { Clock } from '../base/time.ts';
import type { NodeKey } from '../relay/relay.ts';
import { signedRequest } from './channel-http.ts';
import { createGuard } from './proxy-guard.ts';
import { createLocalServer, methodOf, passed, readBody } from './proxy-request.ts';

export interface HttpProxyOptions {
  /** Of the node, without `/v1`; of the buyer's own choice, or proven by discovery. */
  url: string;
  /** False for an address that somebody announced: then it must be public at every connection. */
  allowPrivate: boolean;
  /** Signs what brings no key and no token of its own. */
  key: NodeKey;
  /** Listens only here. On other than loopback addresses the account of `key` is not offered. */
  host: string;
  /** Each answer may cost at most this. */
  maxMsat?: Msat;
  /** Told of every answer of the node, for the buyer's own history. */
  onOutcome?: (outcome: { ok: boolean; latencyMs: number }) => void;
  clock: Clock;
  log: Logger;
}

/** Not yet listening. */
export function createHttpProxy(options: HttpProxyOptions): http.Server {
  const { url: base, allowPrivate, key, clock } = options;
  const guard = createGuard(options.host);
  const literal = ipLiteral(new URL(base));
  const transport = base.startsWith('https:') ? https : http;
  const agent = new transport.Agent({ keepAlive: true, maxSockets: LIMITS.ask.requestsMax });
  const server = createLocalServer(serve, options.log);
  server.once('close', () => agent.destroy());

  async function serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    guard.check(request);
    const path = request.url ?? '/';
    if (path === '/') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ proxy: 'http', node: base, account: key.pubkey }));
      return;
    }
    // A whole address as target would be glued to the node's, and name another host.
    if (!path.startsWith('/')) throw new NodeError('invalid_request', 'The request must name a path.');
    if (!allowPrivate && literal !== undefined && isPrivateAddress(literal)) throw privateNode();
    const method = methodOf(request);
    const body = await readBody(request, LIMITS.http.jsonBytesMax, 'Nodes take up to 32 MiB.');
    const { auth } = guard.credential(request);
    const headers = {
      ...passed(request, PASSED_ON),
      ...bounded(request),
      'accept-encoding': 'identity',
      'user-agent': 'routstr-node',
      ...(body.length === 0 ? {} : { 'content-length': String(body.length) }),
      ...(auth === undefined
        ? { authorization: signedRequest(key, { url: base + path, method, body, clock }) }
        : 'cashu' in auth
          ? { 'x-cashu': auth.cashu }
          : { authorization: `Bearer ${auth.bearer}` }),
    };
    const started = clock.monotonic();
    const note = (ok: boolean): void => options.onOutcome?.({ ok, latencyMs: clock.monotonic() - started });
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    let answer: http.IncomingMessage;
    try {
      answer = await ask({ method, path, headers, body }, gone.signal);
    } catch (error) {
      if (gone.signal.aborted) return;
      note(false);
      throw error;
    }
    note((answer.statusCode ?? 0) < 500);
    response.writeHead(answer.statusCode ?? 502, kept(answer.headers));
    // Ends or breaks off as the node does: half an answer never looks like a whole one. A client that left is no fault.
    await pipeline(answer, response).catch(() => response.destroy());
  }

  /** Resolves with the head of the answer; closes the connection when the client leaves. */
  function ask(
    { method, path, headers, body }: { method: string; path: string; headers: Headers; body: Buffer },
    left: AbortSignal,
  ): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const known = new AbortController();
      const request = transport.request(base + path, {
        method,
        headers,
        agent,
        signal: left,
        ...(allowPrivate ? {} : { lookup: publicLookup }),
      });
      void clock.sleep(LIMITS.upstream.firstByteTimeoutMs, known.signal).then(() => {
        if (!known.signal.aborted) request.destroy(new Error('timeout'));
      });
      request.once('response', (answer) => {
        known.abort();
        const status = answer.statusCode ?? 0;
        if (status < 300 || status > 399) return resolve(answer);
        answer.resume();
        reject(new NodeError('upstream_error', 'The node redirects elsewhere, which is not followed.'));
      });
      request.on('error', (error) => {
        known.abort();
        reject(asNodeError(error, method));
      });
      request.end(body);
    });
  }

  function bounded({ headers }: http.IncomingMessage): Headers {
    const { maxMsat } = options;
    const own = headers['x-max-cost-msats'];
    if (maxMsat === undefined) return typeof own === 'string' ? { 'x-max-cost-msats': own } : {};
    const asked = typeof own === 'string' && /^\d{1,15}$/.test(own) ? Number(own) : maxMsat;
    return { 'x-max-cost-msats': String(Math.min(asked, maxMsat)) };
  }

  return server;
}

type Headers = Record<string, string>;

const PASSED_ON = ['idempotency-key', 'x-cashu-change'];

/** About the connection to the node, or leave that browsers may not have here. */
const DROPPED =
  /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|set-cookie|alt-svc|strict-transport-security|access-control-.*)$/;

const kept = (headers: http.IncomingHttpHeaders): http.OutgoingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !DROPPED.test(name)));

const privateNode = (): NodeError =>
  new NodeError('upstream_unavailable', 'The address of the node is private and was not contacted.');

/** Nothing was sent where there was no connection; everything else may have been charged. */
function asNodeError(error: NodeJS.ErrnoException, method: string): NodeError {
  if (error instanceof PrivateAddressError) return privateNode();
  const unsent = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];
  const ambiguous = method !== 'GET' && !unsent.includes(error.code ?? '');
  const open = ambiguous ? ' It may have worked and charged: look at the balance.' : '';
  const late = error.message === 'timeout';
  return new NodeError(
    late ? 'upstream_timeout' : 'upstream_unavailable',
    (late ? 'The node did not answer in time.' : 'The node cannot be reached.') + open,
    { metadata: { ambiguous } },
  );
}
