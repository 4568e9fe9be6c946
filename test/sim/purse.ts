/** Purse of all buyers of a history: new tokens come from any mint, and what was paid out pays again. */
import { SATS_LEAST } from '../shop/shopper.ts';
import type { Purse } from '../shop/till.ts';
import type { SimMint } from './mint.ts';
import { decodeToken, encodeToken } from './wallet.ts';

/** `told`: every token that was ever issued or paid out; added to here. */
export function createPurse(mints: readonly SimMint[], told: string[], random: () => number): Purse {
  const owned: { text: string; sats: number }[] = [];
  const faceOf = (text: string): number =>
    decodeToken(text).proofs.reduce((sum, { amount }) => sum + amount, 0);
  return {
    faceOf,
    take: () => {
      const at = owned.findIndex(({ sats }) => sats >= SATS_LEAST + 4);
      const [mine] = at >= 0 && random() < 0.7 ? owned.splice(at, 1) : [];
      const token = mine ?? fresh();
      const { mint: url, proofs } = decodeToken(token.text);
      return Promise.resolve({ ...token, fee: mints.find((mint) => mint.url === url)?.feeOf(proofs) ?? 0 });
    },
    put: (text, sats) => {
      if (!told.includes(text)) told.push(text);
      if (!owned.some((token) => token.text === text)) owned.push({ text, sats });
    },
  };

  function fresh(): { text: string; sats: number } {
    const mint = mints[Math.floor(random() * mints.length)] as SimMint;
    const sats = SATS_LEAST + 4 + Math.floor(random() * 50);
    const amounts = [...sats.toString(2)].reverse().flatMap((bit, i) => (bit === '1' ? [2 ** i] : []));
    const text = encodeToken(mint.url, mint.issue(amounts));
    told.push(text);
    return { text, sats };
  }
}
