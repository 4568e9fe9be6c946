/** Embedded Nostr relay on loopback: NIP-01, 09, 11, 40, 42. It carries the demo and, with its fault hooks, the tests. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { type Clock, systemClock } from '../base/time.ts';
import { createSession, type RelayRules, type Session } from './relay-session.ts';
import { createRelayStore, type RelayEvent } from './relay-store.ts';

const MESSAGE_BYTES_MAX = 131_072;

export interface TestRelay {
  /** ws://127.0.0.1:port */
  readonly url: string;
  readonly port: number;
  /** Stored events, in no order. */
  events: () => RelayEvent[];
  /** Stores an event as it is, unchecked, as a lying relay would. */
  plant: (event: RelayEvent) => void;
  /** Hands an event to whoever listens for it now, unchecked and unstored, as a lying relay would. */
  inject: (event: RelayEvent) => void;
  /** WebSockets open now. */
  connections: () => number;
  /** TCP connections ever accepted. */
  accepted: () => number;
  /** Leaves messages unread until `resume`. */
  pause: () => void;
  resume: () => void;
  /** Cuts all sockets; the relay stays up. */
  drop: () => void;
  /** Answers the next event (or AUTH) with OK false and this reason. */
  failNext: (reason: string) => void;
  /** Delays each message by so much. */
  slow: (ms: number) => void;
  /** Stores events, but never says OK. */
  silent: (on?: boolean) => void;
  /** From now on accepts TCP and never answers the upgrade. */
  blackHole: (on?: boolean) => void;
  close: () => Promise<void>;
}

export async function createTestRelay(
  options: {
    port?: number;
    /** Require NIP-42 before anything else. */
    auth?: boolean;
    clock?: Clock;
    /** Signature check; ids are always checked. Without it any signature passes. */
    verify?: (event: RelayEvent) => boolean;
    /** Laid over `limitation` of its NIP-11 document; max_message_length is kept to, as by a real relay. */
    limitation?: Record<string, number>;
  } = {},
): Promise<TestRelay> {
  const { clock = systemClock, auth = false, verify = () => true, limitation = {} } = options;
  const store = createRelayStore();
  const sessions = new Map<WebSocket, Session>();
  const sockets = new Set<Socket>();
  const held: (() => void)[] = [];
  const fault = { paused: false, slowMs: 0, blackHole: false, accepted: 0 };
  let port = options.port ?? 0;
  const rules: RelayRules = {
    store,
    auth,
    silent: false,
    refusals: [],
    verify,
    now: () => Math.floor(clock.now() / 1000),
    host: () => `127.0.0.1:${port}`,
    broadcast: (event) => sessions.forEach((session) => session.offer(event)),
  };

  const server = createServer((request, response) => {
    const wantsDocument = request.headers.accept?.includes('application/nostr+json') === true;
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('content-type', wantsDocument ? 'application/nostr+json' : 'text/plain');
    response.end(
      wantsDocument ? JSON.stringify(relayDocument(auth, limitation)) : 'This is a Nostr relay.\n',
    );
  });
  const websockets = new WebSocketServer({
    noServer: true,
    maxPayload: limitation['max_message_length'] ?? MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
  });
  server.on('connection', (socket: Socket) => {
    fault.accepted += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    if (!fault.blackHole) websockets.handleUpgrade(request, socket, head, welcome);
  });

  function welcome(websocket: WebSocket): void {
    websocket.on('error', () => websocket.terminate());
    const session = createSession(rules, (frame) => websocket.send(JSON.stringify(frame)));
    sessions.set(websocket, session);
    websocket.on('close', () => sessions.delete(websocket));
    websocket.on('message', (data: Buffer) => {
      const text = data.toString('utf8');
      const turn = (): void => {
        if (websocket.readyState === websocket.OPEN) session.receive(text);
      };
      if (fault.paused) held.push(turn);
      else if (fault.slowMs > 0) void clock.sleep(fault.slowMs).then(turn);
      else turn();
    });
  }

  port = await listen(server, port);
  const cutAll = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    url: `ws://127.0.0.1:${port}`,
    port,
    events: store.all,
    plant: store.plant,
    inject: rules.broadcast,
    connections: () => sessions.size,
    accepted: () => fault.accepted,
    pause: () => {
      fault.paused = true;
    },
    resume: () => {
      fault.paused = false;
      for (const turn of held.splice(0)) turn();
    },
    drop: cutAll,
    failNext: (reason) => void rules.refusals.push(reason),
    slow: (ms) => {
      fault.slowMs = ms;
    },
    silent: (on = true) => {
      rules.silent = on;
    },
    blackHole: (on = true) => {
      fault.blackHole = on;
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      cutAll();
      await closed;
    },
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/** NIP-11. */
const relayDocument = (auth: boolean, limitation: Record<string, number>): unknown => ({
  name: 'embedded relay',
  description: 'A relay on loopback for demonstrations and tests; it forgets everything when it stops.',
  supported_nips: [1, 9, 11, 40, 42],
  software: 'routstr-node',
  limitation: {
    max_message_length: MESSAGE_BYTES_MAX,
    max_subscriptions: 20,
    max_limit: 500,
    auth_required: auth,
    ...limitation,
  },
});
