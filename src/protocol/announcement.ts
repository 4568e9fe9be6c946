/**
 * Announcement: the one addressable event (kind 38421, RIP-02) that says where a node is, which mints it takes and
 * what its models cost. Pure and browser-safe; both sides use it. Parsers of older clients find d, u, mint, version,
 * name and about where they expect them.
 */
import { LIMITS } from '../base/limits.ts';
import type { Msat } from '../base/money.ts';
import { KIND } from './kinds.ts';
import { modelTable, readModelTable } from './model-table.ts';

export interface AnnouncedModel {
  id: string;
  /** Msat per 1,000,000 prompt tokens, everything included. */
  in: Msat;
  /** Msat per 1,000,000 completion tokens. */
  out: Msat;
  /** Context length and most output tokens; 0 if unknown. */
  ctx: number;
  maxOut: number;
  /** Input kinds as letters: t text, i image, a audio, f file, v video; `>` and letters if more than text comes out. */
  io: string;
}

export interface Announcement {
  d: string;
  status: 'online' | 'offline';
  /** Base URLs without `/v1`, clearnet first. */
  urls: string[];
  mints: { url: string; unit: string }[];
  version: string;
  name: string;
  about: string;
  picture?: string;
  terms?: string;
  /** Absent in events of older nodes. */
  heartbeatSeconds?: number;
  /** In the operator's order. Built from the full list; parsed, those that fitted. */
  models: AnnouncedModel[];
  /** Of the full list; computed when built. */
  modelsTotal?: number;
  modelsSha256?: string;
  /** Charged per request beside the tokens, and the least a request costs. */
  requestMsat: Msat;
  minimumMsat: Msat;
  /** `nostr:npub1…`, `mailto:…` or a URL. */
  contact?: string[];
  /** Ways to pay in the words of CEP-8. */
  pmi?: string[];
  geohash?: string;
  /** ISO 3166-1 alpha-2. */
  country?: string;
  /** Where and how to send encrypted requests; absent: HTTP only. */
  relays?: { url: string; use: 'rpc' | 'dm' }[];
  rpc?: string[];
  /** NIP-40, Unix seconds; parsed only. */
  expiresAt?: number;
}

/** What is signed; `relay/` knows the same shape as UnsignedEvent. */
export interface EventTemplate {
  kind: number;
  created_at: number;
  tags: string[][];
  content: string;
}

export interface BuildOptions {
  /** Unix seconds. */
  createdAt: number;
  sha256Hex: (text: string) => string;
}

const COUNTRY = 'ISO-3166-1';
const MODEL = 'ai.model';

/** At most LIMITS.announce.eventBytesMax and tagsMax: models are taken in the given order while they fit. */
export function buildAnnouncement(announcement: Announcement, options: BuildOptions): EventTemplate {
  const a = announcement;
  const { announce } = LIMITS;
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
  const labels = Math.min(announce.modelLabelsMax, announce.tagsMax - tags.length - 1);
  const labelled = a.models.slice(0, labels).map(({ id }) => ['l', id, MODEL]);
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
  return event(table.fitting(announce.eventBytesMax - signedBytes(event([]))));
}

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

/** Undefined unless it is a kind 38421 with a `d`; everything else is read as far as it makes sense. */
export function parseAnnouncement(event: EventTemplate): Announcement | undefined {
  if (event.kind !== KIND.announcement) return undefined;
  const { announce } = LIMITS;
  const all = (name: string): string[][] =>
    event.tags.filter((tag) => tag[0] === name && (tag[1] ?? '') !== '');
  const one = (name: string): string | undefined => all(name)[0]?.[1];
  const some = (name: string): string[] =>
    all(name)
      .flatMap((tag) => tag.slice(1, 2))
      .slice(0, announce.wordsMax);
  const d = one('d');
  if (d === undefined) return undefined;
  const content = jsonObject(event.content);
  const words = (key: string): string | undefined => {
    const value = content[key];
    return typeof value === 'string' && value !== '' ? text(value) : undefined;
  };
  const { models, requestMsat, minimumMsat } = readModelTable(content);
  const country = all('l').find((tag) => tag[2] === COUNTRY)?.[1];
  return {
    d,
    status: one('status') === 'offline' ? 'offline' : 'online',
    urls: unique(all('u').flatMap((tag) => httpBase(tag[1] ?? ''))).slice(0, announce.urlsMax),
    mints: all('mint')
      .slice(0, announce.mintsMax)
      .map((tag) => ({ url: trimSlashes(tag[1] ?? ''), unit: tag[2] ?? 'sat' })),
    version: one('version') ?? '',
    name: words('name') ?? '',
    about: words('about') ?? '',
    ...optional('picture', words('picture')),
    ...optional('terms', words('terms')),
    ...optional('heartbeatSeconds', positive(one('heartbeat'))),
    models,
    ...optional('modelsTotal', positive(one('models_total'))),
    ...optional('modelsSha256', one('models_sha256')),
    requestMsat,
    minimumMsat,
    contact: some('contact'),
    pmi: some('pmi'),
    ...optional('geohash', one('g')),
    ...optional('country', country),
    relays: all('relay')
      .slice(0, announce.relaysMax)
      .flatMap(([, url, use]) =>
        url !== undefined && (use === 'rpc' || use === 'dm') ? [{ url, use }] : [],
      ),
    ...optional('rpc', all('rpc')[0]?.slice(1)),
    ...optional('expiresAt', positive(one('expiration'))),
  };
}

/** Id, key, signature and their names are added by signing. */
const SIGNATURE_BYTES = 300;
const signedBytes = (event: EventTemplate): number => bytes(JSON.stringify(event)) + SIGNATURE_BYTES;
const bytes = (value: string): number => new TextEncoder().encode(value).length;

/** Relays refuse a whole event for one long value of a single-letter tag. */
const fitsRelays = (tag: readonly string[]): boolean =>
  (tag[0] ?? '').length > 1 || bytes(tag[1] ?? '') <= LIMITS.announce.tagBytesMax;

const text = (value: string): string => value.slice(0, LIMITS.announce.textCharsMax);
const trimSlashes = (url: string): string => url.replace(/\/+$/, '');
const baseUrl = (url: string): string => trimSlashes(trimSlashes(url).replace(/\/v1$/, ''));
const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];

/** Older nodes announce hosts without a scheme. Anything that is not HTTP is not an address of an API. */
function httpBase(value: string): string[] {
  const host = value.split('/')[0] ?? '';
  const url = value.includes('://') ? value : `${host.endsWith('.onion') ? 'http' : 'https'}://${value}`;
  if (!URL.canParse(url)) return [];
  const parsed = new URL(url);
  const plain =
    parsed.username === '' && parsed.password === '' && parsed.search === '' && parsed.hash === '';
  return plain && /^https?:$/.test(parsed.protocol) ? [baseUrl(parsed.href)] : [];
}

function jsonObject(value: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    // Content of older or foreign events may be plain text.
    return {};
  }
}

function positive(value: string | undefined): number | undefined {
  const number = Number(value);
  return Number.isSafeInteger(number) && number > 0 ? number : undefined;
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}
