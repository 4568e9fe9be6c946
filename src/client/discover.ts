/** discover: finds nodes over relays, believes only what is signed and proven, and ranks them by expected cost. */
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Msat } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { AnnouncedModel, Announcement } from '../protocol/announcement.ts';
import { KIND } from '../protocol/kinds.ts';
import { npubOf } from '../relay/key.ts';
import type { NostrEvent, RelayConfig, RelaySet } from '../relay/relay.ts';
import { createRelaySet } from '../relay/set.ts';
import { createFetchJson, type FetchJson } from './fetch-json.ts';
import { type Found, freshAnnouncements } from './fresh.ts';
import { createProbe, type Probe, type ProbeResult } from './probe.ts';
import type { Provider } from './provider.ts';
import { expectedCost, MIX, rank, sameModel } from './rank.ts';

export type { Provider };

export interface DiscoverOptions {
  /** A set that is running, or relays to be asked once. */
  relays: RelaySet | readonly RelayConfig[];
  /** Only nodes that sell this model; a vendor prefix may be left out. */
  model?: string;
  /** Only models whose prompt and completion price, each in msat per 1,000,000 tokens, is at most this. */
  maxPrice?: Msat;
  /** Contact announced loopback and private addresses. */
  allowPrivate?: boolean;
  clock: Clock;
  log: Logger;
  /** Replaces the bounded HTTP GET. */
  fetchInfo?: FetchJson;
  /** For all probes together. */
  timeoutMs?: number;
}

/** Never rejects for anything a relay or provider does. */
export async function discover(options: DiscoverOptions): Promise<Provider[]> {
  const { clock, log, timeoutMs = LIMITS.discover.timeoutMs } = options;
  const events = await ask(options);
  const fresh = await freshAnnouncements(events, unixSeconds(clock));
  const found = fresh.filter((one) => maySell(one.announcement, options));
  const fetchInfo =
    options.fetchInfo ?? createFetchJson({ clock, allowPrivate: options.allowPrivate ?? false });
  const probe = createProbe({ fetchInfo });
  const late = new AbortController();
  const done = new AbortController();
  void clock.sleep(timeoutMs, done.signal).then(() => late.abort());
  const providers = await inParallel(found, LIMITS.discover.probesParallel, (one) =>
    toProvider(one, probe, late.signal, options),
  );
  done.abort();
  const ranked = rank(providers.flat());
  log.info('client.discovery.finished', {
    events: events.length,
    fresh: fresh.length,
    listed: ranked.length,
  });
  return ranked;
}

/** Two questions, because others flood this kind and the newest few hundred may not hold a single node. */
async function ask({ relays, clock, log }: DiscoverOptions): Promise<NostrEvent[]> {
  const own = isSet(relays) ? undefined : createRelaySet({ relays, clock, log });
  const set = own ?? (relays as RelaySet);
  try {
    const answers = await Promise.all([
      set.query({ kinds: [KIND.announcement] }, 'discover'),
      set.query({ kinds: [KIND.announcement], '#t': ['ai-inference'] }, 'discover'),
    ]);
    return answers.flat();
  } finally {
    await own?.close();
  }
}

const isSet = (relays: DiscoverOptions['relays']): relays is RelaySet => !Array.isArray(relays);

/** Spares the probe where the announcement already says no. Lists that are not complete say nothing. */
function maySell(announcement: Announcement, wanted: DiscoverOptions): boolean {
  return (
    needsFullList(announcement, wanted) ||
    matching(announcement.models, wanted).length > 0 ||
    !hasFilter(wanted)
  );
}

const hasFilter = ({ model, maxPrice }: DiscoverOptions): boolean =>
  model !== undefined || maxPrice !== undefined;

function needsFullList({ models, modelsTotal }: Announcement, wanted: DiscoverOptions): boolean {
  if (models.length === 0) return modelsTotal === undefined || modelsTotal > 0;
  return hasFilter(wanted) && (modelsTotal ?? 0) > models.length && matching(models, wanted).length === 0;
}

const matching = (
  models: readonly AnnouncedModel[],
  { model, maxPrice }: DiscoverOptions,
): AnnouncedModel[] =>
  models.filter(
    (one) =>
      (model === undefined || sameModel(one.id, model)) &&
      (maxPrice === undefined || (one.in <= maxPrice && one.out <= maxPrice)),
  );

/** Empty if it turns out that the node does not sell what is wanted, or shows no sign of life. */
async function toProvider(
  found: Found,
  probe: Probe,
  late: AbortSignal,
  wanted: DiscoverOptions,
): Promise<Provider[]> {
  const { announcement, pubkey, createdAt } = found;
  const probed = await probe(found, needsFullList(announcement, wanted), late);
  if (found.proofOfLifeNeeded && !probed.bound) return [];
  const models = matching(probed.models ?? announcement.models, wanted);
  if (hasFilter(wanted) && models.length === 0) return [];
  const cost = cheapest(models, announcement);
  const { name, about, mints, version, contact = [] } = announcement;
  return [
    {
      pubkey,
      npub: npubOf(pubkey),
      name,
      about,
      urls: probed.urls,
      mints,
      version,
      models,
      createdAt,
      bound: probed.bound,
      ...(probed.latencyMs === undefined ? {} : { latencyMs: probed.latencyMs }),
      ...(cost === undefined ? {} : { expectedMsat: cost.msat }),
      ...(contact.length === 0 ? {} : { contact }),
      reasons: [costReason(cost), ...bindingReasons(probed, late)],
    },
  ];
}

function cheapest(
  models: readonly AnnouncedModel[],
  announcement: Announcement,
): { id: string; msat: Msat } | undefined {
  let best: { id: string; msat: Msat } | undefined;
  for (const model of models) {
    const msat = expectedCost(model, announcement);
    if (best === undefined || msat < best.msat) best = { id: model.id, msat };
  }
  return best;
}

const costReason = (cost: { id: string; msat: Msat } | undefined): string =>
  cost === undefined
    ? 'no prices are known'
    : `${MIX.promptTokens} prompt and ${MIX.completionTokens} completion tokens of ${cost.id} cost ${cost.msat} msat`;

function bindingReasons(probed: ProbeResult, late: AbortSignal): string[] {
  if (probed.bound) return probed.reasons;
  const why = late.aborted ? 'was not checked in time' : 'is not confirmed by any of its addresses';
  return [`the key ${why}`, ...probed.reasons];
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
