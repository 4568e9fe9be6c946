/** Catalogue: what is sold, from which upstream and at which price; its `/v1/models` bytes are made once per change. */
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import { sha256Hex } from '../base/id.ts';
import { unixSeconds, type Clock } from '../base/time.ts';
import type { ModelPrice } from '../pricing/cost.ts';
import { modelPrice, type PricingConfig } from '../pricing/model-price.ts';
import type { RateSource } from '../pricing/rate.ts';
import { readModelList } from './imported.ts';
import { announcedOffer, listing, type AnnouncedOffer } from './listing.ts';
import { configuredModel, type ModelConfig, type SoldModel } from './sold-model.ts';
import type { Upstream } from './upstream.ts';

/** One model at one upstream. The same object is given out until something changes. */
export interface Offer extends Omit<SoldModel, 'id' | 'usd'> {
  modelId: string;
  upstream: Upstream;
  /** Undefined while the exchange rate is unknown: the model exists, but cannot be sold now. */
  price: ModelPrice | undefined;
}
export type PricedOffer = Offer & { price: ModelPrice };

/** The cheapest offer of a model. */
export type PublicModel = PricedOffer;

/** An entry of the section `upstreams` of the configuration. */
export interface UpstreamConfig {
  id: string;
  type: string;
  base_url: string;
  /** Absent: the upstream's own list is imported. */
  models?: ModelConfig[] | undefined;
}

export interface Catalogue {
  /** Configured models are sold at once. Resolves after the first import of lists, whether it succeeded or not. */
  start: () => Promise<void>;
  close: () => void;
  /** Candidates for an id or alias, cheapest first; empty if it is not sold here. */
  find: (id: string) => readonly Offer[];
  /** Priced models, in the operator's order. */
  models: () => readonly PublicModel[];
  /** The same for the announcement. */
  announced: () => AnnouncedOffer[];
  /** One model as `/v1/models` lists it. */
  model: (id: string) => Record<string, unknown> | undefined;
  /** Body of `/v1/models`. */
  listBytes: () => Buffer;
  /** Quoted, as it stands in the header. */
  etag: () => string;
  /** Called after models or prices changed. Returns the way to stop it. */
  onChange: (listener: () => void) => () => void;
}

export function createCatalogue(options: {
  upstreams: readonly { upstream: Upstream; config: UpstreamConfig }[];
  pricing: PricingConfig;
  rate: RateSource;
  clock: Clock;
  log: Logger;
}): Catalogue {
  const { upstreams, pricing, rate, clock, log } = options;
  const stop = new AbortController();
  const listeners = new Set<() => void>();
  const bornAt = unixSeconds(clock);
  const sources = upstreams.map(({ upstream, config }) => ({
    upstream,
    imports: config.models === undefined,
    models: (config.models ?? []).map((model) => configuredModel(model, bornAt)),
  }));
  let shelf = stock();
  const unsubscribe = rate.onChange(changed);

  function stock(): Shelf {
    const msatPerUsd = rate.msatPerUsd();
    const offers = sources.flatMap(({ upstream, models }) =>
      models.flatMap((model) => {
        const price = modelPrice(model.usd, msatPerUsd, pricing);
        // With a rate at hand a missing price is no matter of time: such a model is not sold.
        return price === undefined && msatPerUsd !== undefined ? [] : [makeOffer(model, upstream, price)];
      }),
    );
    return createShelf(offers, msatPerUsd);
  }

  function changed(): void {
    shelf = stock();
    for (const listener of listeners) listener();
  }

  /** A rate can also grow too old, which nobody tells. */
  function current(): Shelf {
    if (rate.msatPerUsd() !== shelf.msatPerUsd) changed();
    return shelf;
  }

  async function importFrom(source: (typeof sources)[number]): Promise<boolean> {
    const { upstream } = source;
    try {
      const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(LIMITS.upstream.listTimeoutMs)]);
      const answer = await upstream.listModels(signal);
      const list = readModelList(answer, { priceNeeded: pricing.mode === 'model', now: bornAt });
      if (list === undefined) {
        log.warn('upstream.list.unreadable', { upstream: upstream.id });
        return false;
      }
      log.info('upstream.list.imported', {
        upstream: upstream.id,
        models: list.models.length,
        unsold: list.skipped,
      });
      if (JSON.stringify(list.models) !== JSON.stringify(source.models)) {
        source.models = list.models;
        changed();
      }
      return true;
    } catch (error) {
      if (!stop.signal.aborted) {
        log.warn('upstream.list.failed', { upstream: upstream.id, kind: errorKind(error) });
      }
      return false;
    }
  }

  async function keepImporting(source: (typeof sources)[number], first: boolean): Promise<void> {
    let succeeded = first;
    while (!stop.signal.aborted) {
      await clock.sleep(succeeded ? LIMITS.upstream.listRefreshMs : LIMITS.upstream.listRetryMs, stop.signal);
      if (!stop.signal.aborted) succeeded = await importFrom(source);
    }
  }

  return {
    start: async () => {
      const importing = sources.filter((source) => source.imports);
      await Promise.all(
        importing.map(async (source) => void keepImporting(source, await importFrom(source))),
      );
    },
    close: () => {
      stop.abort();
      unsubscribe();
    },
    find: (id) => current().find(id),
    models: () => current().priced,
    announced: () => current().priced.map(announcedOffer),
    model: (id) => {
      const { priced, find, msatPerUsd } = current();
      const offer = priced.find((each) => each === find(id)[0]);
      return offer === undefined ? undefined : listing(offer, msatPerUsd);
    },
    listBytes: () => current().page().bytes,
    etag: () => current().page().etag,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function makeOffer(model: SoldModel, upstream: Upstream, price: ModelPrice | undefined): Offer {
  const { id: modelId, usd: _cost, ...rest } = model;
  return { modelId, ...rest, upstream, price };
}

/** All offers at one rate. */
interface Shelf {
  msatPerUsd: number | undefined;
  priced: readonly PublicModel[];
  find: (id: string) => readonly Offer[];
  page: () => { bytes: Buffer; etag: string };
}

const NOTHING: readonly Offer[] = [];

function createShelf(offers: readonly Offer[], msatPerUsd: number | undefined): Shelf {
  const byId = new Map<string, Offer[]>();
  for (const offer of offers) byId.set(offer.modelId, [...(byId.get(offer.modelId) ?? []), offer]);
  for (const candidates of byId.values()) candidates.sort((a, b) => priceOrder(a) - priceOrder(b));
  const byAlias = new Map<string, Offer[]>();
  for (const candidates of byId.values()) {
    // A name of its own is never taken over by another model's alias.
    for (const alias of candidates.flatMap((offer) => offer.aliasIds)) {
      if (!byId.has(alias) && !byAlias.has(alias)) byAlias.set(alias, candidates);
    }
  }
  const priced = [...byId.values()].flatMap(([cheapest]) =>
    cheapest !== undefined && isPriced(cheapest) ? [cheapest] : [],
  );
  let page: { bytes: Buffer; etag: string } | undefined;

  function makePage(): { bytes: Buffer; etag: string } {
    const data = priced.map((offer) => listing(offer, msatPerUsd));
    const bytes = Buffer.from(JSON.stringify({ object: 'list', data }));
    return { bytes, etag: `"${sha256Hex(bytes).slice(0, 32)}"` };
  }

  return {
    msatPerUsd,
    priced,
    find: (id) => byId.get(id) ?? byAlias.get(id) ?? NOTHING,
    page: () => (page ??= makePage()),
  };
}

const isPriced = (offer: Offer): offer is PricedOffer => offer.price !== undefined;

const priceOrder = ({ price }: Offer): number =>
  price === undefined ? Number.MAX_SAFE_INTEGER : price.in + price.out + price.requestFee;
