/** Events of the embedded relay, in memory: NIP-01 replacement and filters, NIP-09 deletion, NIP-40 expiration. */
import { createHash } from 'node:crypto';
import { KIND } from '../protocol/kinds.ts';

export interface RelayEvent {
  id: string;
  pubkey: string;
  created_at: number;
  kind: number;
  tags: string[][];
  content: string;
  sig: string;
}

export type RelayFilter = Record<string, unknown>;

export interface RelayStore {
  /** NIP-01 answer; `fresh` events are to be passed on to subscribers. */
  add: (event: RelayEvent, now: number) => { ok: boolean; text: string; fresh: boolean };
  /** Keeps anything, unchecked: for tests of readers that must not trust a relay. */
  plant: (event: RelayEvent) => void;
  find: (filters: readonly RelayFilter[], now: number) => RelayEvent[];
  all: () => RelayEvent[];
}

const EVENTS_MAX = 20_000;
const RESULTS_MAX = 500;

export function createRelayStore(): RelayStore {
  const events = new Map<string, RelayEvent>();
  const deletedIds = new Map<string, string>();
  const deletedAddresses = new Map<string, number>();

  function remove(event: RelayEvent): void {
    for (const [name, value] of event.tags) {
      if (value === undefined) continue;
      if (name === 'e') {
        deletedIds.set(value, event.pubkey);
        if (events.get(value)?.pubkey === event.pubkey) events.delete(value);
      } else if (name === 'a' && value.split(':')[1] === event.pubkey) {
        deletedAddresses.set(value, Math.max(event.created_at, deletedAddresses.get(value) ?? 0));
        for (const old of events.values()) {
          if (addressOf(old) === value && old.created_at <= event.created_at) events.delete(old.id);
        }
      }
    }
  }

  return {
    add: (event, now) => {
      if (events.has(event.id)) return { ok: true, text: 'duplicate: already have this event', fresh: false };
      const address = addressOf(event);
      const gone = deletedIds.get(event.id) === event.pubkey;
      if (gone || (address !== undefined && event.created_at <= (deletedAddresses.get(address) ?? -1))) {
        return { ok: false, text: 'blocked: its author deleted this event', fresh: false };
      }
      if (expired(event, now)) return { ok: false, text: 'invalid: the event is expired', fresh: false };
      if (isEphemeral(event.kind)) return { ok: true, text: '', fresh: true };
      if (address !== undefined) {
        const old = [...events.values()].find((other) => addressOf(other) === address);
        if (old !== undefined) {
          if (byAge(old, event) < 0) return { ok: true, text: 'duplicate: have a newer event', fresh: false };
          events.delete(old.id);
        }
      }
      if (event.kind === KIND.deletion) remove(event);
      if (events.size >= EVENTS_MAX) return { ok: false, text: 'error: the relay is full', fresh: false };
      events.set(event.id, event);
      return { ok: true, text: '', fresh: true };
    },
    plant: (event) => void events.set(event.id, event),
    find: (filters, now) => {
      const found = new Map<string, RelayEvent>();
      const newestFirst = [...events.values()].filter((event) => !expired(event, now)).sort(byAge);
      for (const filter of filters) {
        const limit =
          typeof filter['limit'] === 'number' ? Math.min(filter['limit'], RESULTS_MAX) : RESULTS_MAX;
        const matching = newestFirst.filter((event) => matches(filter, event)).slice(0, Math.max(0, limit));
        for (const event of matching) found.set(event.id, event);
      }
      return [...found.values()].sort(byAge);
    },
    all: () => [...events.values()],
  };
}

export function matches(filter: RelayFilter, event: RelayEvent): boolean {
  return Object.entries(filter).every(([name, wanted]) => {
    if (wanted === undefined || name === 'limit') return true;
    if (name === 'since') return event.created_at >= Number(wanted);
    if (name === 'until') return event.created_at <= Number(wanted);
    if (!Array.isArray(wanted)) return false;
    if (name === 'ids') return wanted.includes(event.id);
    if (name === 'authors') return wanted.includes(event.pubkey);
    if (name === 'kinds') return wanted.includes(event.kind);
    if (!name.startsWith('#')) return true;
    return event.tags.some((tag) => tag[0] === name.slice(1) && wanted.includes(tag[1]));
  });
}

/** NIP-01: the id is the sha256 of this serialisation. */
export const idOf = (event: RelayEvent): string =>
  createHash('sha256')
    .update(JSON.stringify([0, event.pubkey, event.created_at, event.kind, event.tags, event.content]))
    .digest('hex');

/** Newest first; at equal time the lowest id stays. */
const byAge = (a: RelayEvent, b: RelayEvent): number => b.created_at - a.created_at || (a.id < b.id ? -1 : 1);

const isEphemeral = (kind: number): boolean => kind >= 20_000 && kind < 30_000;

/** `kind:pubkey:d` of events of which only the newest counts. */
function addressOf(event: RelayEvent): string | undefined {
  const { kind, pubkey } = event;
  if (kind === 0 || kind === 3 || (kind >= 10_000 && kind < 20_000)) return `${kind}:${pubkey}:`;
  if (kind < 30_000 || kind >= 40_000) return undefined;
  return `${kind}:${pubkey}:${event.tags.find((tag) => tag[0] === 'd')?.[1] ?? ''}`;
}

function expired(event: RelayEvent, now: number): boolean {
  const at = Number(event.tags.find((tag) => tag[0] === 'expiration')?.[1]);
  return Number.isFinite(at) && at <= now;
}
