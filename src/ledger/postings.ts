/** Names of the ledger's accounts, the side of the books each stands on, and the check that an entry balances. */
import { invariant } from '../base/error.ts';
import { type Msat, type Unit, msat } from '../base/money.ts';
import type { Totals } from './ledger.ts';

/**
 * Changes in msat by account name, in natural sign: an asset grows with what we hold, a liability with what we owe,
 * equity with what is the operator's. `avail` and `held` belong to the entry's account, `owed`, `inflight` and
 * `suspense` to its operation. `payouts` is negative: what the operator took out of `revenue`. `keyset_fees`
 * is what nothing earned could pay when clients' money had to leave a keyset that ends (ADR 7).
 */
export type Postings = Readonly<Record<string, number>>;

type Side = 'assets' | 'liabilities' | 'equity';

const SIDES: ReadonlyMap<string, Side> = new Map<string, Side>([
  ['inflight', 'assets'],
  ['avail', 'liabilities'],
  ['held', 'liabilities'],
  ['owed', 'liabilities'],
  ['suspense', 'liabilities'],
  ['revenue', 'equity'],
  ['payouts', 'equity'],
  ['mint_fees', 'equity'],
  ['keyset_fees', 'equity'],
  ['rounding', 'equity'],
  ['losses', 'equity'],
]);

/** The other side of a movement; never the -0 that unary minus makes of nothing. */
export const minus = (amount: number): number => 0 - amount;

export const proofsAccount = (mint: string, unit: Unit): string => `proofs:${mint}|${unit}`;

function sideOf(name: string): Side {
  const side = SIDES.get(name) ?? (name.startsWith('proofs:') ? 'assets' : undefined);
  if (side === undefined) invariant(false, `${name} is an account of the ledger`);
  return side;
}

/** Conservation: nothing is made or lost by an entry. */
export function assertBalanced(postings: Postings): void {
  let sum = 0;
  for (const name in postings) {
    const delta = postings[name] ?? 0;
    if (!Number.isSafeInteger(delta)) invariant(false, `posting on ${name} is whole msat`);
    sum += sideOf(name) === 'assets' ? delta : -delta;
  }
  invariant(sum === 0, 'an entry sums to zero');
}

/** Balances by name as a report; drift is anything that the three sides do not explain. */
export function reportTotals(balances: Iterable<readonly [string, number]>): Totals {
  const report: Record<Side, Record<string, Msat>> = { assets: {}, liabilities: {}, equity: {} };
  for (const [name, side] of SIDES) report[side][name] = msat(0);
  let drift = 0;
  for (const [name, balance] of balances) {
    const side = sideOf(name);
    report[side][name] = msat(balance);
    drift += side === 'assets' ? balance : -balance;
  }
  return { ...report, drift: msat(drift) };
}
