/** Direct messages: the inbox of a node and who reads it. */
import type { Server } from 'node:http';
import { systemRandom } from './base/id.ts';
import type { Logger } from './base/log.ts';
import type { Clock } from './base/time.ts';
import { createInProcess } from './http/in-process.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { NodeSecrets } from './node-data.ts';
import { createInbox } from './nostr/inbox.ts';
import { createRpc } from './nostr/rpc.ts';
import { KIND } from './protocol/kinds.ts';
import type { RelaySet } from './relay/relay.ts';
import { loadFastSchnorr } from './relay/schnorr.ts';
import { createWrapper } from './relay/wrap.ts';

export interface DirectMessages {
  start: () => Promise<void>;
  /** No new letters from now on; resolves when the requests under way have ended by themselves. */
  drain: () => Promise<void>;
  /** Gives up what still runs, and waits until it is settled and on record. */
  close: () => Promise<void>;
  /** What became of wraps and frames. */
  counts: () => { wraps: Readonly<Record<string, number>>; frames: Readonly<Record<string, number>> };
}

export function createDirectMessages(parts: {
  server: Server;
  relays: RelaySet;
  ledger: Ledger;
  secrets: NodeSecrets;
  clock: Clock;
  log: Logger;
}): DirectMessages {
  const { server, relays, ledger, secrets, clock, log } = parts;
  const wrapper = createWrapper(secrets.key, systemRandom, clock);
  const rpc = createRpc({
    ask: createInProcess(server).ask,
    relays,
    wrapper,
    store: {
      get: (key) => ledger.keptValue(key),
      put: (key, value, until) => ledger.keepValue(key, value, until).durable,
    },
    sealer: secrets.sealer,
    clock,
    log,
  });
  const inbox = createInbox({
    key: secrets.key,
    relays,
    wrapper,
    readers: { [KIND.frame]: rpc.take },
    store: { get: (key) => ledger.getValue(key), put: (key, value) => ledger.putValue(key, value).durable },
    clock,
    log,
  });

  return {
    start: async () => {
      if (!(await loadFastSchnorr())) log.warn('nostr.crypto.slow', {});
      inbox.start();
      rpc.start();
    },
    drain: async () => {
      await inbox.stop();
      while (rpc.running() > 0) await clock.sleep(50);
    },
    close: () => rpc.stop(),
    counts: () => ({ wraps: inbox.counts(), frames: rpc.counts() }),
  };
}
