/** Which addresses of strangers may be contacted: an announcement must not make us knock inside our own network. */
import { lookup as dnsLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Everything that is not a host of the public internet. IPv4 written as IPv6 is matched by the IPv4 rules. */
const special = new BlockList();
for (const [network, prefix] of [
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
] as const) {
  special.addSubnet(network, prefix, 'ipv4');
}
/** Inside global unicast: protocol assignments with Teredo, documentation, and IPv4 in 6to4 clothes. */
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  special.addSubnet(network, prefix, 'ipv6');
}
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');

export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !special.check(address, 'ipv4');
  if (family !== 6) return false;
  const isMapped = /^::ffff:/i.test(address);
  return !special.check(address, 'ipv6') && (isMapped || globalUnicast.check(address, 'ipv6'));
}

/** Host of a URL if it is an address and not a name; without the brackets of IPv6. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? undefined : bare;
}

/**
 * Resolver for connections: hands over public addresses only, so that what was checked is what is connected to, and
 * a name cannot answer with a private address the second time.
 */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, []);
    const allowed = addresses.filter(({ address }) => isPublicAddress(address));
    const [first] = allowed;
    if (first === undefined) return callback(new PrivateAddressError(), []);
    if (options.all === true) callback(null, allowed);
    else callback(null, first.address, first.family);
  });
};

export class PrivateAddressError extends Error {
  readonly code = 'EPRIVATE';
  constructor() {
    super('the name resolves to a private address');
    this.name = 'PrivateAddressError';
  }
}
