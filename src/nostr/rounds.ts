/** Rounds: one announcement signed in the editions its relays take, published, and repeated where it was missed. */
import type { Logger } from '../base/log.ts';
import { LIMITS } from '../base/limits.ts';
import type { Announcement } from '../protocol/announcement.ts';
import { KIND } from '../protocol/kinds.ts';
import type { NodeKey, NostrEvent, PublishOutcome, RelaySet } from '../relay/relay.ts';
import type { AnnounceReport } from './announcer.ts';
import type { CreatedAt } from './created-at.ts';
import { editionsFor } from './editions.ts';

export interface Rounds {
  /** Signs; the result publishes. Rejects if the store does or the clock is wrong, and then nothing is signed. */
  begin: (said: Announcement) => Promise<() => Promise<AnnounceReport>>;
  /** The same events again, to the relays that could not take theirs before. */
  retry: () => Promise<AnnounceReport>;
  /** Whether there is a relay that may still take it. */
  missing: () => boolean;
}

interface Signed {
  event: NostrEvent;
  urls: string[];
}

export function createRounds(options: {
  key: NodeKey;
  relays: RelaySet;
  createdAt: CreatedAt;
  log: Logger;
}): Rounds {
  const { key, relays, createdAt, log } = options;
  let signed: Signed[] = [];
  let outcomes: PublishOutcome[] = [];
  let accepted: number | undefined;

  const announceRelays = () => relays.status().filter(({ roles }) => roles.includes('announce'));

  async function publish(only: (url: string) => boolean): Promise<AnnounceReport> {
    const turn = signed;
    const answers = await Promise.all(
      turn.map(({ event, urls }) => relays.publishTo(event, urls.filter(only))),
    );
    const news = new Map(answers.flat().map((outcome) => [outcome.url, outcome]));
    // A later round has begun meanwhile: its outcomes are the ones to keep.
    if (turn !== signed) return reportOf(last(turn), [...news.values()]);
    const known = new Map([...outcomes.map((old) => [old.url, old] as const), ...news]);
    outcomes = announceRelays().flatMap(({ url }) => known.get(url) ?? []);
    const report = reportOf(last(turn), outcomes);
    tell(report);
    return report;
  }

  function tell(report: AnnounceReport): void {
    const fields = {
      accepted: report.accepted,
      relays: report.outcomes.length,
      created_at: report.createdAt,
    };
    if (report.accepted === accepted) log.debug('nostr.announcement.retried', fields);
    else if (report.accepted >= 2) log.info('nostr.announcement.published', fields);
    else log.warn(report.accepted === 0 ? 'nostr.announcement.failed' : 'nostr.announcement.scarce', fields);
    accepted = report.accepted;
  }

  return {
    begin: async (said) => {
      checkClock(relays);
      const { editions, skipped } = editionsFor(said, announceRelays());
      const made: Signed[] = [];
      for (const { build, urls } of editions) {
        made.push({ event: key.sign(build(await createdAt.next(KIND.announcement))), urls });
      }
      return async () => {
        signed = made;
        outcomes = skipped;
        accepted = undefined;
        for (const { url } of skipped) log.warn('nostr.announcement.skipped', { relay: new URL(url).host });
        return publish(() => true);
      };
    },
    retry: () => {
      const missed = new Set(outcomes.filter(mayStillTake).map(({ url }) => url));
      return publish((url) => missed.has(url));
    },
    missing: () => outcomes.some(mayStillTake),
  };
}

export const reportOf = (event: NostrEvent | undefined, outcomes: PublishOutcome[]): AnnounceReport => ({
  eventId: event?.id ?? '',
  kind: event?.kind ?? KIND.announcement,
  createdAt: event?.created_at ?? 0,
  accepted: outcomes.filter(has).length,
  outcomes,
});

const last = (signed: readonly Signed[]): NostrEvent | undefined => signed.at(-1)?.event;

const has = ({ outcome }: PublishOutcome): boolean => outcome === 'ok' || outcome === 'duplicate';

/** A refusal stays one; the rest is worth another attempt. */
const mayStillTake = ({ outcome }: PublishOutcome): boolean =>
  outcome === 'unreachable' || outcome === 'timeout' || outcome === 'rate-limited';

/** One relay may be wrong about the time; two that agree are not. */
function checkClock(relays: RelaySet): void {
  const ahead = relays.status().flatMap(({ limits }) => limits?.clockAheadMs ?? []);
  const off = (sign: number): number =>
    ahead.filter((ms) => ms * sign > LIMITS.announce.clockOffMsMax).length;
  for (const sign of [1, -1]) {
    if (off(sign) >= 2 && off(sign) * 2 > ahead.length) {
      throw new Error('The clock of this machine is more than a minute off; nothing was announced.');
    }
  }
}
