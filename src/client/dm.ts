/** createDmClient: asks one node over encrypted direct messages (dmi/1), as HTTP would be asked. */
import { hex, type Random, systemRandom } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Msat } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { ErrorFrame, NodeFrame, RequestFrame, ResultFrame } from '../protocol/dmi.ts';
import { packBody } from '../protocol/dmi-body.ts';
import type { NodeKey, RelaySet } from '../relay/relay.ts';
import { createExchange, DmFailure, type Exchange } from './dm-exchange.ts';
import { createDmLine } from './dm-line.ts';
import type { DmChunk } from './dm-stream.ts';

export { DmFailure, type DmChunk };

export interface DmRequest {
  method: RequestFrame['method'];
  /** With its query, as in HTTP: `/v1/chat/completions`. */
  path: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Absent: the account that belongs to the client's own key. */
  auth?: RequestFrame['auth'];
  /** Refused where the answer could cost more. */
  maxMsat?: Msat;
  /** Events as the answer is made, where the relays allow it. */
  stream?: boolean;
  /** 32 hex digits; the same id asks for the outcome of a request that was sent before. Default: a new one. */
  id?: string;
  /** Aborting cancels the request at the node, which charges what was made so far. */
  signal?: AbortSignal;
}

export interface DmAnswer {
  id: string;
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  /** Msat of this request, and of the account after it. */
  cost?: number;
  balance?: number;
  /** A token with what was left of a one-shot payment; say `taken()` once it is in safe hands. */
  change?: string;
}

export interface DmCall {
  id: string;
  /** Events of a streamed answer, in order, each once. Throws DmFailure. None if the node answers in one piece. */
  chunks: AsyncGenerator<DmChunk, void>;
  /** The end of it: a refusal of the node is an answer too. Throws DmFailure. */
  answer: Promise<DmAnswer>;
  /** Tells the node that what the answer was worth has arrived, so that it stops sending it. */
  taken: () => Promise<void>;
}

export interface DmClient {
  /** Hex pubkey of the node. */
  peer: string;
  /** The client's own key: its account at the node. */
  pubkey: string;
  ask: (request: DmRequest) => Promise<DmCall>;
  /** Milliseconds there and back; undefined if the node does not answer. */
  ping: () => Promise<number | undefined>;
  close: () => void;
}

export function createDmClient(options: {
  /** Started or not; relays with the roles `rpc` and `dm` are used. Stays open when the client closes. */
  relays: RelaySet;
  key: NodeKey;
  peer: string;
  /** Relays on which the node says it listens; those that are ours too are tried first. */
  announced?: readonly string[];
  clock: Clock;
  random?: Random;
}): DmClient {
  const { relays, key, peer, announced = [], clock, random = systemRandom } = options;
  const running = new Map<string, Exchange>();
  const pings = new Map<number, () => void>();
  relays.start();
  const expecting = (): boolean => running.size + pings.size > 0;
  const line = createDmLine({ relays, key, peer, onFrame: dispatch, expecting, random, clock });

  function dispatch(frame: NodeFrame): void {
    if (frame.t === 'pong') pings.get(frame.n)?.();
    else running.get(frame.id)?.deliver(frame);
  }

  /** Relays that live now; those that stream and that the node named first. Each attempt begins with another. */
  function targets(attempt: number): string[] {
    const known = relays
      .status()
      .filter(({ roles }) => roles.includes('rpc') || roles.includes('dm'))
      .map(({ url, roles, state }) => ({
        url,
        score:
          (state === 'open' ? 0 : 4) + (announced.includes(url) ? 0 : 2) + (roles.includes('rpc') ? 0 : 1),
      }))
      .sort((a, b) => a.score - b.score)
      .map(({ url }) => url);
    const from = known.length === 0 ? 0 : (attempt * LIMITS.ask.relaysAtOnce) % known.length;
    return [...known.slice(from), ...known.slice(0, from)].slice(0, LIMITS.ask.relaysAtOnce);
  }

  async function begin(request: DmRequest): Promise<DmCall> {
    if (running.size >= LIMITS.ask.requestsMax) {
      throw new DmFailure('no_relay', 'Too many requests are under way already.', false);
    }
    const { id = hex(random(16)), method, path, headers, body, auth, maxMsat, stream, signal } = request;
    const packed =
      body === undefined ? { fields: {}, parts: [] } : await packBody(Buffer.from(body as Buffer));
    const frame: RequestFrame = {
      v: 1,
      t: 'req',
      id,
      exp: unixSeconds(clock) + LIMITS.ask.expireSeconds,
      method,
      path,
      ...(headers === undefined ? {} : { h: headers }),
      ...packed.fields,
      ...(auth === undefined ? {} : { auth }),
      ...(maxMsat === undefined ? {} : { max_msat: maxMsat }),
      ...(stream === true ? { stream: {} } : {}),
    };
    if ((await line.ready()) === 0) {
      throw new DmFailure('no_relay', 'None of the relays could be reached; nothing was sent.', false);
    }
    // Ecash travels in what relays keep; the rest is worth nothing to anybody a minute later.
    const stored = carriesEcash(request);
    const exchange = createExchange({
      request: frame,
      parts: packed.parts.map((part) => ({ ...part, id })),
      send: (what, attempt) =>
        line.send(what, targets(attempt), { stored: stored || (attempt > 0 && what.t !== 'get') }),
      signal,
      clock,
    });
    running.set(id, exchange);
    const done = (): void => void running.delete(id);
    exchange.end.then(done, done);
    const answer = exchange.end.then(({ frame: last, body: bytes }) => answerOf(last, bytes));
    answer.catch(() => undefined);
    return {
      id,
      chunks: exchange.chunks(),
      answer,
      taken: async () => void (await line.send({ t: 'ack', id }, targets(0), { stored: true })),
    };
  }

  return {
    peer,
    pubkey: key.pubkey,
    ask: begin,
    ping: async () => {
      await line.ready();
      const n = Number.parseInt(hex(random(6)), 16);
      const started = clock.monotonic();
      const answered = new AbortController();
      pings.set(n, () => answered.abort());
      await line.send({ t: 'ping', n }, targets(0), { stored: false });
      await clock.sleep(LIMITS.ask.pingMs, answered.signal);
      pings.delete(n);
      return answered.signal.aborted ? clock.monotonic() - started : undefined;
    },
    close: line.close,
  };
}

const carriesEcash = ({ auth, body = '', path }: DmRequest): boolean => {
  const bearer = auth !== undefined && 'bearer' in auth ? auth.bearer : '';
  const inBody = body.length <= LIMITS.token.charsMax && body.includes('cashu');
  return (
    (auth !== undefined && 'cashu' in auth) || bearer.startsWith('cashu') || path.includes('cashu') || inBody
  );
};

function answerOf(frame: ResultFrame | ErrorFrame, body: Buffer): DmAnswer {
  const { id, status } = frame;
  if (frame.t === 'res') {
    const { h = {}, cost_msat: cost, bal_msat: balance, change } = frame;
    return {
      id,
      status,
      headers: h,
      body,
      cost,
      ...(balance === undefined ? {} : { balance }),
      ...(change === undefined ? {} : { change }),
    };
  }
  const wait = frame.retry_after;
  return {
    id,
    status,
    headers: {
      'content-type': 'application/json',
      ...(wait === undefined ? {} : { 'retry-after': String(Math.ceil(wait)) }),
    },
    body: body.length > 0 ? body : Buffer.from(JSON.stringify(envelope(frame))),
    ...(frame.cost_msat === undefined ? {} : { cost: frame.cost_msat }),
  };
}

/** For a node that sent no body: what HTTP says for the same refusal. */
function envelope({ code, message, status, need_msat: need, id }: ErrorFrame): Record<string, unknown> {
  const error = {
    message,
    type: status >= 500 ? 'server_error' : 'invalid_request_error',
    param: null,
    code,
    ...(need === undefined ? {} : { metadata: { required_msats: need } }),
  };
  return { error, detail: { error }, request_id: id };
}

/** Whether an answer brings money, which the node keeps for us until `taken()`. */
export const bringsEcash = ({ change, body }: DmAnswer): boolean =>
  change !== undefined || (body.length <= LIMITS.token.charsMax && body.includes('"cashu'));

/**
 * One request as an async iterable of events; what it returns is the end of the answer, which may be a refusal: a
 * `for await` loop does not see it. For the end alone: `await (await client.ask(request)).answer`.
 */
export async function* askOverDm(
  client: Pick<DmClient, 'ask'>,
  request: DmRequest,
): AsyncGenerator<DmChunk, DmAnswer> {
  const stop = new AbortController();
  const signal = request.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, request.signal]);
  const call = await client.ask({ stream: true, ...request, signal });
  let finished = false;
  try {
    yield* call.chunks;
    const answer = await call.answer;
    finished = true;
    return answer;
  } finally {
    // Whoever stops reading gives the request up.
    if (!finished) stop.abort();
  }
}
