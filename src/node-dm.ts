/** Direct messages: the inbox of a node and who reads it. */
import type { Server } from 'node:http';
import { systemRandom } from './base/id.ts';
import type { Logger } from './base/log.ts';
import type { Clock } from './base/time.ts';
import type { Config } from './config.ts';
import type { Gateway } from './gateway/gateway.ts';
import { createInProcess } from './http/in-process.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { NodeSecrets } from './node-data.ts';
import type { Shop } from './node-shop.ts';
import { type Chat, createChat } from './nostr/chat.ts';
import { chatMessageOf, createTell } from './nostr/chat-letters.ts';
import type { ChatModel } from './nostr/chat-words.ts';
import { type Letter, createInbox } from './nostr/inbox.ts';
import { createRpc } from './nostr/rpc.ts';
import { KIND } from './protocol/kinds.ts';
import type { RelaySet } from './relay/relay.ts';
import { loadFastSchnorr } from './relay/schnorr.ts';
import { type Wrapper, createWrapper } from './relay/wrap.ts';

export interface DirectMessages {
  start: () => Promise<void>;
  /** No new letters from now on; resolves when the requests under way have ended by themselves. */
  drain: () => Promise<void>;
  /** Gives up what still runs, and waits until it is settled and on record. */
  close: () => Promise<void>;
  /** What became of wraps and frames; `unread` are events that relays sent unasked, or faster than they are read. */
  counts: () => {
    wraps: Readonly<Record<string, number>>;
    frames: Readonly<Record<string, number>>;
    unread: number;
  };
}

interface Parts {
  config: Config;
  gateway: Gateway;
  shop: Shop;
  server: Server;
  relays: RelaySet;
  ledger: Ledger;
  secrets: NodeSecrets;
  clock: Clock;
  log: Logger;
}

export function createDirectMessages(parts: Parts): DirectMessages {
  const { config, server, relays, ledger, secrets, clock, log } = parts;
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
  const values = valuesOf(ledger);
  const chat = config.dm.chat ? chatOf(parts, wrapper, values) : undefined;
  const readChat = async (letter: Letter): Promise<void> => {
    const message = chatMessageOf(letter, secrets.key.pubkey);
    if (message) await chat?.receive(message);
  };
  const inbox = createInbox({
    key: secrets.key,
    relays,
    wrapper,
    readers: { [KIND.frame]: rpc.take, ...(chat && { [KIND.chatMessage]: readChat }) },
    store: values,
    clock,
    log,
  });

  return {
    start: async () => {
      if (!(await loadFastSchnorr())) log.warn('nostr.crypto.slow', {});
      inbox.start();
      rpc.start();
      chat?.start();
    },
    drain: async () => {
      await inbox.stop();
      while (rpc.running() > 0 || (chat?.running() ?? 0) > 0) await clock.sleep(50);
    },
    close: async () => {
      await Promise.all([rpc.stop(), chat?.stop()]);
    },
    counts: () => ({
      wraps: inbox.counts(),
      frames: rpc.counts(),
      unread: relays.status().reduce((sum, { dropped }) => sum + dropped, 0),
    }),
  };
}

const valuesOf = (ledger: Ledger) => ({
  get: (key: string) => ledger.getValue(key),
  put: (key: string, value: string) => ledger.putValue(key, value).durable,
});

function chatOf(parts: Parts, wrapper: Wrapper, store: ReturnType<typeof valuesOf>): Chat {
  const { gateway, shop, relays, clock, log } = parts;
  const models = (): ChatModel[] =>
    shop.catalogue.models().map(({ modelId, aliasIds, price }) => ({
      id: modelId,
      aliases: aliasIds,
      in: price.in,
      out: price.out,
      request: price.requestFee,
    }));
  const tell = createTell({ relays, wrapper, clock });
  return createChat({ gateway, models, tell, store, clock, log });
}
