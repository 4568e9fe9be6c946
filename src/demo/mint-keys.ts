/** Keysets of the play-money mint: one active, earlier ones inactive but still good as inputs (NUT-01, NUT-02, NUT-12). */
import {
  createDLEQProof,
  createNewMintKeys,
  hashToCurve,
  pointFromHex,
  serializeMintKeys,
} from '@cashu/cashu-ts';
import { hex, systemRandom } from '../base/id.ts';
import type { Unit } from '../base/money.ts';
import { MintRefusal } from './mint-refusal.ts';

/** Denominations 1, 2, 4 … 2^31: more play money than anyone asks for. */
const DENOMINATIONS = 32;

export interface MintKeyset {
  id: string;
  unit: Unit;
  active: boolean;
  feePpk: number;
  publicKeys: Record<string, string>;
  privateKeys: Record<string, Uint8Array>;
}

export interface BlindSignature {
  id: string;
  amount: number;
  C_: string;
  dleq?: { e: string; s: string };
}

export interface PlayProof {
  id: string;
  amount: number;
  secret: string;
  C: string;
}

export interface MintKeys {
  active: () => MintKeyset;
  all: () => MintKeyset[];
  /** Throws MintRefusal 12001 for an id that this mint never had. */
  find: (id: string) => MintKeyset;
  rotate: (feePpk?: number) => MintKeyset;
  sign: (keyset: MintKeyset, amount: number, blindedMessage: string) => BlindSignature;
  /** True if `C` is this mint's signature on `secret` for `amount`. */
  verify: (proof: PlayProof) => boolean;
  /** A valid proof out of thin air. */
  conjure: (amount: number) => PlayProof;
}

export function createMintKeys(options: {
  unit: Unit;
  feePpk: number;
  dleq: boolean;
  keysetVersion: 0 | 1;
}): MintKeys {
  const keysets = new Map<string, MintKeyset>();
  let active = add(options.feePpk);

  function add(feePpk: number): MintKeyset {
    const made = createNewMintKeys(DENOMINATIONS, undefined, {
      unit: options.unit,
      input_fee_ppk: feePpk,
      versionByte: options.keysetVersion,
    });
    const keyset: MintKeyset = {
      id: made.keysetId,
      unit: options.unit,
      active: true,
      feePpk,
      publicKeys: serializeMintKeys(made.pubKeys),
      privateKeys: made.privKeys,
    };
    keysets.set(keyset.id, keyset);
    return keyset;
  }

  function find(id: string): MintKeyset {
    const keyset = keysets.get(id);
    if (keyset === undefined) throw new MintRefusal(12001, 'keyset is not known');
    return keyset;
  }

  function keyOf(keyset: MintKeyset, amount: number): Uint8Array {
    const key = keyset.privateKeys[String(amount)];
    if (key === undefined) throw new MintRefusal(11006, 'amount is not a denomination of the keyset');
    return key;
  }

  function point(text: string) {
    try {
      return pointFromHex(text);
    } catch (error) {
      throw new MintRefusal(10001, 'not a point of the curve', error);
    }
  }

  return {
    active: () => active,
    all: () => [...keysets.values()],
    find,
    rotate: (feePpk = active.feePpk) => {
      active.active = false;
      active = add(feePpk);
      return active;
    },
    sign: (keyset, amount, blindedMessage) => {
      const key = keyOf(keyset, amount);
      const B_ = point(blindedMessage);
      const C_ = times(B_, key);
      const signature: BlindSignature = { id: keyset.id, amount, C_: C_.toHex(true) };
      if (!options.dleq) return signature;
      const { e, s } = createDLEQProof(B_, key);
      return { ...signature, dleq: { e: hex(e), s: hex(s) } };
    },
    verify: (proof) => {
      const key = keyOf(find(proof.id), proof.amount);
      return times(pointOf(proof.secret), key).equals(point(proof.C));
    },
    conjure: (amount) => {
      const key = keyOf(active, amount);
      const secret = hex(systemRandom(32));
      return { id: active.id, amount, secret, C: times(pointOf(secret), key).toHex(true) };
    },
  };
}

type Point = ReturnType<typeof pointFromHex>;
const pointOf = (secret: string): Point => hashToCurve(new TextEncoder().encode(secret));

/** A signature: two to three times as fast without the care against watchers that keys to real money need. */
const times = (point: Point, key: Uint8Array): Point => point.multiplyUnsafe(BigInt(`0x${hex(key)}`));
