/** Publishing on one link: our own pace, the relay's verdicts and what of them is remembered. */
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { KIND } from '../protocol/kinds.ts';
import { createBucket } from './bucket.ts';
import type { Connection } from './connection.ts';
import { asRefusal, judge, wantsAuth } from './outcome.ts';
import type { NostrEvent, PublishOutcome, RelayConfig, RelayLimits } from './relay.ts';

/** `["EVENT",` and `]` around an event. */
export const FRAME_BYTES = 10;

export interface Publishing {
  /** Never rejects for anything the relay does; at most LIMITS.relay.publishTimeoutMs. */
  publish: (event: NostrEvent) => Promise<PublishOutcome>;
}

export function createPublishing(options: {
  config: RelayConfig;
  /** Whether this link answers NIP-42 challenges. */
  answersAuth: boolean;
  /** What the relay said that it takes, as far as it is known. */
  limits: () => RelayLimits | undefined;
  ready: (timeoutMs: number) => Promise<Connection | undefined>;
  onRefused: (reason: string) => void;
  clock: Clock;
  log: Logger;
}): Publishing {
  const { config, answersAuth, ready, clock, log } = options;
  const { url } = config;
  // Conversations cannot wait as long as announcements can.
  const talks = config.roles.includes('dm') || config.roles.includes('rpc');
  const patience = talks ? LIMITS.relay.rateLimitedTalkMs : LIMITS.relay.rateLimitedMs;
  const bucket = createBucket({ ...paceOf(config), clock });
  /** Sticky refusals by kind: a relay that takes no announcements may still take profiles. */
  const refusals = new Map<number, string>();
  const inFlight = new Map<string, Promise<PublishOutcome>>();
  let quietUntil = 0;
  let quietMs: number = patience;

  async function publishNow(event: NostrEvent): Promise<PublishOutcome> {
    const reason = refusals.get(event.kind);
    if (reason !== undefined) return { url, outcome: 'refused', reason, sticky: true };
    const tooLarge = largerThan(config, options.limits(), event);
    if (tooLarge !== undefined) return { url, outcome: 'refused', reason: tooLarge, sticky: false };
    if (clock.monotonic() < quietUntil) {
      return { url, outcome: 'rate-limited', reason: 'left alone for a while because it said rate-limited' };
    }
    const deadline = clock.monotonic() + LIMITS.relay.publishTimeoutMs;
    const left = (): number => Math.max(0, deadline - clock.monotonic());
    const open = await ready(left());
    if (open === undefined) return { url, outcome: 'unreachable', reason: 'no connection' };
    if (!(await bucket.take(left()))) {
      return { url, outcome: 'rate-limited', reason: 'our own limit for this relay is used up' };
    }
    let reply = await open.publish(event, left());
    if (reply.reply === 'refused' && wantsAuth(reply.text) && answersAuth) {
      const verdict = await open.authenticated(left());
      if (verdict === undefined) reply = { reply: 'timeout' };
      else
        reply = verdict.ok
          ? await open.publish(event, left())
          : { reply: 'refused', text: asRefusal(verdict.text) };
    }
    return note(event.kind, judge(url, reply));
  }

  function note(kind: number, outcome: PublishOutcome): PublishOutcome {
    if (outcome.outcome === 'ok' || outcome.outcome === 'duplicate') {
      quietMs = patience;
    } else if (outcome.outcome === 'rate-limited') {
      quietUntil = clock.monotonic() + quietMs;
      quietMs = Math.min(quietMs * 2, LIMITS.relay.rateLimitedMaxMs);
    } else if (outcome.outcome === 'refused' && outcome.sticky) {
      // A wrap may be refused because of its reader; the next one has another.
      if (kind !== KIND.wrap && kind !== KIND.ephemeralWrap) refusals.set(kind, outcome.reason);
      options.onRefused(outcome.reason);
      const prefix = outcome.reason.split(':')[0] ?? '';
      log.warn('relay.publish.refused', { relay: new URL(url).host, kind, prefix });
    }
    return outcome;
  }

  return {
    publish: (event) => {
      // The relay client keeps one waiter per event id, so a second caller shares the first one's answer.
      const running = inFlight.get(event.id);
      if (running !== undefined) return running;
      const turn = publishNow(event).finally(() => inFlight.delete(event.id));
      inFlight.set(event.id, turn);
      return turn;
    },
  };
}

/** Why the relay would not take an event of this size; undefined if nothing is known against it. */
function largerThan(
  { maxEventBytes = Infinity }: RelayConfig,
  { messageBytes = Infinity, tags = Infinity, contentChars = Infinity }: RelayLimits = {},
  event: NostrEvent,
): string | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(event));
  const bytesMax = Math.min(maxEventBytes, messageBytes - FRAME_BYTES);
  if (bytes > bytesMax) return `the event has ${bytes} bytes, this relay takes ${bytesMax}`;
  if (event.tags.length > tags) return `the event has ${event.tags.length} tags, this relay takes ${tags}`;
  const chars = event.content.length;
  if (chars > contentChars) return `the content has ${chars} characters, this relay takes ${contentChars}`;
  return undefined;
}

/** What relays.json says, else the default of the busiest role. */
function paceOf({ roles, perMinute, burst }: RelayConfig): { perMinute: number; burst: number } {
  const { pace } = LIMITS.relay;
  const usual = roles.includes('rpc') ? pace.rpc : roles.includes('dm') ? pace.dm : pace.announce;
  return { perMinute: perMinute ?? usual.perMinute, burst: burst ?? usual.burst };
}
