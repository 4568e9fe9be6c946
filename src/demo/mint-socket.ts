/** WebSocket of the play-money mint: tells of its quotes as they change (NUT-17). */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { MintRefusal } from './mint-refusal.ts';

export const SOCKET_KINDS = ['bolt11_mint_quote', 'bolt11_melt_quote'] as const;
export type SocketKind = (typeof SOCKET_KINDS)[number];

const PATH = '/v1/ws';
const MESSAGE_BYTES_MAX = 64 * 1024;
const SUBSCRIPTIONS_MAX = 200;
const FILTERS_MAX = 100;
const INVALID_REQUEST = -32600;
const INVALID_PARAMS = -32602;

/** What tests see of the sockets and do to them. */
export interface MintSocketHooks {
  /** Sockets open now. */
  connections: () => number;
  /** Handshakes that were begun and not ended. */
  pending: () => number;
  /** Handshakes ever begun, and those that were taken. */
  attempts: () => number;
  accepted: () => number;
  /** Quotes that somebody listens for. */
  subscriptions: () => { kind: SocketKind; subId: string; quote: string }[];
  /** Sends this to everybody, as a lying mint would. */
  say: (message: string | Buffer) => void;
  /** Says of every quote listened for that it is in this state. */
  claim: (state: string) => void;
  /** Cuts all sockets. */
  drop: () => void;
  /** How the next attempts to connect end: taken, cut, sent elsewhere, or never answered. */
  greet: (how: 'take' | 'drop' | 'redirect' | 'silence') => void;
}
export interface MintSocket {
  /** Takes WebSockets of this server. */
  attach: (server: Server) => void;
  /** Tells whoever listens for this quote. */
  changed: (kind: SocketKind, quote: { quote: string }) => void;
  hooks: MintSocketHooks;
  close: () => void;
}

interface Subscription {
  kind: SocketKind;
  quotes: ReadonlySet<string>;
}

/** `current` finds a quote; throws MintRefusal if there is none. */
export function createMintSocket(parts: {
  current: (kind: SocketKind, id: string) => { quote: string };
}): MintSocket {
  const { current } = parts;
  const sessions = new Map<WebSocket, Map<string, Subscription>>();
  const sockets = new Set<Duplex>();
  const websockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX });
  let greeting: Parameters<MintSocketHooks['greet']>[0] = 'take';
  let accepted = 0;
  let attempts = 0;

  const notify = (websocket: WebSocket, subId: string, payload: unknown): void =>
    websocket.send(JSON.stringify({ jsonrpc: '2.0', method: 'subscribe', params: { subId, payload } }));

  function welcome(websocket: WebSocket): void {
    accepted += 1;
    const subscriptions = new Map<string, Subscription>();
    sessions.set(websocket, subscriptions);
    websocket.on('error', () => websocket.terminate());
    websocket.on('close', () => sessions.delete(websocket));
    websocket.on('message', (data: Buffer) => {
      const request = readRequest(data.toString('utf8'));
      if (typeof request === 'number') {
        const error = { code: request, message: 'not a request of NUT-17' };
        return websocket.send(JSON.stringify({ jsonrpc: '2.0', error, id: null }));
      }
      const { id, subId, subscription } = request;
      const answer = (body: object): void => websocket.send(JSON.stringify({ jsonrpc: '2.0', ...body, id }));
      if (subscription === undefined) {
        subscriptions.delete(subId);
        return answer({ result: { status: 'OK', subId } });
      }
      try {
        if (subscriptions.size >= SUBSCRIPTIONS_MAX) throw new MintRefusal(0, 'too many subscriptions');
        const quotes = [...subscription.quotes].map((quote) => current(subscription.kind, quote));
        subscriptions.set(subId, subscription);
        answer({ result: { status: 'OK', subId } });
        for (const quote of quotes) notify(websocket, subId, quote);
      } catch (error) {
        if (!(error instanceof MintRefusal)) throw error;
        answer({ error: { code: INVALID_PARAMS, message: error.message } });
      }
    });
  }

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    attempts += 1;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    // Read on, so that the other side's goodbye is noticed.
    if (greeting === 'silence') return void socket.on('end', () => socket.destroy()).resume();
    if (greeting === 'redirect')
      return void socket.end('HTTP/1.1 307 Temporary Redirect\r\nLocation: /v1/elsewhere\r\n\r\n');
    if (greeting === 'drop' || request.url !== PATH) return void socket.destroy();
    websockets.handleUpgrade(request, socket, head, welcome);
  }

  const drop = (): void => sockets.forEach((socket) => socket.destroy());
  const subscribed = () =>
    [...sessions].flatMap(([websocket, subscriptions]) =>
      [...subscriptions].flatMap(([subId, { kind, quotes }]) =>
        [...quotes].map((quote) => ({ websocket, kind, subId, quote })),
      ),
    );
  return {
    attach: (server) => void server.on('upgrade', upgrade),
    changed: (kind, quote) => {
      for (const { websocket, subId, ...about } of subscribed())
        if (about.kind === kind && about.quote === quote.quote) notify(websocket, subId, quote);
    },
    hooks: {
      connections: () => sessions.size,
      pending: () => sockets.size - sessions.size,
      attempts: () => attempts,
      accepted: () => accepted,
      subscriptions: () => subscribed().map(({ kind, subId, quote }) => ({ kind, subId, quote })),
      say: (message) => sessions.forEach((_, websocket) => websocket.send(message)),
      claim: (state) => {
        for (const { websocket, kind, subId, quote } of subscribed())
          notify(websocket, subId, { ...current(kind, quote), state });
      },
      drop,
      greet: (how) => {
        greeting = how;
      },
    },
    close: drop,
  };
}

/** The code of a JSON-RPC error for what is no request. */
function readRequest(
  text: string,
): { id: number; subId: string; subscription: Subscription | undefined } | number {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return INVALID_REQUEST;
  }
  const { id, method, params } = (value ?? {}) as Record<string, unknown>;
  const { subId, kind, filters } = (params ?? {}) as Record<string, unknown>;
  if (typeof id !== 'number' || typeof subId !== 'string') return INVALID_REQUEST;
  if (method === 'unsubscribe') return { id, subId, subscription: undefined };
  if (method !== 'subscribe') return INVALID_REQUEST;
  const known = SOCKET_KINDS.find((each) => each === kind);
  const isList = Array.isArray(filters) && filters.length <= FILTERS_MAX;
  if (known === undefined || !isList || !filters.every((each) => typeof each === 'string'))
    return INVALID_PARAMS;
  return { id, subId, subscription: { kind: known, quotes: new Set(filters) } };
}
