/** Sealing of small secrets at rest with AES-256-GCM; the record's own key is bound in as associated data. */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { type Random, systemRandom } from './id.ts';

export interface Sealer {
  /** base64(nonce 12 | tag 16 | ciphertext). */
  seal: (plain: string, boundTo: string) => string;
  /** Throws when the text was changed, moved to another record or sealed under another key. */
  open: (sealed: string, boundTo: string) => string;
}

export function createSealer(masterKey: Uint8Array, random: Random = systemRandom): Sealer {
  const key = createHmac('sha256', masterKey).update('routstr-node/seal/1').digest();
  return {
    seal: (plain, boundTo) => {
      const nonce = random(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(boundTo));
      const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64');
    },
    open: (sealed, boundTo) => {
      const bytes = Buffer.from(sealed, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAAD(
        Buffer.from(boundTo),
      );
      decipher.setAuthTag(bytes.subarray(12, 28));
      return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8');
    },
  };
}
