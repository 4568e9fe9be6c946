/** Which announcements a buyer should look at: the newest of each node, alive, and not from the future. */
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
}

/** `now` in Unix seconds. Relays are not trusted to have verified, replaced or expired anything. */
export async function freshAnnouncements(events: readonly NostrEvent[], now: number): Promise<Found[]> {
  const newest = new Map<string, NostrEvent>();
  const announcements = new Map<string, Announcement>();
  for (const event of events) {
    if (event.created_at > now + LIMITS.discover.futureSecondsMax) continue;
    const announcement = parseAnnouncement(event);
    if (announcement === undefined) continue;
    const address = `${event.pubkey}:${announcement.d}`;
    const known = newest.get(address);
    if (known !== undefined && !isNewer(event, known)) continue;
    // Last, because it is the dear check: only a genuine event may displace another. Others get their turn between.
    await nextTurn();
    if (verifyEvent(event) === undefined) continue;
    newest.set(address, event);
    announcements.set(event.id, announcement);
  }
  return [...newest.values()].flatMap((event) => {
    const announcement = announcements.get(event.id);
    return announcement !== undefined && isAlive(announcement, event.created_at, now)
      ? [
          {
            pubkey: event.pubkey,
            createdAt: event.created_at,
            announcement,
            proofOfLifeNeeded:
              announcement.heartbeatSeconds === undefined &&
              now - event.created_at > LIMITS.discover.unmarkedSecondsMax,
          },
        ]
      : [];
  });
}

function isAlive(announcement: Announcement, createdAt: number, now: number): boolean {
  const { status, urls, rpc, expiresAt, heartbeatSeconds } = announcement;
  if (status === 'offline' || (urls.length === 0 && rpc === undefined)) return false;
  if (expiresAt !== undefined && expiresAt <= now) return false;
  return (
    heartbeatSeconds === undefined || now - createdAt <= heartbeatSeconds * LIMITS.announce.heartbeatsMax
  );
}

/** NIP-01: at equal time the lowest id stays. */
const isNewer = (a: NostrEvent, b: NostrEvent): boolean =>
  a.created_at > b.created_at || (a.created_at === b.created_at && a.id < b.id);
