/**
 * Signatures of events (BIP-340): libsecp256k1 in WebAssembly once it is loaded, five to seven times as fast as the
 * plain JavaScript that does the work until then, and for what is too large for it.
 */
import { createRequire } from 'node:module';
import { type Nostr, initNostrWasm } from 'nostr-wasm';
import { LIMITS } from '../base/limits.ts';
import type { NostrEvent, UnsignedEvent } from './relay.ts';

const require = createRequire(import.meta.url);
type Plain = typeof import('nostr-tools/pure');
let plain: Plain | undefined;
/** Loaded when it is first needed, which in most processes is never, and every start would pay for it. */
const slow = (): Plain => (plain ??= require('nostr-tools/pure') as Plain);

let fast: Nostr | undefined;
let loading: Promise<boolean> | undefined;

/** Loads the fast implementation, once for the process; false if this machine cannot, and all goes on slowly. */
export function loadFastSchnorr(): Promise<boolean> {
  loading ??= initNostrWasm().then(
    (loaded) => {
      fast = loaded;
      return true;
    },
    () => false,
  );
  return loading;
}

/** The template is left as it was, and the event carries nothing but its seven fields. */
export function signEvent(
  { kind, created_at, tags, content }: UnsignedEvent,
  secret: Uint8Array,
): NostrEvent {
  const event = {
    id: '',
    pubkey: '',
    created_at,
    kind,
    tags: tags.map((tag) => [...tag]),
    content,
    sig: '',
  };
  if (fast !== undefined && isSmall(event)) {
    try {
      fast.finalizeEvent(event, secret);
      return event;
    } catch {
      // Characters that take six bytes in JSON can be too many all the same; what else is wrong is said below.
    }
  }
  const { id, pubkey, sig } = slow().finalizeEvent(event, secret);
  // A new object: the library marks its own as verified, and that mark would survive tampering with a copy.
  return { id, pubkey, created_at, kind, tags: event.tags, content, sig };
}

/**
 * Whether id and signature hold. The caller has checked that hex digits are lower case: the fast implementation
 * takes both, and then one event has two names. It keeps no "already verified" mark on the object.
 */
export function verifySignature(event: NostrEvent): boolean {
  if (fast === undefined || !isSmall(event)) return slowly(event);
  try {
    fast.verifyEvent(event);
    return true;
  } catch (error) {
    // Anything else is a fault of the machinery, such as too little memory, and says nothing about the event.
    if (error instanceof Error && /^(?:id|pubkey|signature) is invalid$/.test(error.message)) return false;
    return slowly(event);
  }
}

/** In content and tags together: either can be too much for the memory of the fast implementation. */
function isSmall({ content, tags }: Pick<NostrEvent, 'content' | 'tags'>): boolean {
  let left = LIMITS.wrap.fastCharsMax - content.length;
  for (const tag of tags) for (const value of tag) left -= value.length;
  return left >= 0;
}

/** Field by field: a spread copy would carry the library's mark of "already verified" along. */
const slowly = ({ id, pubkey, created_at, kind, tags, content, sig }: NostrEvent): boolean =>
  slow().verifyEvent({ id, pubkey, created_at, kind, tags, content, sig });
