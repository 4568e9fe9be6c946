/** Headers → Credential. X-Cashu wins over Authorization; a bearer may be a key or a token. */
import type { IncomingMessage } from 'node:http';
import { NodeError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { looksLikeToken } from '../base/token-text.ts';
import type { PubkeyCredential } from '../gateway/payer.ts';
import type { Credential } from '../gateway/request.ts';
import { senderOf } from './context.ts';
import { isSigned } from './signed.ts';
import { type Addressed, sourceOf } from './source.ts';

/** Credential of a paid request; undefined when nothing was offered. */
export function paidCredential(req: Addressed): Credential | undefined {
  const cashu = cashuHeader(req);
  if (cashu === undefined) return bearerCredential(req);
  return { kind: 'token', token: new Secret(cashu), remainder: 'return', source: () => sourceOf(req) };
}

export function cashuHeader(req: IncomingMessage): string | undefined {
  const value = req.headers['x-cashu'];
  if (value === undefined) return undefined;
  if (Array.isArray(value) || countHeader(req, 'x-cashu') > 1) throw ambiguous('X-Cashu');
  return value;
}

/** `Authorization: Bearer …`, `x-api-key`, or who signed the request; undefined for nothing. Throws invalid_api_key. */
export function bearerCredential(req: Addressed): Credential | undefined {
  const text = bearerText(req);
  if (text === undefined) {
    refuseInUrl(req);
    return pubkeyCredential(req);
  }
  const secret = new Secret(text);
  const source = (): string | undefined => sourceOf(req);
  return looksLikeToken(text)
    ? { kind: 'token', token: secret, remainder: 'keep', source }
    : { kind: 'key', key: secret, source };
}

/** Of a request that a Nostr key signed, or sealed where it came in a direct message. */
export function pubkeyCredential(req: Addressed): PubkeyCredential | undefined {
  const pubkey = senderOf(req);
  return pubkey === undefined ? undefined : { kind: 'pubkey', pubkey, source: () => sourceOf(req) };
}

/** Addresses end up in logs of proxies and in histories; whoever put a secret there should learn of it. */
function refuseInUrl(req: Addressed): void {
  const [, query] = req.url?.split('?', 2) ?? [];
  for (const value of new URLSearchParams(query ?? '').values()) {
    if (!looksLikeToken(value) && !/^(?:Bearer )?sk-/i.test(value)) continue;
    throw new NodeError(
      'credentials_in_url',
      'A key or token stands in the address and was not used. Others may have read it: move the money, and send credentials in a header.',
    );
  }
}

/** Like `bearerCredential`, for routes that need one. Throws missing_api_key. */
export function requiredBearer(req: Addressed): Credential {
  const credential = bearerCredential(req);
  if (credential) return credential;
  throw new NodeError(
    'missing_api_key',
    "API key or Cashu token required: send 'Authorization: Bearer sk-…' or 'Bearer cashu…'.",
  );
}

function bearerText(req: IncomingMessage): string | undefined {
  const { authorization } = req.headers;
  const apiKey = req.headers['x-api-key'];
  if (authorization === undefined) {
    if (apiKey === undefined) return undefined;
    if (Array.isArray(apiKey) || countHeader(req, 'x-api-key') > 1) throw ambiguous('x-api-key');
    return apiKey;
  }
  if (countHeader(req, 'authorization') > 1) throw ambiguous('Authorization');
  const match = /^bearer (\S+)$/i.exec(authorization.trim());
  if (!match?.[1]) {
    if (isSigned(req)) return undefined;
    throw new NodeError(
      'invalid_api_key',
      "Invalid authorization. Use 'Bearer <cashu-token>' or 'Bearer <api-key>'.",
    );
  }
  return match[1];
}

/** Node keeps the first of two Authorization headers and joins others with a comma; the raw list shows them all. */
function countHeader(req: IncomingMessage, name: string): number {
  let count = 0;
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const given = req.rawHeaders[i];
    if (given?.length === name.length && given.toLowerCase() === name) count += 1;
  }
  return count;
}

const ambiguous = (name: string): NodeError =>
  new NodeError('ambiguous_credentials', `More than one ${name} header was sent; send exactly one.`);
