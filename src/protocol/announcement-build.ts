/** Building the announcement and the tombstone: tags and content of kind 38421, as many models as fit. */
import { LIMITS } from '../base/limits.ts';
import { type Announcement, baseUrl, COUNTRY, type EventTemplate, text } from './announcement.ts';
import { KIND } from './kinds.ts';
import { modelTable } from './model-table.ts';

/** What a relay takes; the usual limits are those of LIMITS.announce. */
export interface EventLimits {
  bytes: number;
  tags: number;
  contentChars: number;
}

export interface BuildOptions {
  /** Unix seconds. */
  createdAt: number;
  sha256Hex: (text: string) => string;
  limits?: EventLimits;
}

/** Namespace of the model labels (NIP-32). */
const MODEL = 'ai.model';

/** Within the limits as far as models and their labels go: they are taken in the given order while they fit. */
export function buildAnnouncement(announcement: Announcement, options: BuildOptions): EventTemplate {
  const a = announcement;
  const { announce } = LIMITS;
  const { limits = USUAL_LIMITS } = options;
  const heartbeat = a.heartbeatSeconds ?? 3_600;
  const table = modelTable(a.models);
  const tags: string[][] = [
    ['d', a.d],
    ...a.urls.slice(0, announce.urlsMax).map((url) => ['u', baseUrl(url)]),
    ...a.mints.slice(0, announce.mintsMax).map(({ url, unit }) => ['mint', url, unit]),
    ['version', a.version],
    ['alt', 'AI inference node: OpenAI-compatible API paid with Cashu'],
    ['status', 'online'],
    ['heartbeat', String(heartbeat)],
    ['expiration', String(options.createdAt + heartbeat * announce.heartbeatsMax)],
    ...(a.relays ?? []).slice(0, announce.relaysMax).map(({ url, use }) => ['relay', url, use]),
    ...(a.rpc === undefined || a.rpc.length === 0 ? [] : [['rpc', ...a.rpc]]),
    ...(a.pmi ?? []).slice(0, announce.wordsMax).map((word) => ['pmi', word]),
    ...(a.contact ?? []).slice(0, announce.wordsMax).map((address) => ['contact', address]),
    ...(a.geohash === undefined ? [] : [['g', a.geohash]]),
    ...(a.country === undefined
      ? []
      : [
          ['L', COUNTRY],
          ['l', a.country, COUNTRY],
        ]),
    ['t', 'ai-inference'],
    ['t', 'openai-api'],
    ['models_total', String(a.models.length)],
    ['models_sha256', options.sha256Hex(JSON.stringify(table.rows))],
  ];
  const labels = Math.min(announce.modelLabelsMax, limits.tags - tags.length - 1);
  const labelled = a.models.slice(0, Math.max(0, labels)).map(({ id }) => ['l', id, MODEL]);
  if (labelled.length > 0) tags.push(['L', MODEL], ...labelled);

  const content = (rows: readonly (readonly unknown[])[]): string =>
    JSON.stringify({
      name: text(a.name),
      about: text(a.about),
      ...(a.picture === undefined ? {} : { picture: text(a.picture) }),
      models_v: 1,
      ...table.header,
      models: rows,
      req_msat: a.requestMsat,
      min_msat: a.minimumMsat,
      ...(a.terms === undefined ? {} : { terms: text(a.terms) }),
    });
  const event = (rows: readonly (readonly unknown[])[]): EventTemplate => ({
    kind: KIND.announcement,
    created_at: options.createdAt,
    tags: tags.filter(fitsRelays),
    content: content(rows),
  });
  const room = Math.min(
    limits.bytes - signedBytes(event([])),
    // Rows are measured with the escapes of the event around them, so this errs on the small side.
    limits.contentChars - content([]).length,
  );
  return event(table.fitting(room));
}

export const USUAL_LIMITS: EventLimits = {
  bytes: LIMITS.announce.eventBytesMax,
  tags: LIMITS.announce.tagsMax,
  contentChars: LIMITS.announce.eventBytesMax,
};

/** Whether a relay with these limits takes the event once it is signed. */
export const fitsLimits = (event: EventTemplate, limits: EventLimits): boolean =>
  signedBytes(event) <= limits.bytes &&
  event.tags.length <= limits.tags &&
  event.content.length <= limits.contentChars;

/** Replaces the announcement by one that says "gone": without `u`, older clients drop the node too. */
export function buildTombstone(announcement: Announcement, options: { createdAt: number }): EventTemplate {
  const { d, version, name, about } = announcement;
  return {
    kind: KIND.announcement,
    created_at: options.createdAt,
    tags: [
      ['d', d],
      ['version', version],
      ['alt', 'AI inference node, offline'],
      ['status', 'offline'],
      ['expiration', String(options.createdAt + LIMITS.announce.profileSeconds)],
    ],
    content: JSON.stringify({ name: text(name), about: text(about) }),
  };
}

/** Id, key, signature and their names are added by signing. */
const SIGNATURE_BYTES = 300;
const signedBytes = (event: EventTemplate): number => bytes(JSON.stringify(event)) + SIGNATURE_BYTES;
const bytes = (value: string): number => new TextEncoder().encode(value).length;

/** Relays refuse a whole event for one long value of a single-letter tag. */
const fitsRelays = (tag: readonly string[]): boolean =>
  (tag[0] ?? '').length > 1 || bytes(tag[1] ?? '') <= LIMITS.announce.tagBytesMax;
