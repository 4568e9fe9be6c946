/** Bech32 (BIP-173) without its limit of 90 characters, as invoices and LNURLs use it. */

const CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const CHECKSUM_WORDS = 6;

/** The letter that stands for a word of five bits. */
export const letterOf = (word: number): string => CHARSET[word] ?? '';

/** Prefix and words of five bits without the checksum; undefined for mixed case, foreign letters, a wrong checksum. */
export function readBech32(text: string): { prefix: string; words: number[] } | undefined {
  if (/[A-Z]/.test(text) === /[a-z]/.test(text)) return undefined;
  const lower = text.toLowerCase();
  const at = lower.lastIndexOf('1');
  const prefix = lower.slice(0, Math.max(at, 0));
  const words = [...lower.slice(at + 1)].map((letter) => CHARSET.indexOf(letter));
  if (prefix === '' || words.includes(-1) || words.length < CHECKSUM_WORDS) return undefined;
  if (checksum([...expand(prefix), ...words]) !== 1) return undefined;
  return { prefix, words: words.slice(0, -CHECKSUM_WORDS) };
}

/** Bytes of words of five bits; undefined where the padding is more than it must be, or is not zero. */
export function bytesOf(words: readonly number[]): Uint8Array | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const word of words) {
    value = ((value << 5) | word) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  const padding = value & ((1 << bits) - 1);
  return bits < 5 && padding === 0 ? Uint8Array.from(bytes) : undefined;
}

const expand = (prefix: string): number[] => [
  ...[...prefix].map((letter) => letter.charCodeAt(0) >> 5),
  0,
  ...[...prefix].map((letter) => letter.charCodeAt(0) & 31),
];

/** 1 for a valid text. */
function checksum(values: readonly number[]): number {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    for (const [i, generator] of GENERATOR.entries()) if ((top >>> i) & 1) sum ^= generator;
  }
  return sum >>> 0;
}
