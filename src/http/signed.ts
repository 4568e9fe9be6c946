/** Signed requests: `Authorization: Nostr …` (NIP-98) becomes the public key that a request speaks for. */
import type { IncomingMessage } from 'node:http';
import { NodeError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { createJunkLimit } from '../gateway/rate.ts';
import { type HttpAuth, httpAuthProblem, readHttpAuth } from '../protocol/http-auth.ts';
import { keepBytes } from './body.ts';
import { setSender } from './context.ts';
import { type Addressed, sourceOf } from './source.ts';

export interface SignedRequests {
  /**
   * Reads the body and keeps it for the handler. The signature is looked at when the handler asks who sent the
   * request, which it does not where an X-Cashu header pays. Throws what reading a body throws.
   */
  take: (req: Addressed) => Promise<void>;
}

/** Any scheme that begins with this letter is looked at closely; Bearer does not. */
export function isSigned(req: IncomingMessage): boolean {
  const { authorization } = req.headers;
  return authorization !== undefined && /^[Nn]/.test(authorization) && SCHEME.test(authorization);
}
const SCHEME = /^nostr(?= |$)/i;

/**
 * @param verify the event if its id and signature hold, read anew.
 * @param publicUrls as configured; a request that came in on loopback may also name the address it came in on.
 */
export function createSignedRequests(parts: {
  verify: (event: unknown) => HttpAuth | undefined;
  publicUrls: readonly string[];
  clock: Clock;
  /** Used events that are remembered at a time. */
  most?: number;
}): SignedRequests {
  const { verify, publicUrls, clock, most = LIMITS.httpAuth.rememberedMax } = parts;
  const junk = createJunkLimit({ clock });
  const startedAt = unixSeconds(clock);
  /** Ids of events that were used, with the second after which they are too old anyway; oldest first. */
  const used = new Map<string, number>();

  function urlsOf(req: IncomingMessage): string[] {
    const bases = publicUrls.map((url) => url.replace(/\/+$/, ''));
    const own = ownBase(req, publicUrls.length === 0);
    return [...bases, ...(own === undefined ? [] : [own])].map((base) => base + (req.url ?? ''));
  }

  /** An event is good for one request. Full means that somebody makes up keys by the thousand: nobody gets in then. */
  function requireUnused(id: string, now: number): void {
    for (const [old, until] of used) {
      if (until > now) break;
      used.delete(old);
    }
    if (used.has(id))
      throw new NodeError(
        'replayed',
        'This signed event was used before; sign a new one. A tag with a nonce makes those of one second differ.',
      );
    if (used.size < most) return;
    throw new NodeError('overloaded', 'Too many signed requests; use a key or try again in two minutes.', {
      retryAfterMs: LIMITS.httpAuth.rememberSeconds * 1000,
    });
  }

  function problemOf(auth: HttpAuth | undefined, req: IncomingMessage, body: Buffer, now: number) {
    if (auth === undefined) return 'it is no base64 of an event';
    // What an earlier process has seen, this one does not know.
    if (auth.created_at < startedAt) return 'it is older than this process';
    const facts = { urls: urlsOf(req), method: req.method ?? '', bodyHash: () => sha256Hex(body), now };
    return httpAuthProblem(auth, facts);
  }

  /** Everything that costs next to nothing comes before the signature. */
  function signerOf(req: Addressed, body: Buffer): string {
    const presenter = { source: sourceOf(req) };
    junk.admit(presenter);
    const now = unixSeconds(clock);
    const auth = readHttpAuth(req.headers.authorization?.replace(SCHEME, '').trim() ?? '');
    const problem = problemOf(auth, req, body, now);
    if (auth !== undefined && problem === undefined) requireUnused(auth.id, now);
    const signed = problem === undefined ? verify(auth) : undefined;
    if (signed === undefined) {
      junk.refused(presenter);
      throw unauthorized(problem ?? 'its signature does not hold');
    }
    used.set(signed.id, now + LIMITS.httpAuth.rememberSeconds);
    return signed.pubkey;
  }

  return {
    take: async (req) => {
      const body = await keepBytes(req);
      let signer: string | undefined;
      setSender(req, () => (signer ??= signerOf(req, body)));
    },
  };
}

/**
 * The address that a request was sent to, as its Host header says and its socket confirms: whoever was signed for
 * elsewhere cannot be presented here under that name. Undefined where the socket does not confirm it.
 */
function ownBase({ headers, socket }: IncomingMessage, anyAddress: boolean): string | undefined {
  const host = headers.host?.toLowerCase() ?? '';
  const [, name = '', port = '80'] = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(\d{1,5}))?$/.exec(host) ?? [];
  const local = socket.localAddress?.replace(/^::ffff:(?=\d+\.)/, '') ?? '';
  const isLoopback = local === '::1' || local.startsWith('127.');
  const isNamed = name.replace(/^\[|\]$/g, '') === local || (isLoopback && name === 'localhost');
  if (!isNamed || Number(port) !== socket.localPort || !(isLoopback || anyAddress)) return undefined;
  return `http://${host}`;
}

const unauthorized = (why: string): NodeError =>
  new NodeError('unauthorized', `The signed event (NIP-98) does not authorize this request: ${why}.`);
