/**
 * Gift wraps (NIP-59): a rumor inside a seal, which its author signed, inside a wrap, which a one-time key signed.
 * Who reads a relay sees for whom a wrap is and roughly how large, and nothing else.
 */
import { z } from 'zod';
import { type Random, sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { KIND } from '../protocol/kinds.ts';
import { type PublicSide, publicSide, secretSide } from './ecdh.ts';
import { hexOf, verifyEvent } from './event.ts';
import { conversationKey, encrypt } from './nip44.ts';
import { createRecent } from './recent.ts';
import type { NodeKey, NostrEvent } from './relay.ts';
import { signEvent } from './schnorr.ts';

/** An event that nobody signed: what a seal says its author wrote. */
export interface Rumor {
  id: string;
  pubkey: string;
  created_at: number;
  kind: number;
  tags: string[][];
  content: string;
}

/** Why a wrap was not opened; nobody is told, but it is counted. */
export type WrapRefusal =
  'size' | 'kind' | 'signature' | 'decrypt' | 'seal' | 'rumor' | 'author' | 'rumor-id';

export type Opened = { rumor: Rumor; sender: string } | { refused: WrapRefusal };

const rumorSchema = z.object({
  id: hexOf(64).optional(),
  pubkey: hexOf(64),
  created_at: z.int().nonnegative(),
  kind: z.int().min(0).max(65_535),
  tags: z.array(z.array(z.string())).max(LIMITS.relay.tagsMax),
  content: z.string(),
});

/**
 * Opens a wrap that is meant for this key. The event is not believed in any point, and a rumor only if its seal is
 * signed by the author that the rumor names. Never throws.
 */
export function openWrap(event: NostrEvent, key: NodeKey): Opened {
  if (event.content.length > LIMITS.wrap.payloadCharsMax) return { refused: 'size' };
  if (event.kind !== KIND.wrap && event.kind !== KIND.ephemeralWrap) return { refused: 'kind' };
  const wrap = verifyEvent(event);
  if (wrap === undefined) return { refused: 'signature' };
  const sealText = key.decrypt(wrap.pubkey, wrap.content, 'wrap');
  if (sealText === undefined) return { refused: 'decrypt' };
  // Parsed anew, so that no mark of "already verified" can come along.
  const seal = verifyEvent(parsed(sealText));
  if (seal?.kind !== KIND.seal) return { refused: 'seal' };
  const rumorText = key.decrypt(seal.pubkey, seal.content, 'seal');
  const read = rumorText === undefined ? undefined : rumorSchema.safeParse(parsed(rumorText));
  if (read?.success !== true) return { refused: 'rumor' };
  const { id: claimed, ...rest } = read.data;
  if (rest.pubkey !== seal.pubkey) return { refused: 'author' };
  const id = rumorId(rest);
  if (claimed !== undefined && claimed !== id) return { refused: 'rumor-id' };
  return { rumor: { id, ...rest }, sender: seal.pubkey };
}

/** NIP-01 id. */
export const rumorId = ({ pubkey, created_at, kind, tags, content }: Omit<Rumor, 'id'>): string =>
  sha256Hex(JSON.stringify([0, pubkey, created_at, kind, tags, content]));

/** A one-time key that signs the wraps of one stream, which belong together for whoever watches anyway. */
export interface StreamKey {
  /** Encrypts for its one recipient and signs. */
  wrap: (sealText: string, event: { kind: number; created_at: number; tags: string[][] }) => NostrEvent;
}

export interface RumorParts {
  kind: number;
  content: string;
  /** A `p` tag with the recipient is put first where it is missing. */
  tags?: string[][];
  /** Unix seconds; now if absent. */
  created_at?: number;
}

export interface WrapOptions {
  /** 1059 is stored by relays and dated back up to two days; 21059 is passed on only and carries the time of now. */
  kind: typeof KIND.wrap | typeof KIND.ephemeralWrap;
  /** Unix seconds after which relays may forget it (NIP-40). */
  expiration?: number;
  /** For frames of one stream to one recipient; saves half of the work. */
  stream?: StreamKey;
  /** For a relay that refuses backdated wraps: 1059 with the time of now. */
  undated?: boolean;
}

export interface Wrapper {
  wrap: (parts: RumorParts, to: string, options: WrapOptions) => NostrEvent;
  /** Throws for a `to` that is no public key. */
  streamKey: (to: string) => StreamKey;
}

/** Throws RangeError where the content does not fit into a wrap (LIMITS.wrap.plaintextBytesMax). */
export function createWrapper(key: NodeKey, random: Random, clock: Clock): Wrapper {
  const recipients = createRecent<PublicSide>(LIMITS.wrap.recipientsMax);

  function recipient(to: string): PublicSide {
    const before = recipients.get(to);
    if (before !== undefined) return before;
    const read = publicSide(to);
    recipients.set(to, read);
    return read;
  }
  const streamKey = (to: string): StreamKey => {
    const secret = random(32);
    const conversation = conversationKey(secretSide(secret), recipient(to));
    return {
      wrap: (sealText, event) =>
        signEvent({ ...event, content: encrypt(sealText, conversation, random(32)) }, secret),
    };
  };
  const backdated = (now: number): number =>
    now - Math.floor((Buffer.from(random(4)).readUInt32BE() / 2 ** 32) * LIMITS.wrap.backdateSecondsMax);

  return {
    streamKey,
    wrap: (parts, to, { kind, expiration, stream = streamKey(to), undated = false }) => {
      const now = unixSeconds(clock);
      const { content, created_at = now, tags = [] } = parts;
      const named = tags.some(([name, value]) => name === 'p' && value === to);
      const rest = {
        pubkey: key.pubkey,
        created_at,
        kind: parts.kind,
        tags: named ? tags : [['p', to], ...tags],
        content,
      };
      const rumor: Rumor = { id: rumorId(rest), ...rest };
      const live = kind === KIND.ephemeralWrap || undated;
      const seal = key.sign({
        kind: KIND.seal,
        created_at: live ? now : backdated(now),
        tags: [],
        content: key.encrypt(to, JSON.stringify(rumor), random(32)),
      });
      return stream.wrap(JSON.stringify(seal), {
        kind,
        created_at: live ? now : backdated(now),
        tags: [['p', to], ...(expiration === undefined ? [] : [['expiration', String(expiration)]])],
      });
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
