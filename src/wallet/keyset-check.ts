/** Whether public keys are the ones that a keyset id stands for: the id is a hash over them (NUT-02). */
import { Keyset as CashuKeyset } from '@cashu/cashu-ts';
import { LIMITS } from '../base/limits.ts';

export interface KeysetInfo {
  id: string;
  unit: string;
  active: boolean;
  feePpk: number;
  /** Unix seconds after which the mint may forget it. */
  finalExpiry?: number;
  /** Public key by amount; only after they were found to match the id. */
  keys?: Readonly<Record<string, string>>;
}

/** `foreign`: the id is of a version we know, and it stands for other keys. `unusable`: nothing can be said. */
export type KeysVerdict = 'fit' | 'foreign' | 'unusable';

/** Version 00 hashes the keys, version 01 also unit, fee and expiry. */
const KNOWN_VERSIONS = /^(00[0-9a-f]{14}|01[0-9a-f]{64})$/;

/** Says nothing about whether each key is a point of the curve. */
export function checkKeys(info: KeysetInfo, keys: Readonly<Record<string, string>>): KeysVerdict {
  const count = Object.keys(keys).length;
  if (count === 0 || count > LIMITS.mint.keysPerKeysetMax) return 'unusable';
  const fits = CashuKeyset.verifyKeysetId({
    id: info.id,
    unit: info.unit,
    active: info.active,
    input_fee_ppk: info.feePpk,
    ...(info.finalExpiry === undefined ? {} : { final_expiry: info.finalExpiry }),
    keys,
  });
  if (fits) return 'fit';
  return KNOWN_VERSIONS.test(info.id) ? 'foreign' : 'unusable';
}

/** Ids on which outputs of ours are derived (NUT-13); the base64 ids of very old mints are for inputs only. */
export const takesOutputs = (keysetId: string): boolean => KNOWN_VERSIONS.test(keysetId);
