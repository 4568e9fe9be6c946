/** Reads a bolt11 invoice: amount, payment hash, expiry and description hash. Bounded, and its checksum is verified. */
import { LIMITS } from '../base/limits.ts';
import { letterOf, readBech32 } from './bech32.ts';
import type { Invoice } from './lightning.ts';

const TIMESTAMP_WORDS = 7;
const SIGNATURE_WORDS = 104;
/** bolt11: an invoice that names no expiry lives for an hour. */
const EXPIRY_SECONDS = 3_600;
const HASH_WORDS = 52;
const PICO_PER_UNIT: Readonly<Record<string, bigint>> = {
  '': 1_000_000_000_000n,
  m: 1_000_000_000n,
  u: 1_000_000n,
  n: 1_000n,
  p: 1n,
};

/** Undefined for anything that is not a well-formed invoice. Its signature is the payer's business, not ours. */
export function readInvoice(text: string): Invoice | undefined {
  const plain = text.trim().replace(/^lightning:/i, '');
  const read = plain.length > LIMITS.invoice.charsMax ? undefined : readBech32(plain);
  const match = /^ln(?:bcrt|tbs|bc|tb)(?:([1-9]\d{0,17})([munp]?))?$/.exec(read?.prefix ?? '');
  const [digits, unit] = [match?.[1], match?.[2] ?? ''];
  if (read === undefined || match === null) return undefined;
  const { words } = read;
  if (words.length < TIMESTAMP_WORDS + SIGNATURE_WORDS) return undefined;

  const msat = digits === undefined ? undefined : msatOf(digits, unit);
  if (digits !== undefined && msat === undefined) return undefined;
  const fields = readFields(words.slice(TIMESTAMP_WORDS, -SIGNATURE_WORDS));
  if (fields?.p === undefined) return undefined;
  const timestamp = numberOf(words.slice(0, TIMESTAMP_WORDS));
  const expiresAt = timestamp + (fields.x ?? EXPIRY_SECONDS);
  return { text: plain.toLowerCase(), msat, paymentHash: fields.p, expiresAt, descriptionHash: fields.h };
}

interface Fields {
  p?: string;
  h?: string;
  x?: number;
}

/** The first of each tag counts; a field that claims more words than there are makes the invoice unreadable. */
function readFields(words: number[]): Fields | undefined {
  const fields: Fields = {};
  for (let at = 0; at < words.length;) {
    const tag = letterOf(words[at] ?? 0);
    const length = (words[at + 1] ?? 0) * 32 + (words[at + 2] ?? 0);
    const value = words.slice(at + 3, at + 3 + length);
    if (at + 3 > words.length || value.length !== length) return undefined;
    at += 3 + length;
    if (tag === 'p' && length === HASH_WORDS) fields.p ??= hexOf(value);
    else if (tag === 'h' && length === HASH_WORDS) fields.h ??= hexOf(value);
    // Ten words are more than a million years.
    else if (tag === 'x' && length <= 9) fields.x ??= numberOf(value);
  }
  return fields;
}

/** Whole millisatoshis only: 1 msat is 10 pico-bitcoin. */
function msatOf(digits: string, unit: string): number | undefined {
  const pico = BigInt(digits) * (PICO_PER_UNIT[unit] ?? 0n);
  if (pico % 10n !== 0n || pico / 10n > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return Number(pico / 10n);
}

const numberOf = (words: readonly number[]): number => words.reduce((sum, word) => sum * 32 + word, 0);

function hexOf(words: readonly number[]): string {
  let bits = 0n;
  for (const word of words) bits = bits * 32n + BigInt(word);
  // 52 words are 260 bits, of which the last four are padding.
  return (bits >> 4n).toString(16).padStart(64, '0');
}
