/** One hardened WebSocket to a listed mint: bounded in time and size, no redirects, public addresses only. */
import { WebSocket } from 'ws';
import { ipLiteral, isPrivateAddress, publicLookup } from '../base/address.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface HintSocket {
  /** Does nothing unless the socket is open. */
  send: (text: string) => void;
  /** Says goodbye; cut off if the mint does not answer. */
  close: () => void;
  cut: () => void;
  /** Resolves when it is closed, to how long it was open (ms). Never rejects. */
  gone: Promise<number>;
}

/** `url` is the mint's own, as its operator listed it; the socket is under its path, as NUT-17 says. */
export function openHintSocket(parts: {
  url: string;
  allowPrivate: boolean;
  clock: Clock;
  opened: () => void;
  message: (data: Buffer, isText: boolean) => void;
}): HintSocket {
  const { url, allowPrivate, clock, opened, message } = parts;
  const literal = ipLiteral(new URL(url));
  if (literal !== undefined && !allowPrivate && isPrivateAddress(literal)) return CLOSED;
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/ws`, {
    handshakeTimeout: LIMITS.hint.handshakeTimeoutMs,
    maxPayload: LIMITS.hint.payloadBytesMax,
    perMessageDeflate: false,
    followRedirects: false,
    // One message per turn of the event loop, so that a flood leaves room for others.
    allowSynchronousEvents: false,
    ...(!allowPrivate && { lookup: publicLookup }),
  });
  const ended = new AbortController();
  let openedAt: number | undefined;
  // It stays as long as the socket does: an error without a listener would end the process.
  socket.on('error', () => socket.terminate());
  socket.on('open', () => {
    openedAt = clock.monotonic();
    opened();
  });
  socket.on('message', (data, isBinary) => {
    if (!ended.signal.aborted && data instanceof Buffer) message(data, !isBinary);
  });
  void clock.sleep(LIMITS.hint.connectTimeoutMs, ended.signal).then(() => {
    if (openedAt === undefined) socket.terminate();
  });
  const gone = new Promise<number>((resolve) => {
    socket.once('close', () => {
      ended.abort();
      resolve(openedAt === undefined ? 0 : clock.monotonic() - openedAt);
    });
  });
  void keepAlive(socket, clock, ended.signal);

  return {
    send: (text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close: () => {
      socket.close(1000);
      void clock.sleep(LIMITS.hint.closeGraceMs, ended.signal).then(() => socket.terminate());
    },
    cut: () => {
      ended.abort();
      socket.terminate();
    },
    gone,
  };
}

const CLOSED: HintSocket = {
  send: () => undefined,
  close: () => undefined,
  cut: () => undefined,
  gone: Promise.resolve(0),
};

/** A peer that left one ping unanswered until the next is gone. */
async function keepAlive(socket: WebSocket, clock: Clock, ended: AbortSignal): Promise<void> {
  let answered = true;
  socket.on('pong', () => (answered = true));
  for (;;) {
    await clock.sleep(LIMITS.hint.pingMs, ended);
    if (ended.aborted) return;
    if (socket.readyState !== WebSocket.OPEN) continue;
    if (!answered) return socket.terminate();
    answered = false;
    socket.ping();
  }
}
