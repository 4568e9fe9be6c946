/** Turns stored proofs into money that can be handed out: unblinds them in the worker and writes tokens (NUT-00). */
import { Amount, getEncodedToken } from '@cashu/cashu-ts';
import { LIMITS } from '../base/limits.ts';
import type { Unit } from '../base/money.ts';
import type { StoredProof } from '../base/proof.ts';
import { unknownKeyset } from './keysets.ts';
import type { Curve } from './curve.ts';
import type { Unblinded } from './curve-work.ts';
import type { Mint } from './mints.ts';
import type { InputProof } from './wallet.ts';

export interface Purse {
  /** In the order given. Throws NodeError if the keys of a keyset cannot be had. */
  unblind: (mint: Mint, proofs: StoredProof[], lane: 0 | 1) => Promise<InputProof[]>;
  /** V4 token; the same proofs give the same text in whatever order they come. */
  encode: (mint: Mint, unit: Unit, proofs: StoredProof[]) => Promise<string>;
}

export function createPurse(curve: Curve): Purse {
  const ready = new Map<string, Promise<Unblinded>>();

  function keep(name: string, promise: Promise<Unblinded>): void {
    ready.set(name, promise);
    const oldest = ready.keys().next();
    if (ready.size > LIMITS.mint.unblindedMax && !oldest.done) ready.delete(oldest.value);
    promise.catch(() => ready.delete(name)); // A failure is not worth keeping; whoever waits for it sees it.
  }

  async function unblind(mint: Mint, proofs: StoredProof[], lane: 0 | 1): Promise<InputProof[]> {
    const keysets = [...new Set(proofs.map((proof) => proof.keyset))];
    const keys = new Map(
      await Promise.all(keysets.map(async (id) => [id, await mint.keysets.keysOfOurs(id)] as const)),
    );
    const missing = proofs.filter((proof) => !ready.has(nameOf(proof)));
    const jobs = missing.map(({ keyset, counter, amount, blindSignature }) => {
      const key = keys.get(keyset)?.[String(amount)];
      if (key === undefined) throw unknownKeyset();
      return { keyset, counter, C_: blindSignature, key };
    });
    const waiting = new Map<string, Promise<Unblinded>>();
    for (const [i, job] of jobs.entries()) {
      const proof = missing[i];
      if (proof === undefined) continue;
      const one = curve.run({ type: 'unblind', proofs: [job] }, lane).then(([unblinded]) => {
        if (unblinded === undefined) throw new Error('the worker gave no result');
        return unblinded;
      });
      waiting.set(nameOf(proof), one);
      keep(nameOf(proof), one);
    }
    return Promise.all(
      proofs.map(async (proof) => {
        const result = waiting.get(nameOf(proof)) ?? ready.get(nameOf(proof));
        if (result === undefined) return (await unblind(mint, [proof], lane))[0] as InputProof;
        return { id: proof.keyset, amount: proof.amount, ...(await result) };
      }),
    );
  }

  return {
    unblind,
    encode: async (mint, unit, proofs) => {
      const sorted = [...proofs].sort(
        (a, b) =>
          (a.keyset < b.keyset ? -1 : a.keyset > b.keyset ? 1 : 0) ||
          a.amount - b.amount ||
          a.counter - b.counter,
      );
      const unblinded = await unblind(mint, sorted, 0);
      return getEncodedToken({
        mint: mint.url,
        unit,
        proofs: unblinded.map((proof) => ({ ...proof, amount: Amount.from(proof.amount) })),
      });
    },
  };
}

const nameOf = (proof: StoredProof): string => `${proof.keyset}:${proof.counter}:${proof.blindSignature}`;
