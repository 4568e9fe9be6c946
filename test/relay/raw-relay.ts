/** A WebSocket server on loopback that answers as a test likes: the hostile relays. */
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Filter, NostrEvent } from '../../src/relay/relay.ts';

export interface RawRelay {
  url: string;
  /** REQs received, in order. */
  asked: { id: string; filter: Filter }[];
  /** Ids of subscriptions that were closed by us. */
  ended: string[];
  sockets: () => WebSocket[];
  send: (...frame: unknown[]) => void;
  /** One event to the newest REQ of every socket. */
  push: (event: NostrEvent) => void;
  close: () => Promise<void>;
}

export interface Peer {
  send: (...frame: unknown[]) => void;
  socket: WebSocket;
  /** Counts from 1 over all sockets. */
  number: number;
}

export async function createRawRelay(
  on: {
    connect?: (peer: Peer) => void;
    req?: (peer: Peer, id: string, filter: Filter) => void;
    event?: (peer: Peer, event: NostrEvent) => void;
    auth?: (peer: Peer, event: NostrEvent) => void;
  } = {},
): Promise<RawRelay> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  const asked: RawRelay['asked'] = [];
  const ended: string[] = [];
  const latest = new Map<WebSocket, string>();
  let number = 0;
  server.on('connection', (socket) => {
    const send = (...frame: unknown[]): void => socket.send(JSON.stringify(frame));
    const peer = { send, socket, number: (number += 1) };
    socket.on('error', () => undefined);
    socket.on('close', () => latest.delete(socket));
    on.connect?.(peer);
    socket.on('message', (data: Buffer) => {
      const [verb, first, second] = JSON.parse(data.toString('utf8')) as [string, unknown, unknown];
      if (verb === 'REQ') {
        latest.set(socket, first as string);
        asked.push({ id: first as string, filter: second as Filter });
        on.req?.(peer, first as string, second as Filter);
      } else if (verb === 'EVENT') on.event?.(peer, first as NostrEvent);
      else if (verb === 'CLOSE') ended.push(first as string);
      else if (verb === 'AUTH') on.auth?.(peer, first as NostrEvent);
    });
  });
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    ended,
    sockets: () => [...server.clients],
    send: (...frame) => server.clients.forEach((socket) => socket.send(JSON.stringify(frame))),
    push: (event) => latest.forEach((id, socket) => socket.send(JSON.stringify(['EVENT', id, event]))),
    close: () =>
      new Promise((resolve) => {
        server.clients.forEach((socket) => socket.terminate());
        server.close(() => resolve());
      }),
  };
}
