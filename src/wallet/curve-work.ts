/** Curve arithmetic of the wallet, run in the worker: blinding, unblinding, DLEQ checks (NUT-00, NUT-12, NUT-13). */
import {
  blindMessage,
  deriveSecretAndBlindingFactor,
  hash_e,
  hashToCurve,
  OutputData,
  pointFromHex,
  unblindSignature,
} from '@cashu/cashu-ts';
import { hex } from '../base/id.ts';

/** What the main thread may ask for. Points are compressed hex. */
export type CurveJob =
  /** B_ of `count` outputs from `counter` on. */
  | { type: 'blind'; keyset: string; counter: number; count: number }
  /** Y of secrets. */
  | { type: 'ys'; secrets: string[] }
  /** Y of our own proofs. */
  | { type: 'own-ys'; proofs: { keyset: string; counter: number }[] }
  /** Secret and signature of our own proofs. `key` is the mint's public key for the amount. */
  | { type: 'unblind'; proofs: BlindProof[] }
  | { type: 'dleq'; B_: string; C_: string; key: string; e: string; s: string };

export interface BlindProof {
  keyset: string;
  counter: number;
  C_: string;
  key: string;
}
export interface Unblinded {
  secret: string;
  C: string;
}
export interface CurveResults {
  blind: string[];
  ys: string[];
  'own-ys': string[];
  unblind: Unblinded[];
  dleq: boolean;
}
export type CurveResult = CurveResults[keyof CurveResults];

const G = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798';
/** Window of the tables made for keys in frequent use: a third of the time per product, 25 ms once per key. */
const WINDOW = 6;
const USES_BEFORE_TABLE = 8;
const CACHED_MAX = 4_096;

type Point = ReturnType<typeof pointFromHex>;
interface Derived {
  secret: string;
  r: bigint;
}

export interface CurveWork {
  run: (job: CurveJob) => CurveResult;
  /** One piece of work that nobody waits for; false when there is none. */
  idle: () => boolean;
}

export function createCurveWork(seed: Uint8Array): CurveWork {
  const derived = new Map<string, Derived>();
  const keys = new Map<string, { point: Point; uses: number }>();
  const tablesWanted: Point[] = [];
  const utf8 = new TextEncoder();

  function remember<V>(map: Map<string, V>, key: string, value: V): V {
    if (map.size >= CACHED_MAX) {
      const oldest = map.keys().next();
      if (!oldest.done) map.delete(oldest.value);
    }
    map.set(key, value);
    return value;
  }

  function derive(keyset: string, counter: number): Derived {
    const name = `${keyset}:${counter}`;
    const known = derived.get(name);
    if (known !== undefined) return known;
    const { secret, blindingFactor } = deriveSecretAndBlindingFactor(seed, keyset, counter);
    return remember(derived, name, { secret: hex(secret), r: BigInt(`0x${hex(blindingFactor)}`) });
  }

  /** Old keyset ids walk a BIP-32 path; a run of counters shares most of it. */
  function blind(keyset: string, counter: number, count: number): string[] {
    if (keyset.startsWith('01')) {
      return Array.from({ length: count }, (_, i) => {
        const { secret, r } = derive(keyset, counter + i);
        return blindMessage(utf8.encode(secret), r).B_.toHex(true);
      });
    }
    const blanks = new Array<number>(count).fill(0);
    const outputs = OutputData.createDeterministicData(0, seed, counter, { id: keyset, keys: {} }, blanks);
    return outputs.map((output, i) => {
      const secret = new TextDecoder().decode(output.secret);
      remember(derived, `${keyset}:${counter + i}`, { secret, r: output.blindingFactor });
      return output.blindedMessage.B_;
    });
  }

  function keyPoint(key: string): Point {
    const entry = keys.get(key) ?? remember(keys, key, { point: pointFromHex(key), uses: 0 });
    entry.uses += 1;
    if (entry.uses === USES_BEFORE_TABLE) tablesWanted.push(entry.point);
    return entry.point;
  }

  function unblind({ keyset, counter, C_, key }: BlindProof): Unblinded {
    const { secret, r } = derive(keyset, counter);
    return { secret, C: unblindSignature(pointFromHex(C_), r, keyPoint(key)).toHex(true) };
  }

  /** NUT-12 for the receiver of a signature. All values are public, so variable time is fine. */
  function dleqHolds(job: CurveJob & { type: 'dleq' }): boolean {
    try {
      const A = keyPoint(job.key);
      const C_ = pointFromHex(job.C_);
      const [s, e] = [BigInt(`0x${job.s}`), BigInt(`0x${job.e}`)];
      const R1 = keyPoint(G).multiply(s).subtract(A.multiply(e));
      const R2 = pointFromHex(job.B_).multiplyUnsafe(s).subtract(C_.multiplyUnsafe(e));
      return hex(hash_e([R1, R2, A, C_])) === job.e;
    } catch {
      return false; // Not a point or not a scalar: no proof.
    }
  }

  const yOf = (secret: string): string => hashToCurve(utf8.encode(secret)).toHex(true);

  return {
    run: (job) => {
      switch (job.type) {
        case 'blind':
          return blind(job.keyset, job.counter, job.count);
        case 'ys':
          return job.secrets.map(yOf);
        case 'own-ys':
          return job.proofs.map(({ keyset, counter }) => yOf(derive(keyset, counter).secret));
        case 'unblind':
          return job.proofs.map(unblind);
        case 'dleq':
          return dleqHolds(job);
      }
    },
    idle: () => {
      const point = tablesWanted.shift();
      if (point === undefined) return false;
      point.precompute(WINDOW, false);
      return true;
    },
  };
}
