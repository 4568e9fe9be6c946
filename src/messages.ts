/** `openMessages()` for programs: ask a node over encrypted direct messages, with everything filled in but the choice. */
import { NodeError } from './base/error.ts';
import { silentLogger } from './base/log.ts';
import { Secret } from './base/secret.ts';
import { systemClock } from './base/time.ts';
import { askOverDm, createDmClient, type DmAnswer, type DmChunk, type DmRequest } from './client/dm.ts';
import { DmRefusal } from './client/dm-refusal.ts';
import { parseRelays } from './relay/config.ts';
import { generateNsec, nodeKey, pubkeyOf } from './relay/key.ts';
import type { RelayConfig } from './relay/relay.ts';
import { createRelaySet } from './relay/set.ts';

export { DmFailure } from './client/dm.ts';
export { DmRefusal };
export type { DmAnswer, DmChunk, DmRequest };

export interface MessagesOptions {
  /** npub1… or hex. */
  node: string;
  /** Addresses (`wss://…`) or entries as in relays.json; no other relay is ever connected to. */
  relays: readonly (string | RelayConfig)[];
  /** Your Nostr key, nsec1… or hex: it is your account at the node. Default: a new one, forgotten at the end. */
  key?: string;
}

export interface Messages {
  /** npub of the key that pays. */
  account: string;
  /**
   * Events of a streamed answer in order; returns the end of it. Leaving the loop cancels.
   * Throws DmRefusal where the node says no, also after some events, and DmFailure where there is no answer.
   */
  ask: (request: DmRequest) => AsyncGenerator<DmChunk, DmAnswer>;
  /** The whole answer at once, for every path: models, balance, top-up, chat. A refusal is an answer. Throws DmFailure. */
  call: (request: DmRequest) => Promise<DmAnswer>;
  close: () => Promise<void>;
}

/** Throws NodeError('invalid_request') for an npub, relay or key that is none. */
export function openMessages(options: MessagesOptions): Messages {
  const peer = pubkeyOf(options.node);
  if (peer === undefined) throw new NodeError('invalid_request', 'node must be npub1… or 64 hex digits.');
  const key = nodeKey(options.key === undefined ? generateNsec() : new Secret(options.key));
  const relays = createRelaySet({
    relays: parseRelays([...options.relays]).map(forMessages),
    key,
    clock: systemClock,
    log: silentLogger,
  });
  const client = createDmClient({ relays, key, peer, clock: systemClock });
  return {
    account: key.npub,
    ask: (request) => accepted(askOverDm(client, request)),
    call: async (request) => (await client.ask(request)).answer,
    close: async () => {
      client.close();
      await relays.close();
    },
  };
}

/** A loop over the events never sees what they return, so that a refusal would pass for an empty answer. */
async function* accepted(events: AsyncGenerator<DmChunk, DmAnswer>): AsyncGenerator<DmChunk, DmAnswer> {
  const answer = yield* events;
  if (answer.status >= 400) throw new DmRefusal(answer);
  return answer;
}

/** A bare address has the roles of discovery; whoever names it here means messages. */
const forMessages = (relay: RelayConfig): RelayConfig =>
  relay.roles.includes('rpc') || relay.roles.includes('dm')
    ? relay
    : { ...relay, auth: true, roles: [...relay.roles, 'rpc'] };
