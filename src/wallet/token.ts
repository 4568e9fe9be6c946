/** Reads a cashu token offline (NUT-00, versions A and B). A token is a stranger's text: every field is checked here. */
import { ECDH } from 'node:crypto';
import { getDecodedTokenBinary, JSONInt } from '@cashu/cashu-ts';
import { NodeError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Msat, type Unit, msat, msatPerUnit } from '../base/money.ts';
import { Secret } from '../base/secret.ts';
import { canonicalKeysetId, normaliseMintUrl } from './mint-url.ts';
import type { InputProof, TokenInfo } from './wallet.ts';

/** Units that are configured for a mint; undefined if the mint is not listed. */
export type UnitsOfMint = (mint: string) => readonly Unit[] | undefined;

/** Throws NodeError; see `Wallet.inspect`. */
export function inspectToken(text: string, unitsOf: UnitsOfMint): TokenInfo {
  const normal = normaliseText(text);
  const { mint, unit, proofs } = decode(normal);
  const known = listedMint(mint, unitsOf);
  const knownUnit = known.units.find((candidate) => candidate === unit);
  if (knownUnit === undefined) {
    throw new NodeError('unsupported_unit', `This node accepts ${known.units.join(', ')} from this mint.`);
  }
  if (proofs.length > LIMITS.token.proofsMax) {
    throw new NodeError('token_too_large', `A token may have at most ${LIMITS.token.proofsMax} proofs.`);
  }
  const checked = proofs.map(checkProof);
  const face = faceOf(checked, knownUnit);
  const claims = checked.map((proof) => claimOf(proof.secret)).sort();
  if (new Set(claims).size !== claims.length) {
    throw new NodeError('duplicate_proofs', 'The token contains the same proof twice.');
  }
  if (checked.some((proof) => isLocked(proof.secret))) {
    throw new NodeError('locked_token', 'The token is locked. Unlock it by receiving it in a wallet first.');
  }
  return {
    mint: known.url,
    unit: knownUnit,
    face,
    textHash: sha256Hex(normal),
    claims,
    proofs: new Secret(checked),
  };
}

/** Identity of a proof: 128 bits of the hash of its secret. */
export const claimOf = (secret: string): string => sha256Hex(secret).slice(0, 32);

/** Without surrounding space and URI scheme; sizes are checked before anything is decoded. */
function normaliseText(text: string): string {
  if (text.length > LIMITS.token.charsMax) {
    throw new NodeError('token_too_large', `A token may have at most ${LIMITS.token.charsMax} characters.`);
  }
  return text.trim().replace(/^(web\+cashu:\/\/|cashu:\/\/|cashu:)/i, '');
}

interface Decoded {
  mint: unknown;
  unit: unknown;
  proofs: unknown[];
}

const invalid = (what: string, cause?: unknown): NodeError =>
  new NodeError('invalid_cashu_token', `This is not a valid cashu token: ${what}.`, { cause });

function decode(text: string): Decoded {
  const body = text.slice('cashuX'.length);
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(body)) throw invalid('it must be cashuA… or cashuB… in base64url');
  try {
    if (text.startsWith('cashuB')) return decodeB(body);
    if (text.startsWith('cashuA')) return decodeA(body);
  } catch (error) {
    throw error instanceof NodeError ? error : invalid('it cannot be decoded', error);
  }
  throw invalid('it must begin with cashuA or cashuB');
}

/** Short keyset ids stay as they are; they are expanded with the mint's keysets when the token is received. */
function decodeB(body: string): Decoded {
  const cbor = Buffer.from(body, 'base64url');
  if (hasMoreItems(cbor, LIMITS.token.itemsMax)) throw invalid('it has too many parts');
  const token = getDecodedTokenBinary(Buffer.concat([Buffer.from('crawB'), cbor]));
  const proofs = token.proofs.map((proof) => ({ ...proof, amount: numberOf(proof.amount.toBigInt()) }));
  return { mint: token.mint, unit: token.unit, proofs };
}

/**
 * Goes from head to head (RFC 8949 §3): decoding 48 kB of tiny items takes ten times as long as any good token.
 * Arrays are not counted: deep ones are the decoder's to refuse, many empty ones cost little.
 */
function hasMoreItems(cbor: Buffer, max: number): boolean {
  let items = 0;
  for (let at = 0; at < cbor.length && items <= max;) {
    const [major, info] = [cbor[at]! >> 5, cbor[at]! & 31];
    if (major !== 4) items += 1;
    const width = info < 24 || info > 27 ? 0 : 1 << (info - 24);
    const holdsBytes = major === 2 || major === 3;
    if (holdsBytes) at += info < 24 ? info : lengthAt(cbor.subarray(at + 1, at + 1 + width));
    at += 1 + width;
  }
  return items > max;
}

const lengthAt = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => sum * 256 + byte, 0);

function decodeA(body: string): Decoded {
  const value = JSONInt.parse(Buffer.from(body, 'base64url').toString('utf8'));
  const entries = record(value)['token'];
  if (!Array.isArray(entries) || entries.length === 0) throw invalid('it holds no money');
  if (entries.length > 1) {
    throw new NodeError(
      'multi_mint_token',
      'The token holds money of several mints. Send one token per mint.',
    );
  }
  const entry = record(entries[0]);
  const proofs = entry['proofs'];
  if (!Array.isArray(proofs)) throw invalid('it has no list of proofs');
  return { mint: entry['mint'], unit: record(value)['unit'], proofs };
}

const numberOf = (amount: bigint): number =>
  amount <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(amount) : NaN;

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw invalid('a part of it is not an object');
  return value as Record<string, unknown>;
}

/** Exact match of the normalised URL with the list. The URL of the token is compared, never dialled. */
function listedMint(mint: unknown, unitsOf: UnitsOfMint): { url: string; units: readonly Unit[] } {
  if (typeof mint !== 'string') throw invalid('it names no mint');
  const refuse = (cause?: unknown) =>
    new NodeError('untrusted_mint', 'This node does not accept tokens of this mint.', { cause });
  let url: string;
  try {
    url = normaliseMintUrl(mint);
  } catch (error) {
    throw refuse(error);
  }
  const units = unitsOf(url);
  if (units === undefined) throw refuse();
  return { url, units };
}

function checkProof(value: unknown): InputProof {
  const { id, amount, secret, C } = record(value);
  if (id !== undefined && typeof id !== 'string') throw invalid('a keyset id is not text');
  if (typeof amount !== 'number' || !Number.isSafeInteger(amount) || amount < 0) {
    throw invalid('an amount is not a whole number');
  }
  if (typeof secret !== 'string' || secret === '' || secret.length > LIMITS.token.secretCharsMax) {
    throw invalid('a secret is empty or too long');
  }
  if (Buffer.from(secret).toString() !== secret) throw invalid('a secret is not valid text');
  if (typeof C !== 'string' || !isPoint(C.toLowerCase())) throw invalid('a signature is not a curve point');
  return { id: canonicalKeysetId(id ?? ''), amount, secret, C: C.toLowerCase() };
}

/** True for 33 bytes of hex that are a point of secp256k1. OpenSSL needs 40 µs, four times less than JavaScript. */
export function isPoint(text: string): boolean {
  if (!/^0[23][0-9a-f]{64}$/.test(text)) return false;
  try {
    return ECDH.convertKey(text, 'secp256k1', 'hex', 'hex', 'compressed') === text;
  } catch {
    return false; // OpenSSL throws for an x that is not on the curve.
  }
}

function faceOf(proofs: InputProof[], unit: Unit): Msat {
  if (proofs.length === 0 || proofs.some((proof) => proof.amount === 0)) {
    throw new NodeError('cashu_token_zero_value', 'The token, or a proof in it, has no value.');
  }
  const sum = proofs.reduce((total, proof) => total + proof.amount, 0);
  if (sum > LIMITS.token.msatMax / msatPerUnit(unit)) {
    throw new NodeError('token_too_large', `A token may be worth at most ${LIMITS.token.msatMax} msat.`);
  }
  return msat(sum * msatPerUnit(unit));
}

/** NUT-10: a secret that is a JSON array carries a spending condition. Unknown kinds may be one, so they count. */
function isLocked(secret: string): boolean {
  if (!secret.trimStart().startsWith('[')) return false;
  try {
    return Array.isArray(JSON.parse(secret));
  } catch {
    return false; // Not JSON: a plain secret that happens to begin with a bracket.
  }
}
