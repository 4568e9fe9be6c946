/** Ranking of providers by what a request is expected to cost there, how fast and how reliably, and who vouches for it. */
import { add, maxMsat, type Msat, mulDivCeil } from '../base/money.ts';
import type { AnnouncedModel, Announcement } from '../protocol/announcement.ts';
import type { Provider } from './provider.ts';

/** How many tokens a buyer expects of one request; by this mix prices are compared. */
export interface Mix {
  promptTokens: number;
  completionTokens: number;
}
export const MIX: Mix = { promptTokens: 1_000, completionTokens: 500 };
const PER = 1_000_000;

/** A second of latency weighs as much as half of the price. */
const LATENCY_MS_PER_PRICE = 2_000;
/** Failures are expected of nobody; the first two weigh little. */
const PRIOR_SUCCESSES = 2;
/** Worth of trust as a factor on the price: own experience before friends, friends before auditors. */
const FACTOR = { history: 0.5, recommended: 0.65, approved: 0.85, warned: 4 } as const;
/** Own experience counts as good from this share of successes on. */
const GOOD_SHARE = 0.8;

export function expectedCost(
  model: AnnouncedModel,
  fees: Pick<Announcement, 'requestMsat' | 'minimumMsat'>,
  mix: Mix = MIX,
): Msat {
  const tokens = add(
    mulDivCeil(model.in, mix.promptTokens, PER),
    mulDivCeil(model.out, mix.completionTokens, PER),
  );
  return maxMsat(add(tokens, fees.requestMsat), fees.minimumMsat);
}

/**
 * Pinned first; then those whose address is proven, those that are reached by messages to their key, and the
 * unproven; within each by price, with latency and failures as surcharges and trust as a discount. Unknown prices last.
 */
export function rank(providers: readonly Provider[]): Provider[] {
  const scored = providers.map((provider) => ({
    provider,
    tier: tierOf(provider),
    score: scoreOf(provider),
  }));
  scored.sort((a, b) => a.tier - b.tier || compare(a.score, b.score));
  return scored.map(({ provider }, index) => ({
    ...provider,
    reasons: [`rank ${index + 1} of ${scored.length}`, ...trustReasons(provider), ...provider.reasons],
  }));
}

const tierOf = ({ trust, bound, dm }: Provider): number =>
  trust.pinned ? 0 : bound ? 1 : dm !== undefined ? 2 : 3;

function scoreOf({ expectedMsat, latencyMs, trust }: Provider): number {
  if (expectedMsat === undefined) return Infinity;
  const { ok, failed } = trust;
  const slowness = 1 + (latencyMs ?? 0) / LATENCY_MS_PER_PRICE;
  const reliability = (ok + PRIOR_SUCCESSES) / (ok + failed + PRIOR_SUCCESSES);
  return ((expectedMsat + 1) * slowness * trustFactor(trust)) / reliability;
}

function trustFactor({ ok, failed, recommendedBy, approvedBy, warnedBy }: Provider['trust']): number {
  const warned = warnedBy > 0 ? FACTOR.warned : 1;
  if (ok > 0 && ok >= GOOD_SHARE * (ok + failed)) return warned * FACTOR.history;
  if (recommendedBy > 0) return warned * FACTOR.recommended;
  return approvedBy > 0 ? warned * FACTOR.approved : warned;
}

function trustReasons({ trust }: Provider): string[] {
  const { pinned, ok, failed, recommendedBy, approvedBy, warnedBy } = trust;
  return [
    ...(pinned ? ['pinned by you'] : []),
    ...(ok + failed > 0 ? [`${ok} of ${ok + failed} own requests succeeded`] : []),
    ...(recommendedBy > 0 ? [`recommended by ${recommendedBy} of those you follow`] : []),
    ...(approvedBy > 0 ? [`approved by ${counted(approvedBy, 'auditor')}`] : []),
    ...(warnedBy > 0 ? [`${counted(warnedBy, 'auditor')} warned`] : []),
  ];
}

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1);
