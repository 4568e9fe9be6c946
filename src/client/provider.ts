/** Provider: a node as a buyer sees it. `discover --json` prints exactly an array of these. */
import type { Msat } from '../base/money.ts';
import type { AnnouncedModel } from '../protocol/announcement.ts';

export interface Provider {
  /** Hex. */
  pubkey: string;
  npub: string;
  name: string;
  about: string;
  /**
   * Base URLs without `/v1`; those that proved to belong to the pubkey come first. Empty if none did, unless unproven
   * ones were asked for.
   */
  urls: string[];
  mints: { url: string; unit: string }[];
  version: string;
  /** Prices in msat per 1,000,000 tokens; with a filter, the models that match it. */
  models: AnnouncedModel[];
  /** Unix seconds of the announcement. */
  createdAt: number;
  /** True if one of the URLs named this pubkey as its own. */
  bound: boolean;
  /** Relays on which the provider says it takes encrypted requests (dmi/1); absent: HTTP only. */
  dm?: { url: string; use: 'rpc' | 'dm' }[];
  /** Of `/v1/info`, measured now or at the last proof. */
  latencyMs?: number;
  /** What the asked mix (by default 1,000 prompt and 500 completion tokens) costs at the (cheapest) model. */
  expectedMsat?: Msat;
  contact?: string[];
  trust: {
    /** Chosen by the buyer. */
    pinned: boolean;
    /** Own requests so far. */
    ok: number;
    failed: number;
    /** Of the people the buyer follows (kind 38000), and of the auditors the buyer named (kind 38425). */
    recommendedBy: number;
    approvedBy: number;
    warnedBy: number;
  };
  /** Why it stands where it stands, in sentences. */
  reasons: string[];
}
