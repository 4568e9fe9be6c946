/** What `proxy` and `chat` share: the way to one node over encrypted messages, with the buyer's own key. */
import { createLogger } from './base/log.ts';
import { systemClock } from './base/time.ts';
import { BUYER_DIR_HELP, buyerDir } from './cli-buyer-dir.ts';
import { buyerKey } from './cli-buyer-key.ts';
import type { Command } from 'commander';
import type { CommandContext } from './cli-context.ts';
import { type RelayOptions, relaysToAsk } from './cli-relays.ts';
import type { DmClient } from './client/dm.ts';
import { createMemory, type Memory } from './client/memory.ts';
import { parseAnnouncement } from './protocol/announcement.ts';
import { KIND } from './protocol/kinds.ts';
import type { NodeKey, RelayConfig, RelaySet } from './relay/relay.ts';

export interface DmOptions extends RelayOptions {
  key?: string;
  buyerDir?: string;
}

export const withDm = (command: Command): Command =>
  command
    .option('--relay <url...>', 'relays to use, by address')
    .option('--relays <file>', 'relays.json to use instead of the configured one')
    .option('--key <reference>', 'your Nostr key, env:NAME or file:PATH (default: nsec in your directory)')
    .option('--buyer-dir <dir>', BUYER_DIR_HELP);

export interface DmLink {
  client: DmClient;
  key: NodeKey;
  memory: Memory | undefined;
  close: () => Promise<void>;
}

export async function openDm(context: CommandContext, options: DmOptions, peer: string): Promise<DmLink> {
  const key = await buyerKey(context.io, options);
  const [{ createRelaySet }, { createDmClient }] = await Promise.all([
    import('./relay/set.ts'),
    import('./client/dm.ts'),
  ]);
  const log = createLogger({ level: 'error' });
  const configured = await relaysToAsk(context, options);
  const relays = createRelaySet({
    relays: talking(configured, options.relay !== undefined),
    key,
    clock: systemClock,
    log,
  });
  relays.start();
  const announced = await announcedRelays(relays, peer);
  const client = createDmClient({ relays, key, peer, announced, clock: systemClock });
  const dir = buyerDir(context.io, options.buyerDir);
  return {
    client,
    key,
    memory: dir === undefined ? undefined : createMemory({ dir, log }),
    close: async () => {
      client.close();
      await relays.close();
    },
  };
}

/** Relays that somebody named for this, or that relays.json has for messages; if it has none, all of them. */
function talking(relays: readonly RelayConfig[], named: boolean): RelayConfig[] {
  const forMessages = ({ roles }: RelayConfig): boolean => roles.includes('rpc') || roles.includes('dm');
  const all = named || !relays.some(forMessages);
  return relays.map((relay) =>
    all && !forMessages(relay) ? { ...relay, auth: true, roles: [...relay.roles, 'rpc'] } : relay,
  );
}

/** Where the node says it listens. Only relays that the buyer chose are ever connected to. */
async function announcedRelays(relays: RelaySet, peer: string): Promise<string[]> {
  const events = await relays.query(
    { kinds: [KIND.announcement], authors: [peer], limit: 4 },
    'discover',
    LOOK_MS,
  );
  const [newest] = events.filter(({ pubkey }) => pubkey === peer);
  const announcement = newest === undefined ? undefined : parseAnnouncement(newest);
  return (announcement?.relays ?? []).map(({ url }) => url);
}

/** It only decides which of the buyer's relays is tried first. */
const LOOK_MS = 1_500;
