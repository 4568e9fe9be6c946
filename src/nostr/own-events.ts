/** What the relays already hold of our key: the identifier in use, the newest time, and signs of another process. */
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { type Announcement, parseAnnouncement } from '../protocol/announcement.ts';
import { KIND } from '../protocol/kinds.ts';
import { type NodeKey, type RelaySet } from '../relay/relay.ts';
import type { CreatedAt, ValueStore } from './created-at.ts';

/** Another process that announces with our key. */
export interface Rival {
  version: string;
  urls: string[];
  /** Unix seconds. */
  createdAt: number;
}

export interface OwnEvents {
  /** Asks the announce relays; bounded by LIMITS.relay.queryTimeoutMs. Rejects only if the store does. */
  look: (ours: Announcement) => Promise<void>;
  /** Identifier to announce under instead of the default; undefined if the default is right. */
  identifier: () => string | undefined;
  rival: () => Rival | undefined;
}

export function createOwnEvents(options: {
  key: NodeKey;
  relays: RelaySet;
  store: ValueStore;
  createdAt: CreatedAt;
  /** Take over the identifier under which this key was announced before it came here. */
  reuseIdentifier: boolean;
  clock: Clock;
  log: Logger;
}): OwnEvents {
  const { key, relays, store, createdAt, reuseIdentifier, clock, log } = options;
  let rival: Rival | undefined;

  return {
    look: async (ours) => {
      const events = await relays.query({ kinds: [KIND.announcement], authors: [key.pubkey] }, 'announce');
      const now = unixSeconds(clock);
      // From a clock that is far ahead: nothing that we sign today could be later and still be taken.
      const credible = events.filter(
        ({ created_at: at, kind, pubkey }) =>
          kind === KIND.announcement && pubkey === key.pubkey && at <= now + LIMITS.discover.futureSecondsMax,
      );
      const found = credible.flatMap((event) => {
        const said = parseAnnouncement(event);
        return said === undefined ? [] : [{ said, at: event.created_at }];
      });
      const newest = found[0];
      const last = createdAt.last(KIND.announcement);
      if (newest === undefined) return;

      const { said, at } = newest;
      const lives = said.status === 'online' && now - at < 2 * (said.heartbeatSeconds ?? 3_600);
      const differs = said.version !== ours.version || said.urls.join(' ') !== ours.urls.join(' ');
      if (at > last && lives && differs) {
        rival = { version: said.version, urls: said.urls, createdAt: at };
        log.warn('nostr.key.shared', { version: said.version.slice(0, 40), created_at: at });
      } else if (rival !== undefined && now - rival.createdAt >= 2 * (ours.heartbeatSeconds ?? 3_600)) {
        rival = undefined;
      }
      createdAt.seen(KIND.announcement, at);

      const known = store.get(IDENTIFIER) ?? ours.d;
      const strange = last === 0 && !found.some((one) => one.said.d === known);
      if (reuseIdentifier && strange) await store.put(IDENTIFIER, said.d);
    },
    identifier: () => (reuseIdentifier ? store.get(IDENTIFIER) : undefined),
    rival: () => rival,
  };
}

const IDENTIFIER = 'nostr/d';
