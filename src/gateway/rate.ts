/** Junk limit: how often a source, and all sources together at one mint, may present what turns out to be worthless. */
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface Presenter {
  /** Network the credential came from; undefined where it cannot be told apart from others. */
  source: string | undefined;
  /** Mint that is going to be asked; undefined for keys. */
  mint?: string;
}

export interface JunkLimit {
  /** Throws rate_limited while too much of this presenter, or for this mint, was refused. Costs nothing. */
  admit: (presenter: Presenter) => void;
  /** Counts one refusal. What is good is never counted, so that honest traffic has no limit here. */
  refused: (presenter: Presenter) => void;
}

interface Bucket {
  tokens: number;
  countedAt: number;
}
interface Rate {
  perMinute: number;
  burst: number;
}

const SOURCE: Rate = { perMinute: LIMITS.junk.sourcePerMinute, burst: LIMITS.junk.sourceBurst };
const MINT: Rate = { perMinute: LIMITS.junk.mintPerMinute, burst: LIMITS.junk.mintBurst };
const MINUTE_MS = 60_000;

export function createJunkLimit(parts: { clock: Clock }): JunkLimit {
  const { clock } = parts;
  /** Only who had something refused has a bucket; in the order of the last refusal. */
  const buckets = new Map<string, Bucket>();

  function level(name: string, rate: Rate): number {
    const bucket = buckets.get(name);
    if (bucket === undefined) return rate.burst;
    const passed = clock.monotonic() - bucket.countedAt;
    return Math.min(rate.burst, bucket.tokens + (passed * rate.perMinute) / MINUTE_MS);
  }

  function check(name: string, rate: Rate): void {
    const tokens = level(name, rate);
    if (tokens >= 1) return;
    throw new NodeError(
      'rate_limited',
      'Too many refused keys or tokens came from here, or for this mint. Nothing was redeemed; try again later.',
      { retryAfterMs: Math.ceil(((1 - tokens) * MINUTE_MS) / rate.perMinute) },
    );
  }

  function take(name: string, rate: Rate): void {
    const debtMax = rate.perMinute * LIMITS.junk.debtMinutes;
    const tokens = Math.max(-debtMax, level(name, rate) - 1);
    buckets.delete(name);
    buckets.set(name, { tokens, countedAt: clock.monotonic() });
    const oldest = buckets.keys().next();
    if (buckets.size > LIMITS.junk.namesMax && !oldest.done) buckets.delete(oldest.value);
  }

  const each = ({ source, mint }: Presenter, act: (name: string, rate: Rate) => void): void => {
    if (source !== undefined) act(`from ${source}`, SOURCE);
    if (mint !== undefined) act(`mint ${mint}`, MINT);
  };
  return {
    admit: (presenter) => each(presenter, check),
    refused: (presenter) => each(presenter, take),
  };
}
