/** Proofs in our possession as both ledger and wallet know them: never the secret, only where it comes from. */

/** Still blinded: secret and blinding factor follow from seed, keyset and counter (NUT-13). */
export interface StoredProof {
  keyset: string;
  counter: number;
  /** In the mint's unit. */
  amount: number;
  /** Blind signature C_ (hex point) of the mint. */
  blindSignature: string;
}

/** Outputs of one swap: `amounts[i]` uses counter `counter + i`. */
export interface OutputPlan {
  keyset: string;
  counter: number;
  amounts: number[];
}
