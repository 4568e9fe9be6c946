/** `announce show | publish | retract` without a running node: one event, signed with the node's key. */
import { sha256Hex } from './base/id.ts';
import type { Logger } from './base/log.ts';
import { type Clock, systemClock } from './base/time.ts';
import type { Config } from './config.ts';
import { readNodeSecrets } from './node-data.ts';
import { describeNode } from './node-facts.ts';
import { createShop } from './node-shop.ts';
import { createAnnouncer } from './nostr/announcer.ts';
import { buildAnnouncement } from './protocol/announcement-build.ts';
import type { NostrEvent, PublishOutcome } from './relay/relay.ts';
import { createRelaySet } from './relay/set.ts';

interface Options {
  log: Logger;
  clock?: Clock;
}

/** The announcement as it would be signed now. */
export async function announceShow(config: Config, options: Options): Promise<NostrEvent> {
  const { log, clock = systemClock } = options;
  const { key } = await readNodeSecrets(config);
  const shop = createShop(config, { clock, log });
  try {
    await shop.start();
    const createdAt = Math.floor(clock.now() / 1000);
    return key.sign(buildAnnouncement(describeNode(config, { key, shop }), { createdAt, sha256Hex }));
  } finally {
    await shop.close();
  }
}

/** Publishes once. A running node on the same key goes on by itself and is always newer at its next heartbeat. */
export const announcePublish = (config: Config, options: Options): Promise<PublishOutcome[]> =>
  once(config, options, async (announcer) => {
    try {
      return (await announcer.start()).outcomes;
    } finally {
      await announcer.stop({ tombstone: false });
    }
  });

/** Asks the relays to delete the announcement (NIP-09). */
export const announceRetract = (config: Config, options: Options): Promise<PublishOutcome[]> =>
  once(config, options, async (announcer) => (await announcer.retract()).outcomes);

async function once(
  config: Config,
  options: Options,
  act: (announcer: ReturnType<typeof createAnnouncer>) => Promise<PublishOutcome[]>,
): Promise<PublishOutcome[]> {
  const { log, clock = systemClock } = options;
  const { key } = await readNodeSecrets(config);
  const shop = createShop(config, { clock, log });
  const relays = createRelaySet({ relays: config.relayList, key, clock, log });
  const memory = new Map<string, string>();
  try {
    await shop.start();
    relays.start();
    const announcer = createAnnouncer({
      key,
      relays,
      describe: () => describeNode(config, { key, shop }),
      reuseIdentifier: config.announce.id === undefined,
      store: {
        get: (name) => memory.get(name),
        put: async (name, value) => {
          memory.set(name, value);
        },
      },
      clock,
      log,
      heartbeatSeconds: config.announce.heartbeat_seconds,
    });
    return await act(announcer);
  } finally {
    await Promise.all([relays.close(), shop.close()]);
  }
}
