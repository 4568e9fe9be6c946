/** Profile (0) and relay lists (10002, 10050) of the node: published when they change, and once a week. */
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { Announcement, EventTemplate } from '../protocol/announcement.ts';
import { buildMessageRelays, buildProfile, buildRelayList } from '../protocol/identity.ts';
import { KIND } from '../protocol/kinds.ts';
import type { NodeKey, RelaySet } from '../relay/relay.ts';
import type { CreatedAt, ValueStore } from './created-at.ts';

export interface IdentityNotes {
  /** Does nothing while all are known to relays and less than a week old. */
  publish: (announcement: Announcement) => Promise<void>;
}

export function createIdentityNotes(options: {
  key: NodeKey;
  relays: RelaySet;
  store: ValueStore;
  clock: Clock;
  createdAt: CreatedAt;
}): IdentityNotes {
  const { key, relays, store, clock, createdAt } = options;

  async function publishOne(template: EventTemplate): Promise<void> {
    const name = `nostr/done/${template.kind}`;
    const hash = sha256Hex(JSON.stringify([key.pubkey, template.tags, template.content]));
    const [knownHash, at] = (store.get(name) ?? '').split(' ');
    const age = unixSeconds(clock) - Number(at);
    if (knownHash === hash && age >= 0 && age < LIMITS.announce.profileSeconds) return;
    const event = key.sign({ ...template, created_at: await createdAt.next(template.kind) });
    const outcomes = await relays.publishTo(event, audience(relays));
    const taken = outcomes.some(({ outcome }) => outcome === 'ok' || outcome === 'duplicate');
    // Only what a relay took is done; the next round of the announcer tries again otherwise.
    if (taken) await store.put(name, `${hash} ${event.created_at}`);
  }

  return {
    publish: async (announcement) => {
      const write = relays
        .status()
        .filter(({ roles }) => roles.includes('announce'))
        .map(({ url }) => url);
      // Where the announcement says that messages are read.
      const read = (announcement.relays ?? []).map(({ url }) => url);
      await publishOne(buildProfile(announcement, { createdAt: 0 }));
      await publishOne(buildRelayList({ write, read }, { createdAt: 0 }));
      // An empty list takes back one that was published when there were such relays.
      const told = store.get(`nostr/done/${KIND.messageRelays}`) !== undefined;
      if (read.length > 0 || told) await publishOne(buildMessageRelays(read, { createdAt: 0 }));
    },
  };
}

/** Announce relays, indexers, and those that carry messages: a sender may know only one of these. */
const audience = (relays: RelaySet): string[] =>
  relays
    .status()
    .filter(({ roles }) => roles.some((role) => role !== 'discover'))
    .map(({ url }) => url);
