/** URLs of the configuration: one normal form for each, and a plain sentence when it cannot be had. */
import { isIP } from 'node:net';

export type UrlCheck = { url: string; warning?: string } | { problem: string };

/** Base URL of an upstream. It is the operator's own choice, so it may be private and may be http. */
export function checkBaseUrl(text: string): UrlCheck {
  const url = parseHttp(text);
  return typeof url === 'string' ? { problem: url } : { url: normal(url) };
}

/** Base URL that buyers are told: https, or http where no certificate can exist (.onion) or none is needed. */
export function checkPublicUrl(text: string): UrlCheck {
  const url = parseHttp(text);
  if (typeof url === 'string') return { problem: url };
  const base = normal(url);
  if (base.endsWith('/v1')) return { problem: 'must be given without /v1; buyers add it themselves' };
  if (isPrivateHost(url.hostname)) {
    return { url: base, warning: 'is a private address: buyers on other machines cannot reach it' };
  }
  if (url.protocol === 'http:' && !url.hostname.endsWith('.onion')) {
    return { problem: 'must be https: keys and tokens would cross the network in the clear' };
  }
  return { url: base };
}

/** A mint is reached over https by a public name, unless the operator said `allow_private: true`. */
export function checkMintUrl(text: string, allowPrivate: boolean): UrlCheck {
  const url = parseHttp(text);
  if (typeof url === 'string') return { problem: url };
  if (!allowPrivate && url.protocol === 'http:') {
    return { problem: 'must be https; add allow_private: true for a mint of your own on http' };
  }
  if (!allowPrivate && isPrivateHost(url.hostname)) {
    return { problem: 'is a private address; add allow_private: true if this mint is your own' };
  }
  return { url: normal(url) };
}

/** True for names and literal addresses that never leave the machine or its local network. */
export function isPrivateHost(hostname: string): boolean {
  const host = hostname.toLowerCase().replace(/^\[|\]$/g, '');
  if (isIP(host) === 6) {
    const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(host);
    if (mapped) return isPrivateV4(v4OfHex(mapped[1] ?? '0', mapped[2] ?? '0'));
    return host === '::1' || host === '::' || /^f[cd]/.test(host) || /^fe[89ab]/.test(host);
  }
  if (isIP(host) === 4) return isPrivateV4(host);
  return host === 'localhost' || /\.(localhost|local|internal)$/.test(host);
}

function isPrivateV4(address: string): boolean {
  const [a = 0, b = 0] = address.split('.').map(Number);
  if (a === 0 || a === 10 || a === 127) return true;
  return (
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168)
  );
}

function v4OfHex(high: string, low: string): string {
  const bits = parseInt(high, 16) * 65_536 + parseInt(low, 16);
  return [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join('.');
}

/** The URL, or the reason why there is none. The text itself is never repeated: it may hold a password. */
function parseHttp(text: string): URL | string {
  if (!URL.canParse(text)) return 'is not a URL; expected https://host[/path]';
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must begin with https:// or http://';
  if (url.username !== '' || url.password !== '') return 'must not carry a user name or password';
  if (url.search !== '' || url.hash !== '') return 'must not carry a query or fragment';
  return url;
}

/** Host in lower case, default port dropped, no slash at the end. */
const normal = (url: URL): string => url.href.replace(/\/+$/, '');
