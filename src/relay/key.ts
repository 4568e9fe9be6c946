/** NodeKey: the node's Nostr identity, and the NIP-19 forms of keys. */
import { decode, npubEncode, nsecEncode } from 'nostr-tools/nip19';
import { finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import { NodeError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import type { NodeKey } from './relay.ts';

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
  const pubkey = getPublicKey(bytes);
  return {
    pubkey,
    npub: npubOf(pubkey),
    sign: ({ kind, created_at, tags, content }) => {
      const signed = finalizeEvent({ kind, created_at, tags: tags.map((tag) => [...tag]), content }, bytes);
      // A plain object: the library marks its own as verified, and that mark would survive tampering with a copy.
      return {
        id: signed.id,
        pubkey: signed.pubkey,
        created_at: signed.created_at,
        kind: signed.kind,
        tags: signed.tags,
        content: signed.content,
        sig: signed.sig,
      };
    },
  };
}

export const generateNsec = (): Secret => new Secret<string>(nsecEncode(generateSecretKey()));

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

/** False for zero and for numbers beyond the order of the curve. */
function isScalar(bytes: Uint8Array): boolean {
  try {
    return getPublicKey(bytes).length === 64;
  } catch {
    return false;
  }
}

function decoded(text: string): ReturnType<typeof decode> | undefined {
  try {
    return decode(text);
  } catch {
    return undefined;
  }
}
