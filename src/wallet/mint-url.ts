/** Names of mints: one spelling per mint and per keyset. */
import { normalizeMintUrl } from '@cashu/cashu-ts';

/**
 * The one spelling of a mint URL: lower-case host, default port and trailing slashes removed. Throws on other
 * schemes than http(s), on credentials, query, fragment and percent-encoded paths.
 */
export function normaliseMintUrl(url: string): string {
  if (url !== url.trim()) throw new Error('a mint URL has no surrounding space');
  return normalizeMintUrl(url);
}

/** Hex keyset ids in lower case; the base64 ids of very old mints as they are. */
export const canonicalKeysetId = (id: string): string => (/^[0-9a-fA-F]+$/.test(id) ? id.toLowerCase() : id);
