/** Nostr side of a node: its relays, the announcement, direct messages, the directory. Loaded once HTTP is served. */
import type { Server } from 'node:http';
import { type Logger, errorKind } from './base/log.ts';
import type { Clock } from './base/time.ts';
import type { Config } from './config.ts';
import type { Gateway } from './gateway/gateway.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { NodeSecrets } from './node-data.ts';
import { type Directory, createDirectory } from './node-directory.ts';
import { type DirectMessages, createDirectMessages } from './node-dm.ts';
import { describeNode, dmRelays, isAnnounced } from './node-facts.ts';
import type { Shop } from './node-shop.ts';
import { type Announcer, createAnnouncer } from './nostr/announcer.ts';
import type { RelaySet } from './relay/relay.ts';
import { createRelaySet } from './relay/set.ts';

export interface NostrSide {
  relays: RelaySet;
  directory: Directory;
  announcer: Announcer | undefined;
  dm: DirectMessages | undefined;
  /** Announced last: what is announced already works. */
  start: () => Promise<void>;
}

export function createNostrSide(parts: {
  config: Config;
  secrets: NodeSecrets;
  ledger: Ledger;
  gateway: Gateway;
  shop: Shop;
  server: Server;
  clock: Clock;
  log: Logger;
}): NostrSide {
  const { config, secrets, ledger, shop, clock, log } = parts;
  const relays = createRelaySet({ relays: config.relayList, key: secrets.key, clock, log });
  const announcer = isAnnounced(config)
    ? createAnnouncer({
        key: secrets.key,
        relays,
        describe: () => describeNode(config, { key: secrets.key, shop }),
        reuseIdentifier: config.announce.id === undefined,
        store: {
          get: (key) => ledger.getValue(key),
          put: (key, value) => ledger.putValue(key, value).durable,
        },
        clock,
        log,
        heartbeatSeconds: config.announce.heartbeat_seconds,
      })
    : undefined;
  const dm = dmRelays(config).length > 0 ? createDirectMessages({ ...parts, relays }) : undefined;

  return {
    relays,
    directory: createDirectory({ relays, clock, log }),
    announcer,
    dm,
    start: async () => {
      relays.start();
      await dm?.start();
      shop.catalogue.onChange(() => announcer?.changed());
      void announcer
        ?.start()
        .catch((error: unknown) => log.error('nostr.announcement.failed', { error: errorKind(error) }));
    },
  };
}
