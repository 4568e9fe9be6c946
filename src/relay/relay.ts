/** RelaySet: conversation with the Nostr relays of relays.json. */

/** NIP-01 event. */
export interface NostrEvent {
  id: string;
  pubkey: string;
  created_at: number;
  kind: number;
  tags: string[][];
  content: string;
  sig: string;
}
export type UnsignedEvent = Pick<NostrEvent, 'kind' | 'created_at' | 'tags' | 'content'>;

/** NIP-01 filter. */
export interface Filter {
  ids?: string[];
  authors?: string[];
  kinds?: number[];
  since?: number;
  until?: number;
  limit?: number;
  [tag: `#${string}`]: string[] | undefined;
}

export type RelayRole = 'announce' | 'discover' | 'dm' | 'rpc' | 'index';

/** One entry of relays.json. */
export interface RelayConfig {
  url: string;
  roles: RelayRole[];
  /** Publishes per minute and at once; feeds a token bucket. */
  perMinute?: number;
  burst?: number;
  /** Answer NIP-42 AUTH challenges of this relay with the node's key. */
  auth?: boolean;
  maxEventBytes?: number;
}

/** What one relay said to one publish. `sticky` refusals are not repeated until restart. */
export type PublishOutcome =
  | { url: string; outcome: 'ok' | 'duplicate' }
  | { url: string; outcome: 'refused'; reason: string; sticky: boolean }
  /** `mute`: nobody subscribed to this ephemeral event there; send one that relays store. */
  | { url: string; outcome: 'rate-limited' | 'timeout' | 'unreachable' | 'mute'; reason: string };

/** What a relay says that it takes (NIP-11); absent: it did not say. */
export interface RelayLimits {
  /** Of a whole frame. */
  messageBytes?: number;
  /** Of one event. */
  tags?: number;
  contentChars?: number;
  /** Its clock less ours, when it was asked. */
  clockAheadMs?: number;
}

export interface RelayStatus {
  url: string;
  roles: RelayRole[];
  state: 'connecting' | 'open' | 'waiting' | 'closed';
  /** Last sticky refusal (`blocked:`, `restricted:`, `pow:`, `auth-required:`). */
  refused?: string;
  /** Messages left unread because the relay sent too many, and events it sent that nobody asked for. */
  dropped: number;
  /** Known once `informed` has asked. */
  limits?: RelayLimits;
}

/** A live subscription on all relays of its roles. */
export interface Subscription {
  /**
   * Waits until every one of its relays said EOSE on the connection it has now, at most `timeoutMs`.
   * Gives the number that have: from there on nothing new is missed.
   */
  ready: (timeoutMs: number) => Promise<number>;
  /** Asks again where there is a connection: what is stored there is sent once more. */
  renew: () => void;
  close: () => void;
}

export interface RelaySet {
  /** Connects with bounds and keeps trying with full-jitter back-off; returns at once. */
  start: () => void;
  /**
   * One outcome per relay of the role (of those in `only`, if given), each within LIMITS.relay.publishTimeoutMs.
   * Never rejects. Refusals that are sticky are answered from memory.
   */
  publish: (event: NostrEvent, role: RelayRole, only?: readonly string[]) => Promise<PublishOutcome[]>;
  /** Stored events matching the filter from every relay of the role, verified and deduplicated; bounded in time. */
  query: (filter: Filter, role: RelayRole, timeoutMs?: number) => Promise<NostrEvent[]>;
  /**
   * Live on every relay that has one of the roles, also on those that are down now; asked anew after every
   * reconnect, AUTH and CLOSED. Stored events may be sent again each time.
   */
  subscribe: (options: {
    /** Called for each REQ, so that `since` follows the clock and never what was seen last. */
    filter: () => Filter;
    roles: readonly RelayRole[];
    /**
     * Shape-checked and of the filter, but NOT verified: the reader sorts out duplicates and does cheap checks
     * first. `from` is the relay's URL. What it throws is logged and goes no further.
     */
    onEvent: (event: NostrEvent, from: string) => void;
  }) => Subscription;
  /** To exactly these relays of relays.json, whatever their role; others are ignored. Never rejects. */
  publishTo: (event: NostrEvent, urls: readonly string[]) => Promise<PublishOutcome[]>;
  /**
   * Asks the relays that we publish to for their limits (NIP-11), each at most once a day; `status` has them
   * afterwards. Bounded by LIMITS.relay.documentTimeoutMs; never rejects.
   */
  informed: () => Promise<void>;
  status: () => RelayStatus[];
  close: () => Promise<void>;
}

/** The node's Nostr identity. The secret key never leaves the object. */
export interface NodeKey {
  readonly pubkey: string;
  readonly npub: string;
  sign: (event: UnsignedEvent) => NostrEvent;
  /** NIP-44 for the owner of `to`. `nonce`: 32 fresh random bytes. Throws where `to` is no public key. */
  encrypt: (to: string, plaintext: string, nonce: Uint8Array) => string;
  /**
   * NIP-44 from the owner of `from`; undefined for whatever is not. `layer` says how long `from` is worth
   * remembering: the key of a seal is its author's, that of a wrap was made for one message or stream.
   */
  decrypt: (from: string, payload: string, layer: 'seal' | 'wrap') => string | undefined;
}
