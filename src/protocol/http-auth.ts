/** NIP-98: an HTTP request that a Nostr key has signed. Pure: signatures are made and verified elsewhere. */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import type { EventTemplate } from './announcement.ts';
import { KIND } from './kinds.ts';

const hexOf = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${length}}$`));
const authSchema = z.object({
  id: hexOf(64),
  pubkey: hexOf(64),
  created_at: z.int().nonnegative(),
  kind: z.int(),
  tags: z.array(z.array(z.string())),
  content: z.string(),
  sig: hexOf(128),
});

/** Well formed, and not verified in any point. */
export type HttpAuth = z.infer<typeof authSchema>;

/** What a request really is. */
export interface HttpFacts {
  /** Every address that it may have been sent to, with path and query. */
  urls: readonly string[];
  method: string;
  /** Sha256 of the bytes of the body; of no bytes where there is none. Asked for last. */
  bodyHash: () => string;
  /** Unix seconds. */
  now: number;
}

/** The event behind `Authorization: Nostr <base64>`; undefined for what is none, or too large to be one. */
export function readHttpAuth(base64: string): HttpAuth | undefined {
  if (base64.length > LIMITS.httpAuth.charsMax || !BASE64.test(base64)) return undefined;
  try {
    return authSchema.safeParse(JSON.parse(atob64(base64))).data;
  } catch {
    return undefined;
  }
}
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

function atob64(base64: string): string {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}

/** What keeps an event from standing for this request, in words for the client; undefined when nothing does. */
export function httpAuthProblem(
  auth: HttpAuth,
  { urls, method, bodyHash, now }: HttpFacts,
): string | undefined {
  if (auth.kind !== KIND.httpAuth) return `its kind is not ${KIND.httpAuth}`;
  if (Math.abs(now - auth.created_at) >= LIMITS.httpAuth.windowSeconds)
    return `its created_at is ${LIMITS.httpAuth.windowSeconds} seconds or more away from now`;
  const url = onlyTag(auth, 'u');
  if (url === undefined || !urls.includes(url)) return 'its u tag is not exactly the address of this request';
  if (onlyTag(auth, 'method') !== method) return 'its method tag is not the method of this request';
  const payloads = auth.tags.filter(([name]) => name === 'payload');
  const hash = bodyHash();
  const isSigned = payloads.length === 1 && payloads[0]?.[1] === hash;
  if (!isSigned && (payloads.length > 0 || hash !== NO_BODY))
    return 'its payload tag is not the sha256 of the body';
  return undefined;
}

/** Sha256 of nothing. */
const NO_BODY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function onlyTag({ tags }: HttpAuth, wanted: string): string | undefined {
  const found = tags.filter(([name]) => name === wanted);
  return found.length === 1 ? found[0]?.[1] : undefined;
}

/**
 * What a client signs. `bodyHash` is the sha256 of the body's bytes, absent where nothing is sent. `nonce` is any text
 * that was not used before: without it two equal requests of one second have one event, which is good once.
 */
export function buildHttpAuth(
  request: { url: string; method: string; bodyHash?: string },
  options: { createdAt: number; nonce: string },
): EventTemplate {
  const { url, method, bodyHash } = request;
  const payload = bodyHash === undefined ? [] : [['payload', bodyHash]];
  return {
    kind: KIND.httpAuth,
    created_at: options.createdAt,
    tags: [['u', url], ['method', method], ...payload, ['nonce', options.nonce]],
    content: '',
  };
}
