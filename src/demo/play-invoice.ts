/** Invoices of play money: well formed (bolt11), payable by nobody. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { sha256Hex, systemRandom } from '../base/id.ts';

const CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
/** Of a payee that nobody else knows. */
const PAYEE = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;

export interface PlayInvoiceOptions {
  /** Unix seconds of its making; default: now. */
  timestamp?: number;
  expirySeconds?: number;
  /** 64 hex digits; random by default. */
  paymentHash?: string;
  descriptionHash?: string;
}

/** BOLT 9: a payer must know variable onions (bit 8) and payment secrets (bit 14); strict readers insist on both. */
const FEATURES = (1n << 8n) | (1n << 14n);
/** Order of secp256k1. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** 1 msat is 10 pico-bitcoin. */
export function playInvoice(msats: number, options: PlayInvoiceOptions = {}): string {
  const { timestamp = Math.floor(Date.now() / 1000), expirySeconds = 3_600 } = options;
  const paymentHash = options.paymentHash ?? sha256Hex(systemRandom(32));
  const words = [
    ...wordsOf(BigInt(timestamp), 7),
    ...field('p', wordsOf(BigInt(`0x${paymentHash}`) << 4n, 52)),
    ...field('s', wordsOf(BigInt(`0x${sha256Hex(systemRandom(32))}`) << 4n, 52)),
    ...field('x', wordsOf(BigInt(expirySeconds), 7)),
    ...field('9', wordsOf(FEATURES, 3)),
    ...(options.descriptionHash === undefined
      ? field('d', wordsOf(BigInt(`0x${Buffer.from('play').toString('hex')}`) << 3n, 7))
      : field('h', wordsOf(BigInt(`0x${options.descriptionHash}`) << 4n, 52))),
  ];
  const prefix = `lnbcrt${msats * 10}p`;
  words.push(...signatureOf(prefix, words));
  const letters = [...words, ...checksumOf(prefix, words)].map((word) => CHARSET[word]).join('');
  return `${prefix}1${letters}`;
}

/** The LNURL of an address (LUD-01). */
export function playLnurl(url: string): string {
  const bits = [...Buffer.from(url)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const words = (bits.match(/.{1,5}/g) ?? []).map((word) => parseInt(word.padEnd(5, '0'), 2));
  return `lnurl1${[...words, ...checksumOf('lnurl', words)].map((word) => CHARSET[word]).join('')}`;
}

/** Amount of an invoice, from its human readable part. */
export function invoiceMsats(invoice: string): number | undefined {
  const match = /^ln[a-z]+?([1-9]\d{0,17})([munp])1[a-z0-9]+$/.exec(invoice.toLowerCase());
  if (match === null) return undefined;
  const perUnit = { m: 100_000_000, u: 100_000, n: 100, p: 0.1 }[match[2] as 'm' | 'u' | 'n' | 'p'];
  const msats = Math.round(Number(match[1]) * perUnit);
  return Number.isSafeInteger(msats) && msats > 0 ? msats : undefined;
}

/** A signature and the number 0 for its recovery, which yields some payee: payers need not know whose it is. */
function signatureOf(prefix: string, words: readonly number[]): number[] {
  const bits = words.map((word) => word.toString(2).padStart(5, '0')).join('');
  const bytes = (bits.match(/.{1,8}/g) ?? []).map((byte) => parseInt(byte.padEnd(8, '0'), 2));
  const message = Buffer.concat([Buffer.from(prefix), Buffer.from(bytes)]);
  const signature = sign('sha256', message, { key: PAYEE, dsaEncoding: 'ieee-p1363' });
  const r = BigInt(`0x${signature.subarray(0, 32).toString('hex')}`);
  const s = BigInt(`0x${signature.subarray(32).toString('hex')}`);
  // Of the two valid ones, strict readers take the lower s only.
  const low = s > ORDER / 2n ? ORDER - s : s;
  return wordsOf((r << 264n) | (low << 8n), 104);
}

function wordsOf(value: bigint, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Number((value >> BigInt(5 * (count - 1 - i))) & 31n));
}

const field = (tag: string, words: number[]): number[] => [
  CHARSET.indexOf(tag),
  words.length >> 5,
  words.length & 31,
  ...words,
];

/** BIP-173. */
function checksumOf(prefix: string, words: number[]): number[] {
  const codes = [...prefix].map((letter) => letter.charCodeAt(0));
  const values = [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31), ...words];
  let sum = 1;
  for (const value of [...values, 0, 0, 0, 0, 0, 0]) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    if (top & 1) sum ^= 0x3b6a57b2;
    if (top & 2) sum ^= 0x26508e6d;
    if (top & 4) sum ^= 0x1ea119fa;
    if (top & 8) sum ^= 0x3d4233dd;
    if (top & 16) sum ^= 0x2a1462b3;
  }
  sum ^= 1;
  return Array.from({ length: 6 }, (_, i) => (sum >>> (5 * (5 - i))) & 31);
}
