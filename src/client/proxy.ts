/**
 * createProxy: an OpenAI-compatible server on this machine that asks a node over encrypted direct messages, so that an
 * unmodified SDK works with a node that has no public address.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { NodeError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Msat } from '../base/money.ts';
import type { Clock } from '../base/time.ts';
import { DmFailure, type DmClient, type DmRequest } from './dm.ts';
import { createGuard } from './proxy-guard.ts';
import { relayAnswer, sendError } from './proxy-reply.ts';
import { createLocalServer, methodOf, passed, readBody } from './proxy-request.ts';

export interface ProxyOptions {
  client: Pick<DmClient, 'ask' | 'peer' | 'pubkey'>;
  /** Listens only here. On other than loopback addresses the account of the client's own key is not offered. */
  host: string;
  /** Each answer may cost at most this. */
  maxMsat?: Msat;
  /** Told of every answer of the node, for the buyer's own history. */
  onOutcome?: (outcome: { ok: boolean; latencyMs: number }) => void;
  clock: Clock;
  log: Logger;
}

/** Not yet listening. */
export function createProxy(options: ProxyOptions): Server {
  const { client, log } = options;
  const guard = createGuard(options.host);
  const server = createLocalServer(serve, log);

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    guard.check(request);
    const path = request.url ?? '/';
    if (path === '/') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ proxy: 'dmi/1', node: client.peer, account: client.pubkey }));
      return;
    }
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    const body = await readBody(request, LIMITS.dmi.bodyBytesMax, 'Direct messages carry up to 8 MiB.');
    const stream = wantsStream(body);
    const asked: DmRequest = {
      method: methodOf(request),
      path,
      headers: passed(request),
      ...(body.length === 0 ? {} : { body }),
      ...guard.credential(request),
      ...idOf(request),
      ...(options.maxMsat === undefined ? {} : { maxMsat: options.maxMsat }),
      stream,
      signal: gone.signal,
    };
    const started = options.clock.monotonic();
    const note = (ok: boolean): void =>
      options.onOutcome?.({ ok, latencyMs: options.clock.monotonic() - started });
    try {
      const call = await client.ask(asked);
      const status = await relayAnswer(call, response, { path, stream, clock: options.clock });
      if (status !== 499) note(status < 500);
    } catch (error) {
      if (!(error instanceof DmFailure) && !(error instanceof RangeError)) throw error;
      if (error instanceof DmFailure && error.kind !== 'cancelled') note(false);
      sendError(response, asNodeError(error));
    }
  }

  return server;
}

/** What the SDK is told. After an open outcome it must not try again by itself: the node may have charged. */
function asNodeError(error: DmFailure | RangeError): NodeError {
  if (error instanceof RangeError) return new NodeError('payload_too_large', `Not sent: ${error.message}.`);
  const open = error.ambiguous ? ' The node may have worked and charged: look at the balance.' : '';
  const code =
    error.kind === 'no_relay' || error.kind === 'unreachable'
      ? 'upstream_unavailable'
      : error.kind === 'timeout'
        ? 'upstream_timeout'
        : 'upstream_error';
  return new NodeError(code, error.message + open, { metadata: { ambiguous: error.ambiguous } });
}

/** Only a hint how to deliver; the node reads the body itself. */
function wantsStream(body: Buffer): boolean {
  if (!body.includes('"stream"')) return false;
  try {
    return (JSON.parse(body.toString('utf8')) as { stream?: unknown }).stream === true;
  } catch {
    // The node says what is wrong with it.
    return false;
  }
}

/** A client that repeats its Idempotency-Key asks for the outcome of the request that it sent before. */
function idOf({ headers }: IncomingMessage): Pick<DmRequest, 'id'> {
  const key = headers['idempotency-key'];
  return typeof key === 'string' && key !== '' ? { id: sha256Hex(key).slice(0, 32) } : {};
}
