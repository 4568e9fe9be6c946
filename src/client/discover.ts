/** discover: finds nodes over relays, believes only what is signed and proven, and ranks them with reasons. */
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { KIND } from '../protocol/kinds.ts';
import type { Filter, NostrEvent, RelayConfig, RelaySet } from '../relay/relay.ts';
import { createRelaySet } from '../relay/set.ts';
import { type Assessment, createAssessor } from './assess.ts';
import { createFetchJson, type FetchJson } from './fetch-json.ts';
import type { Memory, Proof, Remembered } from './memory.ts';
import { createProbe } from './probe.ts';
import type { Provider } from './provider.ts';
import { MIX, type Mix, rank } from './rank.ts';
import { createSieve, type DropReason, type Found } from './sieve.ts';
import { type Circle, trustFilters, weigh } from './trust.ts';
import { maySell, type Wanted } from './wanted.ts';

export type { Provider };

export interface DiscoverOptions extends Wanted, Partial<Circle> {
  /** A set that is running, or relays to be asked once. */
  relays: RelaySet | readonly RelayConfig[];
  /** Tokens expected of one request; prices are compared by it. Default: 1,000 in, 500 out. */
  mix?: Mix;
  /** Contact announced loopback and private addresses. */
  allowPrivate?: boolean;
  /** List providers and addresses too that could not be proven; such providers come last. */
  unproven?: boolean;
  /** Remembers between runs: a warm start answers within a second, also when every relay is away. */
  memory?: Memory;
  /** Take the full time although there is something to answer with at once. */
  refresh?: boolean;
  clock: Clock;
  log: Logger;
  /** Replaces the bounded HTTP GET. */
  fetchInfo?: FetchJson;
  /** For all probes together. */
  timeoutMs?: number;
}

export interface Discovery {
  /** Best first. */
  providers: Provider[];
  /** How many announcements and providers were left out, by reason. */
  dropped: Partial<Record<DropReason, number>>;
  /** Whether the answer was given at once from what was remembered. */
  warm: boolean;
  /** Relays that were there to ask: with 0, that nothing was found says nothing about what there is. */
  answered: number;
}

/** Verified providers, best first. Never rejects for anything a relay or provider does. */
export const discover = async (options: DiscoverOptions): Promise<Provider[]> =>
  (await survey(options)).providers;

/** The same with what was left out and why. */
export async function survey(options: DiscoverOptions): Promise<Discovery> {
  const found = await look(options);
  // What was remembered did not stand up: the question is worth the full time.
  return found.warm && found.providers.length === 0 ? look({ ...options, refresh: true }) : found;
}

async function look(options: DiscoverOptions): Promise<Discovery> {
  const { clock, log, memory } = options;
  const now = unixSeconds(clock);
  const circle: Circle = {
    pinned: options.pinned ?? [],
    follows: options.follows ?? [],
    auditors: options.auditors ?? [],
  };
  const remembered = (await memory?.read()) ?? { events: [], trust: [], proofs: [], history: [] };
  const sieve = createSieve(now);
  const started = clock.monotonic();
  await sieve.add(remembered.events);
  const isWanted = (one: Found): boolean => maySell(one.announcement, options);
  const warm = options.refresh !== true && sieve.found().some(isWanted);

  const relayMs = warm ? LIMITS.discover.warmRelaysMs : LIMITS.relay.queryTimeoutMs;
  const heard = await ask(options, trustFilters(circle), relayMs);
  await sieve.add(heard.announcements);
  const { opinions, used } = weigh([...heard.trust, ...remembered.trust], circle, now);

  const found = sieve.found();
  const assess = createAssessor({
    probe: createProbe({ fetchInfo: options.fetchInfo ?? fetchWith(options) }),
    knowledge: {
      proofs: byPubkey(remembered.proofs),
      history: byPubkey(remembered.history),
      opinions,
      pinned: new Set(circle.pinned),
    },
    wanted: options,
    mix: options.mix ?? MIX,
    warm,
    unproven: options.unproven ?? false,
    now,
  });
  const wanted = found.filter(isWanted);
  for (let n = wanted.length; n < found.length; n += 1) sieve.drop('not_wanted');
  const spent = clock.monotonic() - started;
  const limitMs = warm ? Math.max(0, LIMITS.discover.warmMs - spent) : options.timeoutMs;
  const assessed = await inTime(clock, limitMs ?? LIMITS.discover.timeoutMs, (late) =>
    inParallel(wanted, LIMITS.discover.probesParallel, (one) => assess(one, late)),
  );
  const providers = rank(assessed.flatMap((one) => ('provider' in one ? [one.provider] : [])));
  for (const one of assessed) if ('dropped' in one) sieve.drop(one.dropped);
  await memory?.update((before) => learned(before, { found, trust: used, assessed, providers, circle }));
  const { answered } = heard;
  log.info('client.discovery.finished', { warm, answered, listed: providers.length, ...sieve.dropped() });
  return { providers, dropped: sieve.dropped(), warm, answered };
}

const fetchWith = ({ clock, allowPrivate = false }: DiscoverOptions): FetchJson =>
  createFetchJson({ clock, allowPrivate });

const byPubkey = <T extends { pubkey: string }>(list: readonly T[]): Map<string, T> =>
  new Map(list.map((one) => [one.pubkey, one]));

/** Two questions, because others flood this kind and the newest few hundred may not hold a single node. */
async function ask(
  { relays, clock, log }: DiscoverOptions,
  trust: readonly Filter[],
  timeoutMs: number,
): Promise<{ announcements: NostrEvent[]; trust: NostrEvent[]; answered: number }> {
  const own = isSet(relays) ? undefined : createRelaySet({ relays, clock, log });
  const set = own ?? (relays as RelaySet);
  const query = async (filters: readonly Filter[]): Promise<NostrEvent[]> =>
    (await Promise.all(filters.map((filter) => set.query(filter, 'discover', timeoutMs)))).flat();
  try {
    const [announcements, opinions] = await Promise.all([
      query([{ kinds: [KIND.announcement] }, { kinds: [KIND.announcement], '#t': ['ai-inference'] }]),
      query(trust),
    ]);
    const open = set.status().filter(({ roles, state }) => roles.includes('discover') && state === 'open');
    // One that hung up after its answer has answered nonetheless.
    const answered = Math.max(open.length, announcements.length + opinions.length > 0 ? 1 : 0);
    return { announcements, trust: opinions, answered };
  } finally {
    void own?.close();
  }
}

const isSet = (relays: DiscoverOptions['relays']): relays is RelaySet => !Array.isArray(relays);

/** What is worth remembering: living announcements, best providers first, so that the bound cuts off the rest. */
function learned(
  before: Remembered,
  now: {
    found: readonly Found[];
    trust: readonly NostrEvent[];
    assessed: readonly Assessment[];
    providers: readonly Provider[];
    circle: Circle;
  },
): Remembered {
  const place = new Map(now.providers.map(({ pubkey }, index) => [pubkey, index]));
  const order = (one: Found): number => place.get(one.pubkey) ?? Infinity;
  const events = [...now.found].sort((a, b) => (order(a) === order(b) ? 0 : order(a) - order(b)));
  const proofs = now.assessed.flatMap((one): Proof[] =>
    'proof' in one && one.proof !== undefined ? [one.proof] : [],
  );
  const listened = now.circle.follows.length + now.circle.auditors.length > 0;
  return {
    ...before,
    events: events.map(({ event }) => event),
    trust: listened ? [...now.trust] : before.trust,
    proofs: [...byPubkey([...before.proofs, ...proofs]).values()],
  };
}

/** `work` gets a signal that says when its time is over. */
async function inTime<T>(clock: Clock, ms: number, work: (late: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const done = new AbortController();
  if (ms <= 0) late.abort();
  else void clock.sleep(ms, done.signal).then(() => late.abort());
  const result = await work(late.signal);
  done.abort();
  return result;
}

/** Results in the order of the items; `work` never rejects. */
async function inParallel<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) results[index] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return results;
}
