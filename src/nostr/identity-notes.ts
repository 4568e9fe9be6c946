/** Profile (kind 0) and relay list (kind 10002) of the node: published when they change, and once a week. */
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { Announcement, EventTemplate } from '../protocol/announcement.ts';
import { buildProfile, buildRelayList } from '../protocol/identity.ts';
import type { NodeKey, RelaySet } from '../relay/relay.ts';
import type { CreatedAt, ValueStore } from './created-at.ts';

export interface IdentityNotes {
  /** Does nothing while both are known to relays and less than a week old. */
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
    const announce = await relays.publish(event, 'announce');
    const index = await relays.publish(event, 'index', indexOnly(relays));
    const taken = [...announce, ...index].some(({ outcome }) => outcome === 'ok' || outcome === 'duplicate');
    // Only what a relay took is done; the next round of the announcer tries again otherwise.
    if (taken) await store.put(name, `${hash} ${event.created_at}`);
  }

  return {
    publish: async (announcement) => {
      const status = relays.status();
      const write = status.filter(({ roles }) => roles.includes('announce')).map(({ url }) => url);
      const read = status
        .filter(({ roles }) => roles.includes('dm') || roles.includes('rpc'))
        .map(({ url }) => url);
      await publishOne(buildProfile(announcement, { createdAt: 0 }));
      await publishOne(buildRelayList({ write, read }, { createdAt: 0 }));
    },
  };
}

/** Indexers that are not announce relays as well. */
const indexOnly = (relays: RelaySet): string[] =>
  relays
    .status()
    .filter(({ roles }) => roles.includes('index') && !roles.includes('announce'))
    .map(({ url }) => url);
