/** A relay of other people's making (@nostr-relay/core) on a socket of ours; only where events are kept is written here. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Event,
  EventRepository,
  EventUtils,
  type EventRepositoryUpsertResult,
  type Filter,
  LogLevel,
} from '@nostr-relay/common';
import { NostrRelay } from '@nostr-relay/core';
import { Validator } from '@nostr-relay/validator';
import { WebSocketServer } from 'ws';

class Memory extends EventRepository {
  readonly events = new Map<string, Event>();
  isSearchSupported(): boolean {
    return false;
  }
  upsert(event: Event): EventRepositoryUpsertResult {
    const address = addressOf(event);
    const old = this.events.get(address);
    if (old?.id === event.id || (old !== undefined && old.created_at > event.created_at)) {
      return { isDuplicate: true };
    }
    this.events.set(address, event);
    return { isDuplicate: false };
  }
  find(filter: Filter): Event[] {
    return [...this.events.values()]
      .filter((event) => EventUtils.isMatchingFilter(event, filter))
      .sort((a, b) => b.created_at - a.created_at)
      .slice(0, filter.limit ?? 500);
  }
  async destroy(): Promise<void> {
    this.events.clear();
  }
}

/** Replaceable and addressable events have one place each (NIP-01). */
function addressOf({ id, kind, pubkey, tags }: Event): string {
  if (kind === 0 || kind === 3 || (kind >= 10_000 && kind < 20_000)) return `${kind}:${pubkey}`;
  if (kind < 30_000 || kind >= 40_000) return id;
  return `${kind}:${pubkey}:${tags.find(([name]) => name === 'd')?.[1] ?? ''}`;
}

export interface ForeignRelay {
  url: string;
  events: () => Event[];
  /** WebSockets ever accepted. */
  accepted: () => number;
  drop: () => void;
  close: () => Promise<void>;
}

/** With `auth` it wants to know who reads private messages (NIP-42). */
export async function createForeignRelay(options: { auth?: boolean } = {}): Promise<ForeignRelay> {
  const server = createServer((_request, response) => response.writeHead(404).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const memory = new Memory();
  const relay = new NostrRelay(memory, {
    logLevel: LogLevel.ERROR,
    // What it found a moment ago would be found again although it has been replaced.
    filterResultCacheTtl: 0,
    ...(options.auth === true ? { hostname: '127.0.0.1' } : {}),
  });
  const validator = new Validator();
  const sockets = new WebSocketServer({ server });
  let accepted = 0;
  sockets.on('connection', (socket) => {
    accepted += 1;
    socket.on('error', () => socket.terminate());
    socket.on('close', () => relay.handleDisconnect(socket));
    socket.on('message', (data: Buffer) => {
      validator
        .validateIncomingMessage(data)
        .then((message) => relay.handleMessage(socket, message))
        .catch((error: unknown) => socket.send(JSON.stringify(['NOTICE', String(error)])));
    });
    relay.handleConnection(socket);
  });
  const drop = (): void => sockets.clients.forEach((socket) => socket.terminate());
  return {
    url: `ws://127.0.0.1:${port}`,
    events: () => [...memory.events.values()],
    accepted: () => accepted,
    drop,
    close: async () => {
      drop();
      await relay.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
