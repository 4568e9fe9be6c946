/** Msat: every amount of money in this program, a whole number of millisatoshis (1 sat = 1000 msat). */

declare const brand: unique symbol;

/** Integer millisatoshis, |x| <= 2^53-1 (90,071 BTC). Made only by `msat()` and the arithmetic below. */
export type Msat = number & { readonly [brand]: 'Msat' };

export const ZERO = 0 as Msat;

/** Brands a whole number. Throws on floats, NaN and anything beyond 2^53-1: money is never approximate. */
export function msat(value: number): Msat {
  if (!Number.isSafeInteger(value)) throw new Error(`not a whole amount of msat: ${value}`);
  return value as Msat;
}

export const add = (a: Msat, b: Msat): Msat => msat(a + b);
export const sub = (a: Msat, b: Msat): Msat => msat(a - b);
export const minMsat = (a: Msat, b: Msat): Msat => (a < b ? a : b);
export const maxMsat = (a: Msat, b: Msat): Msat => (a > b ? a : b);

/** Whole sats contained in an amount; what is paid out rounds down. */
export const satFloor = (amount: Msat): number => Math.floor(amount / 1000);
/** Fewest whole sats that cover an amount; what is asked for rounds up. */
export const satCeil = (amount: Msat): number => Math.ceil(amount / 1000);
export const fromSat = (sat: number): Msat => msat(sat * 1000);

/** Units of ecash this node keeps. One `msat` proof of amount 1 is one msat. */
export type Unit = 'sat' | 'msat';
export const msatPerUnit = (unit: Unit): number => (unit === 'sat' ? 1000 : 1);
export const unitToMsat = (amount: number, unit: Unit): Msat => msat(amount * msatPerUnit(unit));
export const msatToUnitFloor = (amount: Msat, unit: Unit): number => Math.floor(amount / msatPerUnit(unit));

/** ceil(a*b/divisor) for non-negative integers, exact where a*b passes 2^53. */
export function mulDivCeil(a: number, b: number, divisor: number): Msat {
  const product = a * b;
  if (Number.isSafeInteger(product)) return msat(Math.ceil(product / divisor));
  const d = BigInt(divisor);
  return msat(Number((BigInt(a) * BigInt(b) + d - 1n) / d));
}
