/** Trust: what others say about providers, by the buyer's own choice of whom to listen to. Nobody is asked by default. */
import { LIMITS } from '../base/limits.ts';
import { KIND } from '../protocol/kinds.ts';
import { verifyEvent } from '../relay/event.ts';
import type { Filter, NostrEvent } from '../relay/relay.ts';

/** Hex public keys. */
export interface Circle {
  /** Providers that the buyer chose; they come first. */
  pinned: readonly string[];
  /** People whose recommendations (NIP-87, kind 38000) count. */
  follows: readonly string[];
  /** Keys whose verdicts (kind 38425) count. */
  auditors: readonly string[];
}

export interface Opinion {
  /** How many of those followed recommend the provider. */
  recommendedBy: number;
  /** Newest word of each auditor. */
  approvedBy: number;
  warnedBy: number;
}

const APPROVAL: readonly string[] = ['trusted', 'verified', 'lgtm', 'lgtm2'];
const WARNING: readonly string[] = ['suspicious', 'avoid', 'blacklisted', 'removed'];

/** Empty if nobody is listened to. */
export function trustFilters({ follows, auditors }: Circle): Filter[] {
  const { followsMax, auditorsMax } = LIMITS.discover;
  const filters: Filter[] = [];
  if (follows.length > 0) {
    filters.push({
      kinds: [KIND.recommendation],
      '#k': [String(KIND.announcement)],
      authors: follows.slice(0, followsMax),
    });
  }
  if (auditors.length > 0) filters.push({ kinds: [KIND.verdict], authors: auditors.slice(0, auditorsMax) });
  return filters;
}

/** Opinions by pubkey of the provider, and the events they rest on. `now` in Unix seconds. */
export function weigh(
  events: readonly NostrEvent[],
  circle: Circle,
  now: number,
): { opinions: Map<string, Opinion>; used: NostrEvent[] } {
  const follows = new Set(circle.follows);
  const auditors = new Set(circle.auditors);
  const newest = new Map<string, { event: NostrEvent; of: string; word: keyof Opinion | undefined }>();
  for (const event of [...events].sort(newestFirst)) {
    if (event.created_at > now + LIMITS.discover.futureSecondsMax) continue;
    const says = follows.has(event.pubkey) && event.kind === KIND.recommendation ? recommendation(event) : [];
    const judges = auditors.has(event.pubkey) && event.kind === KIND.verdict ? verdicts(event) : [];
    const fresh = [...says, ...judges].filter(({ slot }) => !newest.has(slot));
    if (fresh.length === 0 || verifyEvent(event) === undefined) continue;
    for (const { slot, of, word } of fresh) newest.set(slot, { event, of, word });
  }
  const opinions = new Map<string, Opinion>();
  const voices = new Set<string>();
  for (const { event, of, word } of newest.values()) {
    const voice = `${event.pubkey}:${word}:${of}`;
    if (word === undefined || voices.has(voice)) continue;
    voices.add(voice);
    const opinion = opinions.get(of) ?? { recommendedBy: 0, approvedBy: 0, warnedBy: 0 };
    opinion[word] += 1;
    opinions.set(of, opinion);
  }
  return { opinions, used: [...new Set([...newest.values()].map(({ event }) => event))] };
}

interface Said {
  /** Later words with the same slot replace earlier ones. */
  slot: string;
  of: string;
  word: keyof Opinion | undefined;
}

/** Addressable: the `d` is the place that a newer recommendation takes. */
function recommendation(event: NostrEvent): Said[] {
  const k = valuesOf(event, 'k');
  if (!k.includes(String(KIND.announcement))) return [];
  const of = new Set(
    valuesOf(event, 'a').flatMap((address) => {
      const [kind, pubkey] = address.split(':');
      return kind === String(KIND.announcement) && pubkey !== undefined && HEX_64.test(pubkey)
        ? [pubkey]
        : [];
    }),
  );
  const place = valuesOf(event, 'd')[0] ?? '';
  const [first] = of;
  return first === undefined
    ? []
    : [{ slot: `r:${event.pubkey}:${place}`, of: first, word: 'recommendedBy' }];
}

function verdicts(event: NostrEvent): Said[] {
  const labels = valuesOf(event, 't');
  const word = labels.some((label) => WARNING.includes(label))
    ? 'warnedBy'
    : labels.some((label) => APPROVAL.includes(label))
      ? 'approvedBy'
      : undefined;
  return valuesOf(event, 'node')
    .filter((node) => HEX_64.test(node))
    .slice(0, LIMITS.discover.historyMax)
    .map((of) => ({ slot: `v:${event.pubkey}:${of}`, of, word }));
}

const HEX_64 = /^[0-9a-f]{64}$/;
const valuesOf = (event: NostrEvent, name: string): string[] =>
  event.tags.flatMap(([key, value]) => (key === name && value !== undefined ? [value] : []));

/** NIP-01: at equal time the lowest id counts. */
const newestFirst = (a: NostrEvent, b: NostrEvent): number =>
  b.created_at - a.created_at || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
