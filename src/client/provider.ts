/** Provider: a node as a buyer sees it. `discover --json` prints exactly an array of these. */
import type { Msat } from '../base/money.ts';
import type { AnnouncedModel } from '../protocol/announcement.ts';

export interface Provider {
  /** Hex. */
  pubkey: string;
  npub: string;
  name: string;
  about: string;
  /** Base URLs without `/v1`; those that proved to belong to the pubkey come first. */
  urls: string[];
  mints: { url: string; unit: string }[];
  version: string;
  /** Prices in msat per 1,000,000 tokens; with a filter, the models that match it. */
  models: AnnouncedModel[];
  /** Unix seconds of the announcement. */
  createdAt: number;
  /** True if one of the URLs named this pubkey as its own. */
  bound: boolean;
  latencyMs?: number;
  /** What 1,000 prompt and 500 completion tokens cost at the (cheapest) model. */
  expectedMsat?: Msat;
  contact?: string[];
  /** Why it stands where it stands, in sentences. */
  reasons: string[];
}
