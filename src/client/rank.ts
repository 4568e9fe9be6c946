/** Ranking of providers by what a request is expected to cost there and how fast they answered. */
import { add, maxMsat, type Msat, mulDivCeil } from '../base/money.ts';
import type { AnnouncedModel, Announcement } from '../protocol/announcement.ts';
import type { Provider } from './provider.ts';

/** The mix by which prices are compared. */
export const MIX = { promptTokens: 1_000, completionTokens: 500 } as const;
const PER = 1_000_000;

/** A second of latency weighs as much as half of the price. */
const LATENCY_MS_PER_PRICE = 2_000;

export function expectedCost(
  model: AnnouncedModel,
  fees: Pick<Announcement, 'requestMsat' | 'minimumMsat'>,
): Msat {
  const tokens = add(
    mulDivCeil(model.in, MIX.promptTokens, PER),
    mulDivCeil(model.out, MIX.completionTokens, PER),
  );
  return maxMsat(add(tokens, fees.requestMsat), fees.minimumMsat);
}

/** Exact id, or the same id with or without a vendor in front. */
export const sameModel = (id: string, wanted: string): boolean =>
  id === wanted || id.endsWith(`/${wanted}`) || wanted.endsWith(`/${id}`);

/** Proven before unproven, then price with latency as a surcharge; unknown prices last. */
export function rank(providers: readonly Provider[]): Provider[] {
  const scored = providers.map((provider) => ({ provider, score: scoreOf(provider) }));
  scored.sort((a, b) => Number(b.provider.bound) - Number(a.provider.bound) || compare(a.score, b.score));
  return scored.map(({ provider }, index) => ({
    ...provider,
    reasons: [`rank ${index + 1} of ${scored.length}`, ...provider.reasons],
  }));
}

const scoreOf = ({ expectedMsat, latencyMs }: Provider): number =>
  expectedMsat === undefined ? Infinity : (expectedMsat + 1) * (1 + (latencyMs ?? 0) / LATENCY_MS_PER_PRICE);

const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1);
