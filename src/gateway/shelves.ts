/** Shelves: the mints and units that a payment could be made from, the likeliest first. */
import { NodeError } from '../base/error.ts';
import { type Unit, unitToMsat } from '../base/money.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Wallet } from '../wallet/wallet.ts';

export interface Shelf {
  mint: string;
  unit: Unit;
}

/** Listed mints with ecash of ours: `own` first if there is one, then by how much is there. */
export function richestShelves(
  ledger: Pick<Ledger, 'pooled'>,
  wallet: Pick<Wallet, 'mints'>,
  own?: Shelf,
): Shelf[] {
  const isOwn = ({ mint, unit }: Shelf): boolean => mint === own?.mint && unit === own.unit;
  const rank = (shelf: Shelf): number =>
    isOwn(shelf) ? Infinity : unitToMsat(ledger.pooled(shelf).amount, shelf.unit);
  return wallet
    .mints()
    .filter(({ quarantined }) => !quarantined)
    .map(({ url, unit }) => ({ mint: url, unit }))
    .filter((shelf) => rank(shelf) > 0)
    .sort((a, b) => rank(b) - rank(a));
}

/** URLs of the mints whose ecash is taken now, each once: what a refusal for want of money names. */
export const acceptedMints = (wallet: Pick<Wallet, 'mints'>): string[] => [
  ...new Set(
    wallet
      .mints()
      .filter(({ quarantined }) => !quarantined)
      .map(({ url }) => url),
  ),
];

/** Why nothing can be paid in or out: waiting helps with mints that are away, and not with those that gave wrong answers. */
export const noMint = (wallet: Pick<Wallet, 'mints'>, what: string): NodeError =>
  wallet.mints().every(({ quarantined }) => quarantined)
    ? new NodeError(
        'mint_quarantined',
        `No mint of this node ${what}: each gave wrong answers, and the operator was alarmed. Nothing was taken.`,
      )
    : new NodeError('mint_unreachable', `No mint of this node ${what} now. Try again later.`);
