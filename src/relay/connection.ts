/**
 * Connection: one attempt to reach a relay and, if it succeeds, the conversation until the socket closes.
 * It wraps the relay client of nostr-tools, which must not reconnect, ping, authenticate or print by itself.
 */
import { AbstractRelay } from 'nostr-tools/abstract-relay';
import type { WebSocket as Socket } from 'ws';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { createAuth } from './auth.ts';
import type { FloodGate } from './flood.ts';
import type { Filter, NodeKey, NostrEvent } from './relay.ts';
import { createRequests, type RequestHandlers } from './requests.ts';
import { socketClass } from './socket.ts';

export type Reply =
  { reply: 'accepted' | 'refused'; text: string } | { reply: 'timeout' } | { reply: 'closed' };

export type QueryEnd = { end: 'complete' | 'timeout' } | { end: 'closed'; text: string };

export interface Connection {
  publish: (event: NostrEvent, timeoutMs: number) => Promise<Reply>;
  /** `onEvent` gets unverified events and answers false when it has enough. */
  query: (filter: Filter, onEvent: (event: NostrEvent) => boolean, timeoutMs: number) => Promise<QueryEnd>;
  /** A REQ that stays open; the result closes it. */
  request: (filter: Filter, handlers: RequestHandlers) => () => void;
  /** Whether the relay took our NIP-42 answer; undefined if it never said. */
  authenticated: (timeoutMs: number) => Promise<{ ok: boolean; text: string } | undefined>;
  /** Aborted when the socket is closed. */
  gone: AbortSignal;
  close: () => Promise<void>;
}

/** Resolves to undefined if the relay could not be reached within the bounds or `signal` aborted. */
export async function openConnection(options: {
  url: string;
  key?: NodeKey | undefined;
  gate: FloodGate;
  /** The relay took our NIP-42 answer: what it kept back until now can be asked for. */
  onAdmitted: () => void;
  clock: Clock;
  signal: AbortSignal;
}): Promise<Connection | undefined> {
  const { url, gate, onAdmitted, clock, signal } = options;
  const gone = new AbortController();
  let socket: Socket | undefined;
  const send = (text: string): void => {
    if (socket?.readyState === socket?.OPEN) socket?.send(text);
  };
  const auth = createAuth({ url, key: options.key, clock, send, onAccepted: onAdmitted });
  const requests = createRequests(send);
  const implementation = socketClass({
    created: (made) => {
      socket = made;
      made.once('close', () => gone.abort());
    },
    admit: (message) => {
      const verdict = gate.admit(message);
      if (verdict === 'rest' && socket !== undefined) void rest(socket, clock);
      return verdict === 'read';
    },
    accept: (frame) => {
      if (auth.take(frame) || requests.take(frame)) return false;
      // A frame for a subscription that was closed meanwhile would make the client throw and print.
      return frame[0] === 'OK' || relay.openSubs.has(frame[1]);
    },
  });
  const relay = new AbstractRelay(url, {
    // Checked by the reader, after duplicates were sorted out.
    verifyEvent: () => true,
    websocketImplementation: implementation as unknown as typeof WebSocket,
    enablePing: false,
    enableReconnect: false,
  });
  relay.onnotice = () => undefined;
  // Our own timers decide; these only need to be later.
  relay.publishTimeout = relay.baseEoseTimeout =
    LIMITS.relay.connectTimeoutMs + LIMITS.relay.publishTimeoutMs;

  const settled = new AbortController();
  const cut = (): void => socket?.terminate();
  signal.addEventListener('abort', cut, { once: true });
  void clock.sleep(LIMITS.relay.connectTimeoutMs, settled.signal).then(() => {
    if (!settled.signal.aborted) cut();
  });
  const opened = signal.aborted
    ? false
    : await relay.connect().then(
        () => true,
        () => false,
      );
  settled.abort();
  signal.removeEventListener('abort', cut);
  if (!opened || socket === undefined || gone.signal.aborted) {
    cut();
    return undefined;
  }
  void keepAlive(socket, clock, gone.signal);
  let leaving = false;
  const ended = (): boolean => leaving || gone.signal.aborted;

  return {
    publish: (event, timeoutMs) => publishOn(relay, event, { timeoutMs, clock, ended }),
    query: (filter, onEvent, timeoutMs) => queryOn(relay, filter, { onEvent, timeoutMs, clock, ended }),
    request: requests.open,
    authenticated: auth.verdict,
    gone: gone.signal,
    close: async () => {
      leaving = true;
      relay.close();
      await clock.sleep(LIMITS.relay.closeGraceMs, gone.signal);
      cut();
    },
  };
}

/** Timers of the client that it forgets when a connection closes; left alone they would hold the process. */
interface ClientTimers {
  openEventPublishes: Map<string, { timeout: NodeJS.Timeout }>;
}

interface Turn {
  timeoutMs: number;
  clock: Clock;
  /** The socket closed, or we are closing it: what is unanswered stays so. */
  ended: () => boolean;
}

async function publishOn(relay: AbstractRelay, event: NostrEvent, turn: Turn): Promise<Reply> {
  if (turn.ended() || !relay.connected) return { reply: 'closed' };
  const answer = relay.publish(event).then(
    (text): Reply => ({ reply: 'accepted', text: text ?? '' }),
    (error: unknown): Reply =>
      turn.ended()
        ? { reply: 'closed' }
        : { reply: 'refused', text: error instanceof Error ? error.message : '' },
  );
  const waiting = (relay as unknown as ClientTimers).openEventPublishes;
  const timer = waiting.get(event.id)?.timeout;
  const done = new AbortController();
  const late = turn.clock.sleep(turn.timeoutMs, done.signal).then((): Reply => ({ reply: 'timeout' }));
  const reply = await Promise.race([answer, late]);
  done.abort();
  clearTimeout(timer);
  waiting.delete(event.id);
  return reply;
}

function queryOn(
  relay: AbstractRelay,
  filter: Filter,
  turn: Turn & { onEvent: (event: NostrEvent) => boolean },
): Promise<QueryEnd> {
  if (turn.ended() || !relay.connected) return Promise.resolve({ end: 'closed', text: '' });
  return new Promise((resolve) => {
    const done = new AbortController();
    const finish = (end: QueryEnd): void => {
      if (done.signal.aborted) return;
      done.abort();
      clearTimeout(subscription['eoseTimeoutHandle'] as NodeJS.Timeout | undefined);
      if (!subscription.closed) subscription.close();
      resolve(end);
    };
    const subscription = relay.subscribe([{ ...filter }], {
      onevent: (event) => {
        if (!done.signal.aborted && !turn.onEvent(event)) finish({ end: 'complete' });
      },
      oneose: () => finish({ end: 'complete' }),
      onclose: (text) => finish({ end: 'closed', text }),
      eoseTimeout: turn.timeoutMs + LIMITS.relay.connectTimeoutMs,
    });
    void turn.clock.sleep(turn.timeoutMs, done.signal).then(() => finish({ end: 'timeout' }));
  });
}

/** Leaves the socket unread for a moment: the flood waits at its sender, and the event loop is free for others. */
async function rest(socket: Socket, clock: Clock): Promise<void> {
  socket.pause();
  await clock.sleep(LIMITS.relay.floodRestMs);
  socket.resume();
}

/** Real WebSocket pings; a peer that does not answer is cut off, so that the supervisor can dial again. */
async function keepAlive(socket: Socket, clock: Clock, gone: AbortSignal): Promise<void> {
  while (!gone.aborted) {
    await clock.sleep(LIMITS.relay.pingMs, gone);
    if (gone.aborted) return;
    const answered = new AbortController();
    const pong = (): void => answered.abort();
    socket.once('pong', pong);
    gone.addEventListener('abort', pong, { once: true });
    socket.ping();
    await clock.sleep(LIMITS.relay.pongTimeoutMs, answered.signal);
    gone.removeEventListener('abort', pong);
    if (!answered.signal.aborted) socket.terminate();
  }
}
