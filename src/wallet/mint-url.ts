/** Names of mints: one spelling per mint and per keyset. */
import { isIP } from 'node:net';
import { normalizeMintUrl } from '@cashu/cashu-ts';

/**
 * The one spelling of a mint URL: lower-case host, default port and trailing slashes removed. Throws on other
 * schemes than http(s), on credentials, query, fragment and percent-encoded paths.
 */
export function normaliseMintUrl(url: string): string {
  if (url !== url.trim()) throw new Error('a mint URL has no surrounding space');
  return normalizeMintUrl(url);
}

/** The host of a URL if it is an IP literal, without the brackets of IPv6. */
export function ipLiteral(url: URL): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return isIP(host) === 0 ? undefined : host;
}

/** Hex keyset ids in lower case; the base64 ids of very old mints as they are. */
export const canonicalKeysetId = (id: string): string => (/^[0-9a-fA-F]+$/.test(id) ? id.toLowerCase() : id);
