/** Source of a request: the network it came from, as far as that tells one client from another. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { isPrivateAddress } from '../base/address.ts';

/** A request is born with Express's prototype, which answers for `ip`, whether or not it goes through its routes. */
export type Addressed = IncomingMessage & { readonly ip?: string | undefined };

/**
 * IPv4 address, or the /64 of an IPv6 address, which is what one customer has. Undefined for loopback and private
 * networks: a proxy that is not trusted to name its clients stands for all of them, and must not be shut out for one.
 */
export function sourceOf(req: Addressed): string | undefined {
  return networkOf(req.ip ?? '');
}

export function networkOf(text: string): string | undefined {
  const address = text.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (isPrivateAddress(address)) return undefined;
  if (isIP(address) === 4) return address;
  const [head = '', tail] = address.split('::');
  const groups = head.split(':').filter(Boolean);
  const after = tail?.split(':').filter(Boolean) ?? [];
  const zeros = tail === undefined ? 0 : 8 - groups.length - after.length;
  const full = [...groups, ...Array.from({ length: zeros }, () => '0'), ...after];
  return `${full
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
