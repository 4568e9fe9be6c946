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
  | { url: string; outcome: 'rate-limited' | 'timeout' | 'unreachable'; reason: string };

export interface RelayStatus {
  url: string;
  roles: RelayRole[];
  state: 'connecting' | 'open' | 'waiting' | 'closed';
  /** Last sticky refusal (`blocked:`, `restricted:`, `pow:`, `auth-required:`). */
  refused?: string;
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
  status: () => RelayStatus[];
  close: () => Promise<void>;
}

/** The node's Nostr identity. The secret key never leaves the object. */
export interface NodeKey {
  readonly pubkey: string;
  readonly npub: string;
  sign: (event: UnsignedEvent) => NostrEvent;
}
