/**
 * Announcer: keeps the node's announcement on its relays. Repeats it every heartbeat, follows changes after a
 * debounce, retries relays that missed it, and says goodbye with a tombstone.
 */
import { type Random, systemRandom } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { buildTombstone } from '../protocol/announcement-build.ts';
import type { Announcement } from '../protocol/announcement.ts';
import { buildRetraction } from '../protocol/identity.ts';
import { KIND } from '../protocol/kinds.ts';
import type { NodeKey, PublishOutcome, RelaySet } from '../relay/relay.ts';
import { changeOf } from './change.ts';
import { createCreatedAt, type ValueStore } from './created-at.ts';
import { createIdentityNotes } from './identity-notes.ts';
import { createOwnEvents, type Rival } from './own-events.ts';
import { backoff, jittered } from './pace.ts';
import { createRounds, reportOf } from './rounds.ts';

/** One round: what each relay said about one announcement. */
export interface AnnounceReport {
  /** Empty if nothing was published. */
  eventId: string;
  kind: number;
  /** Unix seconds. */
  createdAt: number;
  /** Relays that have the event now. */
  accepted: number;
  outcomes: PublishOutcome[];
}

export interface Announcer {
  /**
   * First announcement; resolves when every relay answered or its time was up. Goes on in the background.
   * Rejects only if the store does or the clock is wrong; then nothing was published yet, and it is tried again.
   */
  start: () => Promise<AnnounceReport>;
  /** Something that is announced may have changed; published after the debounce if it really did. */
  changed: () => void;
  stop: (options: { tombstone: boolean }) => Promise<void>;
  /** Asks the relays to delete the announcement (NIP-09) and stops announcing. */
  retract: () => Promise<AnnounceReport>;
  /** The latest round. */
  report: () => AnnounceReport | undefined;
  /** Another process that announced with our key within its last two heartbeats. */
  rival: () => Rival | undefined;
}

export interface AnnouncerOptions {
  key: NodeKey;
  relays: RelaySet;
  /** Read anew for every round. */
  describe: () => Announcement;
  /** `d` of `describe` is only a default: an identifier that the relays know this key by is kept. */
  reuseIdentifier?: boolean;
  /** Durable: `put` resolves when the value survives a crash. */
  store: ValueStore;
  clock: Clock;
  log: Logger;
  heartbeatSeconds: number;
  debounceMs?: number;
  random?: Random;
}

export function createAnnouncer(options: AnnouncerOptions): Announcer {
  const { key, relays, store, clock, log, random = systemRandom, reuseIdentifier = false } = options;
  const { heartbeatSeconds, debounceMs = LIMITS.announce.debounceMs } = options;
  const createdAt = createCreatedAt({ store, clock, log });
  const notes = createIdentityNotes({ key, relays, store, clock, createdAt });
  const own = createOwnEvents({ key, relays, store, createdAt, reuseIdentifier, clock, log });
  const rounds = createRounds({ key, relays, createdAt, log });
  const stopped = new AbortController();
  let wake = new AbortController();
  let latest: AnnounceReport | undefined;
  let said: Announcement | undefined;
  let failures = 0;
  let announcedAt = -Infinity;
  let heartbeatAt = 0;
  let retryAt = Infinity;
  let changeAt = Infinity;
  let life: Promise<void> | undefined;

  const describe = (): Announcement => {
    const now = options.describe();
    return { ...now, d: own.identifier() ?? now.d, heartbeatSeconds };
  };

  async function announce(): Promise<AnnounceReport> {
    if (stopped.signal.aborted) return NOTHING;
    const now = describe();
    const publishing = await rounds.begin(now);
    // It must not overtake the tombstone.
    if (stopped.signal.aborted) return NOTHING;
    said = now;
    changeAt = Infinity;
    failures = 0;
    announcedAt = clock.monotonic();
    heartbeatAt = announcedAt + jittered(heartbeatSeconds * 1000, random);
    return note(await publishing());
  }

  function note(report: AnnounceReport): AnnounceReport {
    latest = report;
    retryAt = rounds.missing() ? clock.monotonic() + backoff((failures += 1), random) : Infinity;
    return report;
  }

  async function live(): Promise<void> {
    while (!stopped.signal.aborted) {
      const now = clock.monotonic();
      const due = Math.min(heartbeatAt, retryAt, changeAt);
      if (due > now) {
        await clock.sleep(due - now, wake.signal);
        if (wake.signal.aborted) wake = new AbortController();
        continue;
      }
      await round(now);
    }
  }

  async function round(now: number): Promise<void> {
    try {
      if (heartbeatAt <= now || (changeAt <= now && changedNow(now))) {
        // Limits that were not known before, and news of another process on our key.
        await Promise.all([relays.informed(), own.look(describe())]);
        await announce();
      } else if (retryAt <= now) {
        if (said === undefined) await announce();
        else note(await rounds.retry());
      }
      if (!stopped.signal.aborted) await notes.publish(describe());
    } catch (error) {
      again();
      log.warn('nostr.announcement.failed', { error: errorKind(error) });
    }
  }

  /** The store refused created_at, the clock is wrong, or describe() failed: nothing was published, which may pass. */
  function again(): void {
    retryAt = clock.monotonic() + backoff((failures += 1), random);
    heartbeatAt = Math.max(heartbeatAt, retryAt);
  }

  const tellNotes = async (): Promise<void> => {
    if (said === undefined) return;
    await notes
      .publish(describe())
      .catch((error: unknown) => log.warn('nostr.profile.failed', { error: errorKind(error) }));
  };

  /** Prices move all the time, so a round for their sake alone waits for its turn. */
  function changedNow(now: number): boolean {
    changeAt = Infinity;
    if (said === undefined) return true;
    const change = changeOf(said, describe());
    const turn = announcedAt + LIMITS.announce.priceGapMs;
    if (change === 'prices' && now < turn) changeAt = turn;
    return change === 'facts' || (change === 'prices' && now >= turn);
  }

  function halt(): void {
    stopped.abort();
    wake.abort();
  }

  return {
    start: async () => {
      try {
        await Promise.all([relays.informed(), own.look(describe())]);
        return await announce();
      } catch (error) {
        again();
        throw error;
      } finally {
        if (!stopped.signal.aborted) life ??= tellNotes().then(live);
      }
    },
    changed: () => {
      if (stopped.signal.aborted) return;
      const now = clock.monotonic();
      const at = Math.max(now + debounceMs, announcedAt + LIMITS.announce.gapMs);
      if (at >= changeAt) return;
      changeAt = at;
      wake.abort();
    },
    stop: async ({ tombstone }) => {
      if (stopped.signal.aborted) return;
      halt();
      if (!tombstone || said === undefined) return;
      const farewell = async (): Promise<void> => {
        const at = await createdAt.next(KIND.announcement);
        const event = key.sign(buildTombstone(describe(), { createdAt: at }));
        latest = reportOf(event, await relays.publish(event, 'announce'));
        log.info('nostr.tombstone.published', { accepted: latest.accepted, relays: latest.outcomes.length });
      };
      const done = new AbortController();
      const late = clock.sleep(LIMITS.announce.tombstoneMs, done.signal);
      const parting = farewell().catch((error: unknown) =>
        log.warn('nostr.tombstone.failed', { error: errorKind(error) }),
      );
      await Promise.race([parting, late]);
      done.abort();
    },
    retract: async () => {
      halt();
      // The address to delete may be one that this process has not announced under.
      if (said === undefined) await own.look(describe());
      const at = await createdAt.next(KIND.announcement);
      const event = key.sign(buildRetraction({ pubkey: key.pubkey, d: describe().d }, { createdAt: at }));
      latest = reportOf(event, await relays.publish(event, 'announce'));
      log.info('nostr.announcement.retracted', { accepted: latest.accepted, relays: latest.outcomes.length });
      return latest;
    },
    report: () => latest,
    rival: own.rival,
  };
}

const NOTHING: AnnounceReport = {
  eventId: '',
  kind: KIND.announcement,
  createdAt: 0,
  accepted: 0,
  outcomes: [],
};
