/** Decimals: exact fractions for prices and percentages of the configuration, which floats cannot hold. */

/** A number `digits / 10^scale`. */
export interface Decimal {
  digits: bigint;
  scale: number;
}

/** Places after the point that are still believed; no price needs more. */
const PLACES_MAX = 30;

/** Reads "0.15", 0.15, "1.5e-7". Undefined for everything else, negative numbers included. */
export function readDecimal(value: unknown): Decimal | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string' || text.length > 60) return undefined;
  const match = /^(\d+)(?:\.(\d+))?(?:e([+-]?\d{1,2}))?$/i.exec(text.trim());
  if (match === null) return undefined;
  const fraction = match[2] ?? '';
  const digits = BigInt(`${match[1] ?? '0'}${fraction}`);
  const scale = fraction.length - Number(match[3] ?? 0);
  if (scale > PLACES_MAX || scale < -PLACES_MAX) return undefined;
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
}

/** The same amount for a million: `0.0000025` becomes `0.0000025e6`, which `readDecimal` understands. */
export function perMillion(value: string | number): string {
  const [mantissa = '', exponent = '0'] = String(value).toLowerCase().split('e');
  return `${mantissa}e${Number(exponent) + 6}`;
}

export const decimalOf = (whole: number): Decimal => ({ digits: BigInt(whole), scale: 0 });

export const times = (a: Decimal, b: Decimal): Decimal => ({
  digits: a.digits * b.digits,
  scale: a.scale + b.scale,
});

/** The smallest whole number that is not below the decimal. */
export function ceilDecimal({ digits, scale }: Decimal): bigint {
  const unit = 10n ** BigInt(scale);
  return (digits + unit - 1n) / unit;
}

/** Factor of a surcharge: 10 percent is 1.10. */
export const surcharge = (percent: Decimal): Decimal => ({
  digits: 100n * 10n ** BigInt(percent.scale) + percent.digits,
  scale: percent.scale + 2,
});
