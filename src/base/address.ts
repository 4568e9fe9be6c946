/** Which addresses are on the public Internet, and which are somebody's own network. */
import { lookup as dnsLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

// One list per family: a rule for IPv6 would also match IPv4 addresses, which Node compares in their mapped form.
const PRIVATE_V4 = new BlockList();
const PRIVATE_V6 = new BlockList();
const V4: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
/** Only 2000::/3 is public; inside it, tunnels and translations that can hide a private IPv4 address. */
const V6: readonly [string, number][] = [
  ['::', 3],
  ['4000::', 2],
  ['8000::', 1],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];
for (const [net, prefix] of V4) PRIVATE_V4.addSubnet(net, prefix, 'ipv4');
for (const [net, prefix] of V6) PRIVATE_V6.addSubnet(net, prefix, 'ipv6');

/** True for loopback, private, link-local, multicast and other addresses that are not on the public Internet. */
export function isPrivateAddress(address: string): boolean {
  const version = isIP(address);
  if (version === 0) return true;
  return version === 4 ? PRIVATE_V4.check(address, 'ipv4') : PRIVATE_V6.check(address, 'ipv6');
}

/** The host of a URL if it is an IP literal, without the brackets of IPv6. */
export function ipLiteral(url: URL): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return isIP(host) === 0 ? undefined : host;
}

/**
 * Resolver for connections: hands over public addresses only, so that what was checked is what is connected to, and
 * a name cannot answer with a private address the second time.
 */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, { ...options, all: true }, (error, found) => {
    if (error !== null) return callback(error, []);
    const allowed = found.filter(({ address }) => !isPrivateAddress(address));
    const [first] = allowed;
    if (first === undefined) return callback(new PrivateAddressError(), []);
    if (options.all === true) callback(null, allowed);
    else callback(null, first.address, first.family);
  });
};

/** The name has no public address. */
export class PrivateAddressError extends Error {
  constructor() {
    super('private_address');
    this.name = 'PrivateAddressError';
  }
}
