/**
 * Announcement: the one addressable event (kind 38421, RIP-02) that says where a node is, which mints it takes and
 * what its models cost. Pure and browser-safe; both sides use it. Parsers of older clients find d, u, mint, version,
 * name and about where they expect them.
 */
import { LIMITS } from '../base/limits.ts';
import type { Msat } from '../base/money.ts';
import { KIND } from './kinds.ts';
import { readModelTable } from './model-table.ts';

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

/** Namespace of the country label (NIP-32). */
export const COUNTRY = 'ISO-3166-1';

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

export const text = (value: string): string => value.slice(0, LIMITS.announce.textCharsMax);
const trimSlashes = (url: string): string => url.replace(/\/+$/, '');
export const baseUrl = (url: string): string => trimSlashes(trimSlashes(url).replace(/\/v1$/, ''));
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
