/** OpenAI-compatible upstream over one undici pool: `dispatch` with backpressure, the cheapest way Node has. */
import { type Cancel, cancel, newCancel } from '../base/cancel.ts';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Secret } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import { collect } from './collect.ts';
import { createExchange, type Exchange } from './exchange.ts';
import type { Head } from './head.ts';
import { Pool } from './pool.ts';
import { readAll } from './read-all.ts';
import { refusal } from './refusal.ts';
import type { Upstream, UpstreamAnswer, UpstreamRequest } from './upstream.ts';
import { createWatch } from './watch.ts';

export interface OpenAiUpstreamOptions {
  /** Name in logs. */
  id: string;
  /** With the version, e.g. `https://api.openai.com/v1`. */
  baseUrl: string;
  apiKey?: Secret | undefined;
  clock: Clock;
  log: Logger;
  timeouts?: Partial<UpstreamTimeouts> | undefined;
  /** Connections at once; further requests wait for one of them. */
  connections?: number | undefined;
}

export interface UpstreamTimeouts {
  connectMs: number;
  /** From the request to the first byte of the answer's body. */
  firstByteMs: number;
  /** Between two pieces of the body, while the reader is waiting for one. */
  idleMs: number;
}

const DEFAULT_TIMEOUTS: UpstreamTimeouts = {
  connectMs: LIMITS.upstream.connectTimeoutMs,
  firstByteMs: LIMITS.upstream.firstByteTimeoutMs,
  idleMs: LIMITS.upstream.idleTimeoutMs,
};

export function createOpenAiUpstream(options: OpenAiUpstreamOptions): Upstream {
  const { id, apiKey, clock, log } = options;
  const url = new URL(options.baseUrl);
  const prefix = url.pathname.replace(/\/+$/, '');
  const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
  const pool = new Pool(url.origin, {
    connections: options.connections ?? LIMITS.upstream.connectionsMax,
    pipelining: 1,
    connect: { timeout: timeouts.connectMs },
    keepAliveTimeout: LIMITS.upstream.keepAliveMs,
    // The watch below keeps these times: it knows the first byte from later ones, and readers that are slow.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const watch = createWatch({ clock, shortestMs: Math.min(timeouts.firstByteMs, timeouts.idleMs) });
  const headers = requestHeaders(apiKey);

  async function send(method: 'GET' | 'POST', path: string, request: SendRequest): Promise<Exchange> {
    const exchange = createExchange({ clock, watch, timeouts, work: request.work });
    const accept = request.stream ? headers.forStreams : headers.forJson;
    if (!request.work.cancelled) {
      pool.dispatch({ method, path: prefix + path, body: request.body, headers: accept }, exchange.handler);
    }
    await exchange.started;
    return exchange;
  }

  async function completeWhole(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const path = prefix + request.path;
    const { work, body: sent } = request;
    const { head, body } = await collect({ clock, watch, timeouts, work }, (handler) =>
      pool.dispatch({ method: 'POST', path, body: sent, headers: headers.forJson }, handler),
    );
    if (head.status < 200 || head.status > 299) throw refused(head, body);
    checkReadable(head);
    return { status: head.status, contentType: head.contentType, whole: body };
  }

  async function completeStream(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const exchange = await send('POST', request.path, request);
    const head = exchange.head();
    if (head.status < 200 || head.status > 299) throw await refuse(exchange);
    try {
      checkReadable(head);
    } catch (error) {
      exchange.cancel();
      throw error;
    }
    return { status: head.status, contentType: head.contentType, chunks: exchange.chunks };
  }

  async function refuse(exchange: Exchange): Promise<NodeError> {
    const body = await readAll(exchange.chunks, LIMITS.upstream.errorBytesMax);
    exchange.cancel();
    return refused(exchange.head(), body ?? Buffer.alloc(0));
  }

  function refused(head: Head, body: Buffer): NodeError {
    const readable = body.length > LIMITS.upstream.errorBytesMax ? Buffer.alloc(0) : body;
    const error = refusal(head, readable, apiKey?.reveal(), clock.now());
    log.warn('upstream.request.refused', { upstream: id, status: head.status, code: error.code });
    return error;
  }

  function checkReadable(head: Head): void {
    const unreadable = unreadableAs(head.contentType, head.contentEncoding);
    if (unreadable === undefined) return;
    log.warn('upstream.answer.unreadable', { upstream: id, status: head.status, what: unreadable });
    throw new NodeError('upstream_error', 'The AI server answered in a format that is not understood here.');
  }

  async function listModels(signal: AbortSignal): Promise<unknown> {
    const work = newCancel();
    const onAbort = (): void => cancel(work);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    const exchange = await send('GET', '/models', { work, stream: false, body: null });
    if (exchange.head().status !== 200) throw await refuse(exchange);
    const body = await readAll(exchange.chunks, LIMITS.upstream.catalogueBytesMax);
    exchange.cancel();
    if (body === undefined) throw new NodeError('upstream_error', 'The list of models is too large.');
    try {
      return JSON.parse(body.toString('utf8')) as unknown;
    } catch (cause) {
      throw new NodeError('upstream_error', 'The list of models is not JSON.', { cause });
    }
  }

  return {
    id,
    complete: (request) => (request.stream ? completeStream(request) : completeWhole(request)),
    listModels,
    close: async () => {
      watch.close();
      await pool.destroy(new NodeError('node_draining', 'The node is stopping.'));
    },
  };
}

interface SendRequest {
  work: Cancel;
  stream: boolean;
  body: Buffer | null;
}

/** All that an upstream ever hears beside the body; nothing of the client's own headers. */
function requestHeaders(apiKey: Secret | undefined): { forJson: string[]; forStreams: string[] } {
  const common = [
    'content-type',
    'application/json',
    'accept-encoding',
    'identity',
    'user-agent',
    'routstr-node',
    ...(apiKey === undefined ? [] : ['authorization', `Bearer ${apiKey.reveal()}`]),
  ];
  return {
    forJson: [...common, 'accept', 'application/json'],
    forStreams: [...common, 'accept', 'text/event-stream'],
  };
}

/** Proxies and login walls answer 200 with a page; a compressed answer was not asked for. */
function unreadableAs(
  contentType: string,
  contentEncoding: string | undefined,
): 'encoding' | 'html' | undefined {
  if (contentEncoding !== undefined && contentEncoding !== 'identity') return 'encoding';
  return contentType.toLowerCase().startsWith('text/html') ? 'html' : undefined;
}
