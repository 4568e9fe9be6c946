/**
 * Editions: the announcement as the relays can take it. Most take the full one; for those with lower limits (NIP-11)
 * there is one with fewer models. It is a second older, so that who sees both believes the full one.
 */
import { sha256Hex } from '../base/id.ts';
import {
  buildAnnouncement,
  type EventLimits,
  fitsLimits,
  USUAL_LIMITS,
} from '../protocol/announcement-build.ts';
import type { Announcement, EventTemplate } from '../protocol/announcement.ts';
import type { PublishOutcome, RelayStatus } from '../relay/relay.ts';

export interface Edition {
  /** Its created_at is to be set; the expiration moves with it. */
  build: (createdAt: number) => EventTemplate;
  urls: string[];
}

export interface Editions {
  /** In the order in which they are to be dated; the last is the fullest. */
  editions: Edition[];
  /** Relays that cannot take it however short. */
  skipped: PublishOutcome[];
}

export function editionsFor(said: Announcement, relays: readonly RelayStatus[]): Editions {
  const build = (limits: EventLimits) => (createdAt: number) =>
    buildAnnouncement(said, { createdAt, sha256Hex, limits });
  const full = build(USUAL_LIMITS);
  const sample = full(SAMPLE_TIME);
  const lists = { full: [] as string[], small: [] as string[] };
  const skipped: PublishOutcome[] = [];
  let least = USUAL_LIMITS;
  for (const relay of relays) {
    const limits = limitsOf(relay);
    if (fitsLimits(sample, limits)) lists.full.push(relay.url);
    else if (fitsLimits(build(limits)(SAMPLE_TIME), limits)) {
      lists.small.push(relay.url);
      least = lower(least, limits);
    } else skipped.push(skip(relay.url));
  }
  // Limits that each would do may not do together.
  const small = build(least);
  if (!fitsLimits(small(SAMPLE_TIME), least)) skipped.push(...lists.small.splice(0).map(skip));
  const editions = [
    { build: small, urls: lists.small },
    { build: full, urls: lists.full },
  ].filter(({ urls }) => urls.length > 0);
  return { editions, skipped };
}

const skip = (url: string): PublishOutcome => ({
  url,
  outcome: 'refused',
  reason: 'the announcement does not fit the limits of this relay, not even without models',
  sticky: false,
});

const limitsOf = ({ limits = {} }: RelayStatus): EventLimits =>
  lower(USUAL_LIMITS, {
    bytes: (limits.messageBytes ?? Infinity) - FRAME_BYTES,
    tags: limits.tags ?? Infinity,
    contentChars: limits.contentChars ?? Infinity,
  });

const lower = (a: EventLimits, b: EventLimits): EventLimits => ({
  bytes: Math.min(a.bytes, b.bytes),
  tags: Math.min(a.tags, b.tags),
  contentChars: Math.min(a.contentChars, b.contentChars),
});

/** `["EVENT",` and `]` around an event. */
const FRAME_BYTES = 10;
/** Any time with ten digits is as long as the real one. */
const SAMPLE_TIME = 1_700_000_000;
