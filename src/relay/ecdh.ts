/**
 * ECDH on secp256k1 through key objects: one secret of many others, many secrets of one other.
 * `createECDH` would do the same and multiply points four times for a new key where two times are enough: it computes
 * the public key first, and checks it against the secret again for every secret it shares.
 */
import { type KeyObject, createECDH, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';

/** SEC 1, C.4: version 1, the secret, the curve, a public key. */
const SECRET_HEAD = Buffer.from('3074020101' + '0420', 'hex');
/**
 * In the place of the public key stands the curve's generator. Sharing reads the secret alone, and a key without a
 * public key would have it computed. So nothing but sharing may be done with it.
 */
const SECRET_TAIL = Buffer.from(
  'a00706052b8104000a' +
    'a144034200' +
    '0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798' +
    '483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8',
  'hex',
);
/** RFC 5480: the algorithm, the curve, a compressed point with an even y. */
const PUBLIC_HEAD = Buffer.from('3036301006072a8648ce3d020106052b8104000a03220002', 'hex');
const ORDER = Buffer.from('fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141', 'hex');

declare const side: unique symbol;
/** Good for `sharedX` and nothing else. */
export type SecretSide = KeyObject & { readonly [side]: 'secret' };
export type PublicSide = KeyObject & { readonly [side]: 'public' };

/** 32 bytes; false for zero and for numbers beyond the order of the curve. */
export const isScalar = (secret: Uint8Array): boolean =>
  secret.length === 32 && secret.some((byte) => byte !== 0) && ORDER.compare(secret) > 0;

/** The public key as Nostr writes it: the x of the point, 64 hex digits. Throws for what is no scalar. */
export function publicKeyOf(secret: Uint8Array): string {
  const ecdh = createECDH('secp256k1');
  ecdh.setPrivateKey(secret);
  return ecdh.getPublicKey('hex', 'compressed').slice(2);
}

/** Throws RangeError for what is no scalar of the curve. */
export function secretSide(secret: Uint8Array): SecretSide {
  if (!isScalar(secret)) {
    throw new RangeError('a secret key is a number from 1 to the order of the curve');
  }
  const key = Buffer.concat([SECRET_HEAD, secret, SECRET_TAIL]);
  try {
    return createPrivateKey({ key, format: 'der', type: 'sec1' }) as SecretSide;
  } finally {
    key.fill(0);
  }
}

/**
 * @param pubkey 64 hex digits: the x of a point. Which of the two points with this x is taken makes no difference to
 * the x of the product. Throws for what is no point of the curve.
 */
export function publicSide(pubkey: string): PublicSide {
  const x = Buffer.from(pubkey, 'hex');
  if (x.length !== 32) throw new RangeError('a public key has 64 hex digits');
  return createPublicKey({ key: Buffer.concat([PUBLIC_HEAD, x]), format: 'der', type: 'spki' }) as PublicSide;
}

/** X coordinate of the product, 32 bytes: the same for both sides. */
export const sharedX = (privateKey: SecretSide, publicKey: PublicSide): Buffer =>
  diffieHellman({ privateKey, publicKey });
