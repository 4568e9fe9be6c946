/** `discover()` for programs: the buyer's side of `client/` with everything filled in that a caller need not know. */
import { silentLogger } from './base/log.ts';
import { msat } from './base/money.ts';
import { systemClock } from './base/time.ts';
import { type Provider, discover as discoverOn } from './client/discover.ts';
import { parseRelays } from './relay/config.ts';
import type { RelayConfig } from './relay/relay.ts';

export type { Provider };

export interface DiscoverOptions {
  /** Addresses (`wss://…`) or entries as in relays.json. */
  relays: readonly (string | RelayConfig)[];
  /** Only nodes that sell this model. */
  model?: string;
  /** Only models whose input and output price, each in msat per 1,000,000 tokens, is at most this. */
  maxPriceMsat?: number;
  /** Contact announced private and loopback addresses. Default: no. */
  allowPrivate?: boolean;
}

/** Verified providers, best first. Throws NodeError('invalid_request') only for relays that are not addresses. */
export async function discover(options: DiscoverOptions): Promise<Provider[]> {
  const { model, maxPriceMsat, allowPrivate = false } = options;
  return discoverOn({
    relays: parseRelays([...options.relays]),
    ...(model === undefined ? {} : { model }),
    ...(maxPriceMsat === undefined ? {} : { maxPrice: msat(maxPriceMsat) }),
    allowPrivate,
    clock: systemClock,
    log: silentLogger,
  });
}
