/** Directory: other nodes, as signed announcements on the node's own relays name them. No address of theirs is contacted. */
import { ipLiteral, isPrivateAddress } from './base/address.ts';
import { LIMITS } from './base/limits.ts';
import { errorKind, type Logger } from './base/log.ts';
import { type Clock, unixSeconds } from './base/time.ts';
import { createSieve, type Found } from './client/sieve.ts';
import { KIND } from './protocol/kinds.ts';
import type { RelaySet } from './relay/relay.ts';

/** As Routstr clients read it. */
export interface DirectoryEntry {
  id: string;
  pubkey: string;
  created_at: number;
  kind: number;
  endpoint_url: string;
  endpoint_urls: string[];
  onion_url: string | null;
  onion_urls: string[];
  name: string;
  description: string;
  mint_urls: string[];
  version: string;
  content: string;
}

export interface Directory {
  /** Newest first. Answers from memory; asks the relays again in the background when that is old. */
  list: () => Promise<readonly DirectoryEntry[]>;
}

export function createDirectory(options: { relays: RelaySet; clock: Clock; log: Logger }): Directory {
  const { relays, clock, log } = options;
  let known: readonly DirectoryEntry[] = [];
  let askedAt = -Infinity;
  let asking: Promise<void> | undefined;

  async function ask(): Promise<void> {
    const kinds = [KIND.announcement];
    const answers = await Promise.all([
      relays.query({ kinds }, 'discover'),
      relays.query({ kinds, '#t': ['ai-inference'] }, 'discover'),
    ]);
    const sieve = createSieve(unixSeconds(clock));
    await sieve.add(answers.flat());
    known = sieve
      .found()
      .filter((one) => !one.proofOfLifeNeeded)
      .sort((a, b) => b.createdAt - a.createdAt)
      .slice(0, LIMITS.discover.directoryMax)
      .flatMap(entryOf);
    askedAt = clock.monotonic();
  }

  return {
    list: async () => {
      const isOld = clock.monotonic() - askedAt > LIMITS.discover.directoryMs;
      if (isOld) {
        asking ??= ask()
          .catch((error: unknown) => log.warn('node.directory.failed', { error: errorKind(error) }))
          .finally(() => (asking = undefined));
      }
      // Only the first caller has nothing to show meanwhile.
      if (askedAt === -Infinity) await asking;
      return known;
    },
  };
}

/** Addresses on private networks are of no use to whoever reads this. */
function entryOf({ pubkey, createdAt, announcement, event }: Found): DirectoryEntry[] {
  const urls = announcement.urls.filter((address) => {
    const url = new URL(address);
    const literal = ipLiteral(url);
    return url.hostname !== 'localhost' && (literal === undefined || !isPrivateAddress(literal));
  });
  const onions = urls.filter((url) => new URL(url).hostname.endsWith('.onion'));
  const clear = urls.filter((url) => !onions.includes(url));
  const [first] = [...clear, ...onions];
  if (first === undefined) return [];
  return [
    {
      id: announcement.d,
      pubkey,
      created_at: createdAt,
      kind: KIND.announcement,
      endpoint_url: first,
      endpoint_urls: [...clear, ...onions],
      onion_url: onions[0] ?? null,
      onion_urls: onions,
      name: announcement.name,
      description: announcement.about,
      mint_urls: announcement.mints.map(({ url }) => url),
      version: announcement.version,
      content: event.content,
    },
  ];
}
