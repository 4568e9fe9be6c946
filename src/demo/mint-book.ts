/** The play-money mint's book: which proofs are spent and which outputs are signed (NUT-03, NUT-07, NUT-09). */
import { Amount, hashToCurve, isP2PKSpendAuthorised, parseSecret, type SecretKind } from '@cashu/cashu-ts';
import type { BlindSignature, MintKeys, PlayProof } from './mint-keys.ts';
import { MintRefusal } from './mint-refusal.ts';

const ITEMS_MAX = 1_000;

export interface MintInput extends PlayProof {
  witness?: string;
}
export interface MintOutput {
  id: string;
  amount: number;
  B_: string;
}
export type ProofState = 'UNSPENT' | 'PENDING' | 'SPENT';

export interface MintBook {
  /** Spends inputs for outputs of the same sum less fee. Throws MintRefusal and changes nothing. */
  swap: (inputs: MintInput[], outputs: MintOutput[]) => BlindSignature[];
  /** Checks inputs without spending them; returns their sum and fee. */
  check: (inputs: MintInput[]) => { sum: number; fee: number };
  spend: (inputs: MintInput[]) => void;
  /** Throws unless the outputs may be signed now. */
  checkOutputs: (outputs: MintOutput[]) => void;
  sign: (outputs: MintOutput[]) => BlindSignature[];
  stateOf: (Y: string) => ProofState;
  /** Holds inputs as a payment in flight does; tests use it to show PENDING. */
  setPending: (Y: string, pending: boolean) => void;
  restore: (outputs: MintOutput[]) => { outputs: MintOutput[]; signatures: BlindSignature[] };
  totals: () => { signed: number; spent: number };
}

export const yOf = (secret: string): string => hashToCurve(new TextEncoder().encode(secret)).toHex(true);

export function createMintBook(keys: MintKeys): MintBook {
  const spent = new Set<string>();
  const pending = new Set<string>();
  const signed = new Map<string, BlindSignature>();
  let signedTotal = 0;
  let spentTotal = 0;

  function check(inputs: MintInput[]): { sum: number; fee: number } {
    if (inputs.length === 0 || inputs.length > ITEMS_MAX) throw new MintRefusal(11014, 'number of inputs');
    const ys = inputs.map((input) => yOf(input.secret));
    if (new Set(ys).size !== ys.length) throw new MintRefusal(11007, 'duplicate inputs provided');
    for (const Y of ys) if (pending.has(Y)) throw new MintRefusal(11002, 'proofs are pending');
    for (const Y of ys) if (spent.has(Y)) throw new MintRefusal(11001, 'Token already spent.');
    for (const input of inputs) checkInput(input);
    const ppk = inputs.reduce((total, input) => total + keys.find(input.id).feePpk, 0);
    return { sum: inputs.reduce((total, input) => total + input.amount, 0), fee: Math.ceil(ppk / 1000) };
  }

  function checkInput(input: MintInput): void {
    if (!keys.verify(input)) throw new MintRefusal(10001, 'proof could not be verified');
    const kind = kindOf(input.secret);
    if (kind === undefined) return;
    const proof = { ...input, amount: Amount.from(input.amount) };
    if (kind !== 'P2PK' || !isP2PKSpendAuthorised(proof)) {
      throw new MintRefusal(10001, 'spending conditions are not met');
    }
  }

  function checkOutputs(outputs: MintOutput[]): void {
    if (outputs.length === 0 || outputs.length > ITEMS_MAX) throw new MintRefusal(11015, 'number of outputs');
    if (new Set(outputs.map((output) => output.B_)).size !== outputs.length) {
      throw new MintRefusal(11008, 'duplicate outputs provided');
    }
    for (const output of outputs) {
      if (!keys.find(output.id).active) throw new MintRefusal(12002, 'keyset is inactive');
      if (signed.has(output.B_)) throw new MintRefusal(11003, 'outputs have already been signed');
    }
  }

  function sign(outputs: MintOutput[]): BlindSignature[] {
    const signatures = outputs.map((output) => keys.sign(keys.find(output.id), output.amount, output.B_));
    for (const [i, signature] of signatures.entries()) {
      signed.set(outputs[i]?.B_ ?? '', signature);
      signedTotal += signature.amount;
    }
    return signatures;
  }

  function spend(inputs: MintInput[]): void {
    for (const input of inputs) {
      spent.add(yOf(input.secret));
      spentTotal += input.amount;
    }
  }

  return {
    check,
    checkOutputs,
    sign,
    spend,
    swap: (inputs, outputs) => {
      const { sum, fee } = check(inputs);
      checkOutputs(outputs);
      const wanted = outputs.reduce((total, output) => total + output.amount, 0);
      if (sum - fee !== wanted) throw new MintRefusal(11005, 'inputs minus fee do not equal outputs');
      const signatures = sign(outputs);
      spend(inputs);
      return signatures;
    },
    stateOf: (Y) => (spent.has(Y) ? 'SPENT' : pending.has(Y) ? 'PENDING' : 'UNSPENT'),
    setPending: (Y, on) => void (on ? pending.add(Y) : pending.delete(Y)),
    restore: (outputs) => {
      const found = outputs.filter((output) => signed.has(output.B_));
      const signatures = found.flatMap((output) => signed.get(output.B_) ?? []);
      return { outputs: found, signatures };
    },
    totals: () => ({ signed: signedTotal, spent: spentTotal }),
  };
}

/** Kind of a NUT-10 secret, undefined for a plain one. */
function kindOf(secret: string): SecretKind | undefined {
  if (!secret.startsWith('[')) return undefined;
  try {
    return parseSecret(secret)[0];
  } catch {
    return undefined; // Text that is no NUT-10 secret is a plain secret.
  }
}
