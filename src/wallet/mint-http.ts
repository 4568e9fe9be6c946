/** One mint over HTTP: bounded in time and size, no redirects, no hidden retries, public addresses only. */
import { setMaxListeners } from 'node:events';
import * as http from 'node:http';
import * as https from 'node:https';
import { ipLiteral, isPrivateAddress, publicLookup } from '../base/address.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import { type BudgetRule, createBudget } from './budget.ts';
import { readText } from './public-http.ts';

export type MintAnswer =
  | { kind: 'ok'; body: unknown }
  /** 4xx with an error code of the NUTs; 0 where the mint gave none. */
  | { kind: 'refused'; code: number }
  /** Not executed; ask again after the wait. */
  | { kind: 'limited'; retryAfterMs: number }
  /** No usable answer: whether the request was executed is not known. */
  | { kind: 'failed'; reason: string }
  /** Nothing was sent, because the mint failed too often just now. */
  | { kind: 'closed'; retryAfterMs: number };

/** A refusal, or a path that is not there: on a question for one quote both mean that the mint has no such quote. */
export const isNotThere = (answer: MintAnswer): boolean =>
  answer.kind === 'refused' || (answer.kind === 'failed' && answer.reason === 'http_404');

export interface MintClient {
  get: (path: string) => Promise<MintAnswer>;
  /** `body` is sent byte for byte. */
  post: (path: string, body: string) => Promise<MintAnswer>;
  /** False while the breaker is open. */
  reachable: () => boolean;
  close: () => void;
}

/** New quotes, and looks at invoices. A payment that is under way is looked at as soon as it can be. */
const isForFree = (method: string, path: string): boolean =>
  method === 'GET' ? path.startsWith('/v1/mint/quote/') : /^\/v1\/(?:mint|melt)\/quote\//.test(path);

/** Idle connections live shorter than the 5 s after which common mint servers close theirs. */
const IDLE_MS = 4_000;
const CONNECTIONS_MAX = 32;

export function createMintClient(options: {
  url: string;
  allowPrivate: boolean;
  /** None: as fast as it answers. */
  budget?: BudgetRule;
  /** A share of it for what strangers cause without paying. */
  quoteBudget?: BudgetRule;
  clock: Clock;
  log: Logger;
}): MintClient {
  const { url, allowPrivate, clock, log } = options;
  const budget = options.budget && createBudget(clock, options.budget);
  const quoteBudget = options.quoteBudget && createBudget(clock, options.quoteBudget);
  const base = new URL(url);
  const transport = base.protocol === 'https:' ? https : http;
  const agent = new transport.Agent({ keepAlive: true, timeout: IDLE_MS, maxSockets: CONNECTIONS_MAX });
  const breaker: Breaker = createBreaker(clock);
  const closing = new AbortController();
  // One listener for each request under way; there is no leak to be warned of.
  setMaxListeners(0, closing.signal);

  async function ask(method: 'GET' | 'POST', path: string, body?: string): Promise<MintAnswer> {
    for (const share of [isForFree(method, path) ? quoteBudget : undefined, budget]) {
      const turn = share?.take();
      if (turn?.refused) return { kind: 'limited', retryAfterMs: turn.waitMs };
      if (turn && turn.waitMs > 0) await clock.sleep(turn.waitMs, closing.signal);
    }
    if (closing.signal.aborted) return { kind: 'failed', reason: 'wallet_closed' };
    const wait = breaker.enter();
    if (wait !== undefined) {
      return wait.why === 'limited'
        ? { kind: 'limited', retryAfterMs: wait.ms }
        : { kind: 'closed', retryAfterMs: wait.ms };
    }
    const answer = await exchange(method, path, body).then(classify, (error: unknown): MintAnswer => ({
      kind: 'failed',
      reason: reasonOf(error),
    }));
    if (answer.kind === 'limited') breaker.limited(answer.retryAfterMs);
    else if (answer.kind === 'failed') {
      breaker.failed();
      if (!closing.signal.aborted) {
        log.warn('wallet.mint.failed', { mint: base.host, path: nameOf(path), reason: answer.reason });
      }
    } else breaker.succeeded();
    return answer;
  }

  interface Reply {
    status: number;
    retryAfter: string | undefined;
    text: string;
  }

  function exchange(method: 'GET' | 'POST', path: string, body?: string): Promise<Reply> {
    const literal = ipLiteral(base);
    if (literal !== undefined && !allowPrivate && isPrivateAddress(literal)) {
      return Promise.reject(new Error('private_address'));
    }
    return new Promise((resolve, reject) => {
      const finished = new AbortController();
      const request = transport.request(
        `${url}${path}`,
        {
          method,
          agent,
          lookup: allowPrivate ? undefined : publicLookup,
          headers: {
            accept: 'application/json',
            ...(body === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
          },
        },
        (response) => {
          readText(response, LIMITS.mint.responseBytesMax).then((text) => {
            finished.abort();
            const retryAfter = response.headers['retry-after'];
            resolve({ status: response.statusCode ?? 0, retryAfter, text });
          }, fail);
        },
      );
      function fail(error: unknown): void {
        finished.abort();
        request.destroy();
        reject(error instanceof Error ? error : new Error('unknown'));
      }
      request.on('error', fail);
      const stop = () => fail(new Error('wallet_closed'));
      closing.signal.addEventListener('abort', stop, { once: true });
      void clock.sleep(LIMITS.mint.timeoutMs, finished.signal).then(() => {
        closing.signal.removeEventListener('abort', stop);
        if (!finished.signal.aborted) fail(new Error('timeout'));
      });
      request.end(body);
    });
  }

  function classify(reply: Reply): MintAnswer {
    if (reply.status === 429) return { kind: 'limited', retryAfterMs: retryAfterMs(reply.retryAfter, clock) };
    if (reply.status !== 200 && reply.status !== 400)
      return { kind: 'failed', reason: `http_${reply.status}` };
    const body = parse(reply.text);
    if (body === undefined) return { kind: 'failed', reason: 'not_json' };
    if (reply.status === 200) return { kind: 'ok', body };
    const code = (body as { code?: unknown }).code;
    return { kind: 'refused', code: Number.isSafeInteger(code) ? (code as number) : 0 };
  }

  return {
    get: (path) => ask('GET', path),
    post: (path, body) => ask('POST', path, body),
    reachable: breaker.closed,
    close: () => {
      closing.abort();
      agent.destroy();
    },
  };
}

/**
 * JSON objects only. Whole numbers beyond 2^53 are refused wherever a number is used, so the built-in parser loses
 * nothing; the exact one of cashu-ts takes 60 ms for 1 MiB on the main thread, this one 6 ms.
 */
function parse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined; // The caller treats an unreadable answer like a lost one.
  }
}

function retryAfterMs(header: string | undefined, clock: Clock): number {
  const seconds = header === undefined || !/^\d{1,9}$/.test(header) ? NaN : Number(header);
  const wait = Number.isNaN(seconds) ? Date.parse(header ?? '') - clock.now() : seconds * 1000;
  const fallback = LIMITS.mint.rateLimitedMs;
  return Number.isFinite(wait) && wait > 0 ? Math.min(wait, LIMITS.mint.retryMaxMs) : fallback;
}

/** Own words and system error codes only: messages of libraries may carry URLs. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const code = (error as NodeJS.ErrnoException).code;
  if (typeof code === 'string') return code;
  const own = ['private_address', 'answer_too_large', 'answer_cut_off', 'timeout', 'wallet_closed'];
  return own.includes(error.message) ? error.message : error.name;
}

/** `/v1/keys/<id>` and the like without the id. */
const nameOf = (path: string): string => path.split('/').slice(0, 3).join('/');
