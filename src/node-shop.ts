/** Shop: what this node sells: its upstreams, their models and the prices of the moment. */
import type { Logger } from './base/log.ts';
import type { Clock } from './base/time.ts';
import type { Config } from './config.ts';
import { type RateSource, createRateSource } from './pricing/rate.ts';
import { type Catalogue, createCatalogue } from './upstream/catalogue.ts';
import { createOpenAiUpstream } from './upstream/openai.ts';
import type { Upstream } from './upstream/upstream.ts';

export interface Shop {
  catalogue: Catalogue;
  rate: RateSource;
  /** Begins to ask for rates and model lists; what is in the configuration is sold at once. */
  start: () => Promise<void>;
  close: () => Promise<void>;
}

export function createShop(
  config: Config,
  parts: { clock: Clock; log: Logger; around?: (upstream: Upstream) => Upstream },
): Shop {
  const { clock, log, around = (upstream) => upstream } = parts;
  const rate = createRateSource({ btcUsd: config.pricing.btc_usd, clock, log });
  const upstreams = config.upstreams.map((upstreamConfig) => {
    const apiKey = config.secrets.upstreamKeys.get(upstreamConfig.id);
    const upstream = createOpenAiUpstream({
      id: upstreamConfig.id,
      baseUrl: upstreamConfig.base_url,
      ...(apiKey ? { apiKey } : {}),
      clock,
      log,
      timeouts: {
        firstByteMs: config.limits.first_byte_seconds * 1000,
        idleMs: config.limits.idle_seconds * 1000,
      },
    });
    return { upstream: around(upstream), config: upstreamConfig };
  });
  const catalogue = createCatalogue({ upstreams, pricing: config.pricing, rate, clock, log });
  return {
    catalogue,
    rate,
    start: async () => {
      rate.start();
      await catalogue.start();
    },
    close: async () => {
      catalogue.close();
      await Promise.all([rate.close(), ...upstreams.map(({ upstream }) => upstream.close())]);
    },
  };
}
