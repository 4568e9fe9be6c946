/** Events about the node's key: profile (kind 0), relay list (kind 10002) and the request to delete (kind 5). */
import type { Announcement, EventTemplate } from './announcement.ts';
import { KIND } from './kinds.ts';

/** NIP-01 profile, marked as an automated account (NIP-24). */
export function buildProfile(announcement: Announcement, options: { createdAt: number }): EventTemplate {
  const { name, about, picture, urls } = announcement;
  const website = urls[0];
  return {
    kind: KIND.profile,
    created_at: options.createdAt,
    tags: [],
    content: JSON.stringify({
      name,
      about,
      ...(picture === undefined ? {} : { picture }),
      ...(website === undefined ? {} : { website }),
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
