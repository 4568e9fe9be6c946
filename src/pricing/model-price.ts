/** Model price: from USD per million tokens, the exchange rate and the operator's fees to whole msat, rounded up. */
import { msat, type Msat, ZERO } from '../base/money.ts';
import type { ModelPrice } from './cost.ts';
import { ceilDecimal, decimalOf, readDecimal, surcharge, times, type Decimal } from './decimal.ts';

/** A decimal number; text keeps digits that a float would lose. */
export type Usd = number | string;

export interface UsdPrices {
  /** USD per 1,000,000 prompt tokens. */
  input: Usd;
  output: Usd;
  /** Prompt tokens read from the upstream's cache; as dear as others if not given. */
  cached?: Usd | undefined;
  /** USD per request, where the upstream asks for it. */
  request?: Usd | undefined;
}

/** The section `pricing` of the configuration. */
export interface PricingConfig {
  /** `model`: each model its own price. `token`: one price for all models. `request`: flat, tokens cost nothing. */
  mode: 'model' | 'token' | 'request';
  /** USD per BTC, or `auto`. */
  btc_usd: number | 'auto';
  exchange_fee_percent: number;
  margin_percent: number;
  node_fee_percent: number;
  /** Added to every answered request; in mode `request` this is the whole price. */
  request_fee_msats: number;
  minimum_charge_msats: number;
  /** Mode `token` only. */
  input_usd_per_million?: Usd | undefined;
  output_usd_per_million?: Usd | undefined;
  cached_usd_per_million?: Usd | undefined;
}

/**
 * Price of a model whose upstream price is `usd`. Undefined when it cannot be known: no exchange rate, or no usable
 * USD price where one is needed. The fees are applied one on top of the other.
 */
export function modelPrice(
  usd: UsdPrices | undefined,
  msatPerUsd: number | undefined,
  pricing: PricingConfig,
): ModelPrice | undefined {
  const fixed = { requestFee: msat(pricing.request_fee_msats), minimum: msat(pricing.minimum_charge_msats) };
  if (pricing.mode === 'request') return { in: 0, out: 0, cached: 0, ...fixed };
  const source = pricing.mode === 'token' ? uniform(pricing) : usd;
  if (source === undefined || msatPerUsd === undefined) return undefined;
  const factor = times(decimalOf(msatPerUsd), fees(pricing));
  const input = inMsat(source.input, factor);
  const output = inMsat(source.output, factor);
  const cached = source.cached === undefined ? input : inMsat(source.cached, factor);
  const request = source.request === undefined ? ZERO : inMsat(source.request, factor);
  if (input === undefined || output === undefined || cached === undefined || request === undefined) {
    return undefined;
  }
  return {
    in: input,
    out: output,
    cached,
    requestFee: msat(fixed.requestFee + request),
    minimum: fixed.minimum,
  };
}

const uniform = (pricing: PricingConfig): UsdPrices | undefined =>
  pricing.input_usd_per_million === undefined || pricing.output_usd_per_million === undefined
    ? undefined
    : {
        input: pricing.input_usd_per_million,
        output: pricing.output_usd_per_million,
        cached: pricing.cached_usd_per_million,
      };

function fees(pricing: PricingConfig): Decimal {
  const percents = [pricing.exchange_fee_percent, pricing.margin_percent, pricing.node_fee_percent];
  return percents.reduce((product, percent) => {
    const decimal = readDecimal(percent);
    if (decimal === undefined)
      throw new Error('a fee of the section pricing is not a percentage of 0 or more');
    return times(product, surcharge(decimal));
  }, decimalOf(1));
}

/** Beyond this a price is a typing error: 10 BTC for a million tokens. */
const PRICE_MAX = 1_000_000_000_000n;

function inMsat(usd: Usd, factor: Decimal): Msat | undefined {
  const decimal = readDecimal(usd);
  if (decimal === undefined) return undefined;
  const whole = ceilDecimal(times(decimal, factor));
  return whole > PRICE_MAX ? undefined : msat(Number(whole));
}
