/** The seed of the wallet: twelve words (BIP-39, English) from which every secret of our proofs follows (NUT-13). */
import { pbkdf2Sync } from 'node:crypto';
import { generateMnemonic, validateMnemonic } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';

/** Twelve new words; 128 bits of randomness of the operating system. */
export const createMnemonic = (): string => generateMnemonic(wordlist, 128);

/** 64 bytes of seed. Throws if the words are not a valid English mnemonic; the message names no word. */
export function seedFromMnemonic(words: string): Uint8Array {
  const normal = words.trim().toLowerCase().split(/\s+/).join(' ');
  if (!validateMnemonic(normal, wordlist)) {
    throw new Error(
      'the mnemonic is not valid: expected 12 to 24 English BIP-39 words with a correct checksum',
    );
  }
  return seedOf(normal);
}

/** BIP-39 without a passphrase. OpenSSL needs milliseconds for what takes JavaScript a tenth of a second of each start. */
const seedOf = (mnemonic: string): Uint8Array =>
  Uint8Array.from(pbkdf2Sync(mnemonic.normalize('NFKD'), 'mnemonic', 2048, 64, 'sha512'));
