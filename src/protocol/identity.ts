/** Events about the node's key: profile (0), relay lists (10002, 10050) and the request to delete (5); its NIP-05 name. */
import type { Announcement, EventTemplate } from './announcement.ts';
import { KIND } from './kinds.ts';

/** NIP-01 profile, marked as an automated account (NIP-24), with the NIP-05 name of its first web address. */
export function buildProfile(announcement: Announcement, options: { createdAt: number }): EventTemplate {
  const { name, about, picture, urls } = announcement;
  const website = urls[0];
  const name05 = urls.flatMap((url) => nip05Of(url) ?? [])[0];
  return {
    kind: KIND.profile,
    created_at: options.createdAt,
    tags: [],
    content: JSON.stringify({
      name,
      about,
      ...(picture === undefined ? {} : { picture }),
      ...(website === undefined ? {} : { website }),
      ...(name05 === undefined ? {} : { nip05: name05 }),
      bot: true,
    }),
  };
}

/** NIP-65: relays this key writes to, and those on which it reads messages. */
export function buildRelayList(
  relays: { write: readonly string[]; read: readonly string[] },
  options: { createdAt: number },
): EventTemplate {
  const both = relays.write.filter((url) => relays.read.includes(url));
  return {
    kind: KIND.relayList,
    created_at: options.createdAt,
    tags: [
      ...both.map((url) => ['r', url]),
      ...relays.write.filter((url) => !both.includes(url)).map((url) => ['r', url, 'write']),
      ...relays.read.filter((url) => !both.includes(url)).map((url) => ['r', url, 'read']),
    ],
    content: '',
  };
}

/** NIP-17: the relays on which this key takes private messages; without it senders must not try. */
export function buildMessageRelays(relays: readonly string[], options: { createdAt: number }): EventTemplate {
  return {
    kind: KIND.messageRelays,
    created_at: options.createdAt,
    tags: relays.map((url) => ['relay', url]),
    content: '',
  };
}

/** `_@host`, shown as the host alone; only of addresses at whose root the node itself answers over https. */
export function nip05Of(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { protocol, host, hostname, pathname } = new URL(url);
  const atRoot = protocol === 'https:' && host === hostname && pathname === '/';
  return atRoot && !hostname.endsWith('.onion') ? `_@${hostname}` : undefined;
}

/** Body of /.well-known/nostr.json. */
export const nip05Document = (pubkey: string, relays: readonly string[]): Record<string, unknown> => ({
  names: { _: pubkey },
  relays: { [pubkey]: relays },
});

/** NIP-09: asks relays to delete every version of the announcement up to now. */
export function buildRetraction(
  node: { pubkey: string; d: string },
  options: { createdAt: number },
): EventTemplate {
  return {
    kind: KIND.deletion,
    created_at: options.createdAt,
    tags: [
      ['a', `${KIND.announcement}:${node.pubkey}:${node.d}`],
      ['k', String(KIND.announcement)],
    ],
    content: 'This node is no longer offered.',
  };
}
