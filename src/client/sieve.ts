/** createSieve: which announcements a buyer should look at: genuine, the newest of each node, alive, not of the future. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LIMITS } from '../base/limits.ts';
import { type Announcement, parseAnnouncement } from '../protocol/announcement.ts';
import { verifyEvent } from '../relay/event.ts';
import type { NostrEvent } from '../relay/relay.ts';

export interface Found {
  pubkey: string;
  createdAt: number;
  announcement: Announcement;
  /** Old nodes give no heartbeat; an old event of theirs says nothing about whether they live. */
  proofOfLifeNeeded: boolean;
  event: NostrEvent;
}

/** Why an announcement or its provider is not listed. */
export type DropReason =
  | 'malformed'
  | 'forged'
  | 'superseded'
  | 'future'
  | 'expired'
  | 'stale'
  | 'offline'
  | 'no_address'
  | 'impostor'
  | 'unproven'
  | 'not_wanted';

export interface Sieve {
  /** Takes events as a relay or a file gave them, believing nothing. Copies count once. One call at a time. */
  add: (events: readonly NostrEvent[]) => Promise<void>;
  /** What is left now. */
  found: () => Found[];
  drop: (reason: DropReason) => void;
  /** How many were dropped for each reason so far. */
  dropped: () => Partial<Record<DropReason, number>>;
}

/** `now` in Unix seconds. Relays are not trusted to have verified, replaced or expired anything. */
export function createSieve(now: number): Sieve {
  const newest = new Map<string, NostrEvent>();
  const announcements = new Map<string, Announcement>();
  const seen = new Set<string>();
  const counts = new Map<DropReason, number>();
  const drop = (reason: DropReason): void => void counts.set(reason, (counts.get(reason) ?? 0) + 1);

  async function take(event: NostrEvent): Promise<void> {
    if (event.created_at > now + LIMITS.discover.futureSecondsMax) return drop('future');
    const announcement = parseAnnouncement(event);
    if (announcement === undefined) return drop('malformed');
    const address = `${event.pubkey}:${announcement.d}`;
    const known = newest.get(address);
    if (known !== undefined && !isNewer(event, known)) return drop('superseded');
    // Last, because it is the dear check: only a genuine event may displace another. Others get their turn between.
    await nextTurn();
    if (verifyEvent(event) === undefined) return drop('forged');
    if (known !== undefined) drop('superseded');
    newest.set(address, event);
    announcements.set(event.id, announcement);
  }

  /** Dead ones stay known: a tombstone keeps older announcements out. */
  const living = () =>
    [...newest.values()].flatMap((event) => {
      const announcement = announcements.get(event.id);
      if (announcement === undefined) return [];
      return [{ event, announcement, fault: whyDead(announcement, event.created_at, now) }];
    });

  return {
    add: async (events) => {
      for (const event of events) {
        // The signature is part of the name, so that a forged copy cannot take the place of the genuine one.
        const name = event.id + event.sig;
        if (seen.has(name)) continue;
        seen.add(name);
        await take(event);
      }
    },
    found: () =>
      living().flatMap(({ event, announcement, fault }) =>
        fault === undefined ? [foundIn(event, announcement, now)] : [],
      ),
    drop,
    dropped: () => {
      const all = new Map(counts);
      for (const { fault } of living()) if (fault !== undefined) all.set(fault, (all.get(fault) ?? 0) + 1);
      return Object.fromEntries(all);
    },
  };
}

const foundIn = (event: NostrEvent, announcement: Announcement, now: number): Found => ({
  pubkey: event.pubkey,
  createdAt: event.created_at,
  announcement,
  proofOfLifeNeeded:
    announcement.heartbeatSeconds === undefined &&
    now - event.created_at > LIMITS.discover.unmarkedSecondsMax,
  event,
});

function whyDead(announcement: Announcement, createdAt: number, now: number): DropReason | undefined {
  const { status, urls, rpc, expiresAt, heartbeatSeconds } = announcement;
  if (status === 'offline') return 'offline';
  if (urls.length === 0 && rpc === undefined) return 'no_address';
  if (expiresAt !== undefined && expiresAt <= now) return 'expired';
  const patience = (heartbeatSeconds ?? Infinity) * LIMITS.announce.heartbeatsMax;
  return now - createdAt > patience ? 'stale' : undefined;
}

/** NIP-01: at equal time the lowest id stays. */
const isNewer = (a: NostrEvent, b: NostrEvent): boolean =>
  a.created_at > b.created_at || (a.created_at === b.created_at && a.id < b.id);
