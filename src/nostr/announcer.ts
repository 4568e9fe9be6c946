/**
 * Announcer: keeps the node's announcement on its relays. Repeats it every heartbeat, follows changes after a
 * debounce, retries relays that missed it, and says goodbye with a tombstone.
 */
import { type Random, sha256Hex, systemRandom } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { type Announcement, buildAnnouncement, buildTombstone } from '../protocol/announcement.ts';
import { buildRetraction } from '../protocol/identity.ts';
import { KIND } from '../protocol/kinds.ts';
import type { NodeKey, NostrEvent, PublishOutcome, RelaySet } from '../relay/relay.ts';
import { differs } from './change.ts';
import { createCreatedAt, type ValueStore } from './created-at.ts';
import { createIdentityNotes } from './identity-notes.ts';
import { backoff, jittered } from './pace.ts';

/** One round: what each relay said about one event. */
export interface AnnounceReport {
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
   * Rejects only if the store does, and then nothing was published.
   */
  start: () => Promise<AnnounceReport>;
  /** Something that is announced may have changed; published after the debounce if it really did. */
  changed: () => void;
  stop: (options: { tombstone: boolean }) => Promise<void>;
  /** Asks the relays to delete the announcement (NIP-09) and stops announcing. */
  retract: () => Promise<AnnounceReport>;
  /** The latest round. */
  report: () => AnnounceReport | undefined;
}

export interface AnnouncerOptions {
  key: NodeKey;
  relays: RelaySet;
  /** Read anew for every round. */
  describe: () => Announcement;
  /** Durable: `put` resolves when the value survives a crash. */
  store: ValueStore;
  clock: Clock;
  log: Logger;
  heartbeatSeconds: number;
  debounceMs?: number;
  random?: Random;
}

export function createAnnouncer(options: AnnouncerOptions): Announcer {
  const { key, relays, store, clock, log, random = systemRandom } = options;
  const { heartbeatSeconds, debounceMs = LIMITS.announce.debounceMs } = options;
  const createdAt = createCreatedAt({ store, clock, log });
  const notes = createIdentityNotes({ key, relays, store, clock, createdAt });
  const stopped = new AbortController();
  let wake = new AbortController();
  let latest: AnnounceReport | undefined;
  let current: { event: NostrEvent; said: Announcement; missing: readonly string[] } | undefined;
  let failures = 0;
  let heartbeatAt = 0;
  let retryAt = Infinity;
  let changeAt = Infinity;
  let life: Promise<void> | undefined;

  const describe = (): Announcement => ({ ...options.describe(), heartbeatSeconds });

  async function announce(): Promise<AnnounceReport> {
    const said = describe();
    const at = await createdAt.next(KIND.announcement);
    const event = key.sign(buildAnnouncement(said, { createdAt: at, sha256Hex }));
    current = { event, said, missing: [] };
    changeAt = Infinity;
    failures = 0;
    heartbeatAt = clock.monotonic() + jittered(heartbeatSeconds * 1000, random);
    return note(event, await relays.publish(event, 'announce'));
  }

  /** The same event again, to the relays that could not take it before. */
  async function retry(): Promise<void> {
    if (current === undefined) return void (await announce());
    const before = latest?.eventId === current.event.id ? latest.outcomes : [];
    const { event, missing } = current;
    const outcomes = await relays.publish(event, 'announce', missing);
    const others = before.filter((old) => !outcomes.some(({ url }) => url === old.url));
    note(event, [...others, ...outcomes]);
  }

  function note(event: NostrEvent, outcomes: PublishOutcome[]): AnnounceReport {
    const accepted = latest?.eventId === event.id ? latest.accepted : undefined;
    latest = reportOf(event, outcomes);
    const missing = outcomes.filter(mayStillTake).map(({ url }) => url);
    if (current?.event.id === event.id) current = { ...current, missing };
    retryAt = missing.length === 0 ? Infinity : clock.monotonic() + backoff((failures += 1), random);
    const fields = { accepted: latest.accepted, relays: outcomes.length, created_at: event.created_at };
    if (latest.accepted === accepted) log.debug('nostr.announcement.retried', fields);
    else if (latest.accepted >= 2) log.info('nostr.announcement.published', fields);
    else log.warn(latest.accepted === 0 ? 'nostr.announcement.failed' : 'nostr.announcement.scarce', fields);
    return latest;
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
      const isChange = changeAt <= now && current !== undefined && differs(current.said, describe());
      if (changeAt <= now) changeAt = Infinity;
      if (isChange || heartbeatAt <= now) await announce();
      else if (retryAt <= now) await retry();
      if (!stopped.signal.aborted) await notes.publish(describe());
    } catch (error) {
      // The store refused created_at, or describe() failed: nothing was published, so try again later.
      retryAt = clock.monotonic() + backoff((failures += 1), random);
      heartbeatAt = Math.max(heartbeatAt, retryAt);
      log.warn('nostr.announcement.failed', { error: errorKind(error) });
    }
  }

  function halt(): void {
    stopped.abort();
    wake.abort();
  }

  return {
    start: async () => {
      const first = await announce();
      life ??= notes
        .publish(describe())
        .catch((error: unknown) => log.warn('nostr.profile.failed', { error: errorKind(error) }))
        .then(live);
      return first;
    },
    changed: () => {
      if (stopped.signal.aborted || changeAt !== Infinity) return;
      changeAt = clock.monotonic() + debounceMs;
      wake.abort();
    },
    stop: async ({ tombstone }) => {
      if (stopped.signal.aborted) return;
      halt();
      if (!tombstone || current === undefined) return;
      const farewell = async (): Promise<void> => {
        const at = await createdAt.next(KIND.announcement);
        const event = key.sign(buildTombstone(describe(), { createdAt: at }));
        latest = reportOf(event, await relays.publish(event, 'announce'));
        log.info('nostr.tombstone.published', { accepted: latest.accepted, relays: latest.outcomes.length });
      };
      const done = new AbortController();
      const late = clock.sleep(LIMITS.announce.tombstoneMs, done.signal);
      const said = farewell().catch((error: unknown) =>
        log.warn('nostr.tombstone.failed', { error: errorKind(error) }),
      );
      await Promise.race([said, late]);
      done.abort();
    },
    retract: async () => {
      halt();
      const at = await createdAt.next(KIND.announcement);
      const event = key.sign(
        buildRetraction({ pubkey: key.pubkey, d: options.describe().d }, { createdAt: at }),
      );
      latest = reportOf(event, await relays.publish(event, 'announce'));
      log.info('nostr.announcement.retracted', { accepted: latest.accepted, relays: latest.outcomes.length });
      return latest;
    },
    report: () => latest,
  };
}

const has = ({ outcome }: PublishOutcome): boolean => outcome === 'ok' || outcome === 'duplicate';
/** A refusal stays one; the rest is worth another attempt. */
const mayStillTake = ({ outcome }: PublishOutcome): boolean =>
  outcome === 'unreachable' || outcome === 'timeout' || outcome === 'rate-limited';

const reportOf = (event: NostrEvent, outcomes: PublishOutcome[]): AnnounceReport => ({
  eventId: event.id,
  kind: event.kind,
  createdAt: event.created_at,
  accepted: outcomes.filter(has).length,
  outcomes,
});
