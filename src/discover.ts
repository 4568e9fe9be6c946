/** `discover()` for programs: the buyer's side of `client/` with everything filled in that a caller need not know. */
import { NodeError } from './base/error.ts';
import { silentLogger } from './base/log.ts';
import { msat } from './base/money.ts';
import { systemClock } from './base/time.ts';
import { type Provider, discover as discoverOn } from './client/discover.ts';
import { createMemory } from './client/memory.ts';
import { parseRelays } from './relay/config.ts';
import { pubkeyOf } from './relay/key.ts';
import type { RelayConfig } from './relay/relay.ts';

export type { Provider };

export interface DiscoverOptions {
  /** Addresses (`wss://…`) or entries as in relays.json. */
  relays: readonly (string | RelayConfig)[];
  /** Only nodes that sell this model. */
  model?: string;
  /** Only models whose input and output price, each in msat per 1,000,000 tokens, is at most this. */
  maxPriceMsat?: number;
  /** Providers that you chose; they come first. npub1… or hex. */
  pin?: readonly string[];
  /** People whose recommendations (kind 38000) count. */
  follow?: readonly string[];
  /** Keys whose verdicts (kind 38425) count. Default: nobody's. */
  auditor?: readonly string[];
  /** A directory of your own. What was found is kept there, so that the next call answers within a second. */
  dir?: string;
  /** Take the full time although there is an answer from last time. */
  refresh?: boolean;
  /** List providers and addresses too that could not be proven. Default: no. */
  unproven?: boolean;
  /** Contact announced private and loopback addresses. Default: no. */
  allowPrivate?: boolean;
}

/** Verified providers, best first. Throws NodeError('invalid_request') for relays that are not addresses, and wrong npubs. */
export async function discover(options: DiscoverOptions): Promise<Provider[]> {
  const { model, maxPriceMsat, dir, refresh = false, unproven = false, allowPrivate = false } = options;
  const log = silentLogger;
  return discoverOn({
    relays: parseRelays([...options.relays]),
    ...(model === undefined ? {} : { model }),
    ...(maxPriceMsat === undefined ? {} : { maxPrice: msat(maxPriceMsat) }),
    ...(dir === undefined ? {} : { memory: createMemory({ dir, log }) }),
    pinned: pubkeys(options.pin),
    follows: pubkeys(options.follow),
    auditors: pubkeys(options.auditor),
    refresh,
    unproven,
    allowPrivate,
    clock: systemClock,
    log,
  });
}

const pubkeys = (npubs: readonly string[] = []): string[] =>
  npubs.map((npub) => {
    const pubkey = pubkeyOf(npub);
    if (pubkey === undefined) throw new NodeError('invalid_request', 'Keys must be npub1… or 64 hex digits.');
    return pubkey;
  });
