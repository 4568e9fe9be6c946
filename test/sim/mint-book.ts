/** What a simulated mint knows of its ecash: what it signed, what is spent, and what waits for a payment. */
import type { InputProof } from '../../src/wallet/wallet.ts';

export interface SimKeyset {
  id: string;
  feePpk: number;
  active: boolean;
}
export interface Output {
  id: string;
  amount: number;
  B_: string;
}

export interface MintBook {
  keysets: SimKeyset[];
  addKeyset: (feePpk: number) => void;
  active: () => SimKeyset;
  feeOf: (proofs: readonly { id: string }[]) => number;
  sign: (outputs: readonly Output[]) => void;
  signed: (B_: string) => Output | undefined;
  /** Error codes of the NUTs, or undefined if nothing is wrong. */
  refuseInputs: (inputs: readonly InputProof[]) => number | undefined;
  refuseOutputs: (outputs: readonly Output[]) => number | undefined;
  spend: (inputs: readonly InputProof[]) => void;
  /** Inputs of a payment under way. */
  setPending: (inputs: readonly InputProof[], pending: boolean) => void;
  stateOf: (secret: string) => 'SPENT' | 'PENDING' | 'UNSPENT';
  isSigned: (proof: { secret: string; amount: number }) => boolean;
  /** Sats signed and not spent. */
  outstanding: () => number;
}

export const blindedOf = (secret: string): string => `b_${secret}`;
export const sumOf = (items: readonly { amount: number }[]): number =>
  items.reduce((sum, { amount }) => sum + amount, 0);

export function createMintBook(name: string): MintBook {
  const keysets: SimKeyset[] = [];
  const signed = new Map<string, Output>();
  const spent = new Set<string>();
  const pending = new Set<string>();
  let outstanding = 0;
  const keysetOf = (id: string): SimKeyset | undefined => keysets.find((keyset) => keyset.id === id);
  const isSigned = ({ secret, amount }: { secret: string; amount: number }): boolean =>
    signed.get(blindedOf(secret))?.amount === amount;

  return {
    keysets,
    addKeyset: (feePpk) => {
      for (const keyset of keysets) keyset.active = false;
      const number = keysets.length.toString(16).padStart(12, '0');
      keysets.push({ id: `00${name}${number}`, feePpk, active: true });
    },
    active: () => keysets.at(-1) as SimKeyset,
    feeOf: (proofs) => Math.ceil(proofs.reduce((sum, { id }) => sum + (keysetOf(id)?.feePpk ?? 0), 0) / 1000),
    sign: (outputs) => {
      for (const output of outputs) signed.set(output.B_, output);
      outstanding += sumOf(outputs);
    },
    signed: (B_) => signed.get(B_),
    refuseInputs: (inputs) => {
      if (inputs.some(({ secret }) => spent.has(secret))) return 11001;
      if (inputs.some(({ secret }) => pending.has(secret))) return 11002;
      return inputs.every(isSigned) ? undefined : 10001;
    },
    refuseOutputs: (outputs) => {
      if (outputs.some(({ id }) => keysetOf(id) === undefined)) return 12001;
      if (outputs.some(({ id }) => keysetOf(id)?.active !== true)) return 12002;
      return outputs.some(({ B_ }) => signed.has(B_)) ? 11003 : undefined;
    },
    spend: (inputs) => {
      for (const { secret } of inputs) spent.add(secret);
      outstanding -= sumOf(inputs);
    },
    setPending: (inputs, isPending) => {
      for (const { secret } of inputs) {
        if (isPending) pending.add(secret);
        else pending.delete(secret);
      }
    },
    stateOf: (secret) => (spent.has(secret) ? 'SPENT' : pending.has(secret) ? 'PENDING' : 'UNSPENT'),
    isSigned,
    outstanding: () => outstanding,
  };
}
