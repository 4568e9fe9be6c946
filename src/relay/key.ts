/** NodeKey: the node's Nostr identity, and the NIP-19 forms of keys. */
import { decode, npubEncode, nsecEncode } from 'nostr-tools/nip19';
import { NodeError } from '../base/error.ts';
import { systemRandom } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import { isScalar, publicKeyOf, publicSide, secretSide } from './ecdh.ts';
import { conversationKey, decrypt, encrypt } from './nip44.ts';
import { type Recent, createRecent } from './recent.ts';
import type { NodeKey } from './relay.ts';
import { signEvent } from './schnorr.ts';

const HEX_64 = /^[0-9a-f]{64}$/;

/** Takes `nsec1…` or 64 hex characters. Throws NodeError('invalid_request') without repeating the input. */
export function nodeKey(nsecOrHex: Secret): NodeKey {
  const bytes = secretBytes(nsecOrHex.reveal().trim());
  if (bytes === undefined) {
    throw new NodeError(
      'invalid_request',
      'The identity is not a Nostr secret key; give nsec1… or 64 hex characters.',
    );
  }
  const pubkey = publicKeyOf(bytes);
  const own = secretSide(bytes);
  const wipe = (conversation: Buffer): void => void conversation.fill(0);
  // Apart, because strangers make up a wrap's key for every message, and friends keep theirs.
  const wraps = createRecent<Buffer>(LIMITS.wrap.wrapKeysMax, wipe);
  const seals = createRecent<Buffer>(LIMITS.wrap.conversationsMax, wipe);

  function conversation(other: string, known: Recent<Buffer>): Buffer {
    const before = known.get(other);
    if (before !== undefined) return before;
    const made = conversationKey(own, publicSide(other));
    known.set(other, made);
    return made;
  }

  return {
    pubkey,
    npub: npubOf(pubkey),
    sign: (event) => signEvent(event, bytes),
    encrypt: (to, plaintext, nonce) => encrypt(plaintext, conversation(to, seals), nonce),
    decrypt: (from, payload, layer) => {
      if (payload.length > LIMITS.wrap.payloadCharsMax) return undefined;
      try {
        return decrypt(payload, conversation(from, layer === 'seal' ? seals : wraps));
      } catch {
        // Not every 64 digits are a point of the curve.
        return undefined;
      }
    },
  };
}

export function generateNsec(): Secret {
  for (;;) {
    const bytes = systemRandom(32);
    if (isScalar(bytes)) return new Secret<string>(nsecEncode(bytes));
  }
}

export const npubOf = (pubkeyHex: string): string => npubEncode(pubkeyHex);

/** Hex public key of `npub1…`, or of lower-case hex; undefined for anything else. */
export function pubkeyOf(npub: string): string | undefined {
  if (HEX_64.test(npub)) return npub;
  const read = decoded(npub);
  return read?.type === 'npub' ? read.data : undefined;
}

function secretBytes(text: string): Uint8Array | undefined {
  if (HEX_64.test(text.toLowerCase())) {
    const bytes = Uint8Array.from(Buffer.from(text, 'hex'));
    return isScalar(bytes) ? bytes : undefined;
  }
  const read = decoded(text);
  return read?.type === 'nsec' && isScalar(read.data) ? read.data : undefined;
}

function decoded(text: string): ReturnType<typeof decode> | undefined {
  try {
    return decode(text);
  } catch {
    return undefined;
  }
}
