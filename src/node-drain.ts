/** Drain: a node that stops takes no new connections, lets what is under way end, and tells the rest why it ends. */
import type { Server } from 'node:http';
import { LIMITS } from './base/limits.ts';
import type { Clock } from './base/time.ts';
import type { Gateway } from './gateway/gateway.ts';
import type { Shop } from './node-shop.ts';

export async function drain(parts: {
  server: Server;
  gateway: Pick<Gateway, 'active'>;
  shop: Pick<Shop, 'close'>;
  /** Resolves when no direct message is being answered. */
  messages: Promise<void> | undefined;
  /** Aborting `hurry` is the same as the end of the time. */
  deadline: { ms: number; hurry: AbortSignal };
  clock: Clock;
}): Promise<void> {
  const { server, gateway, shop, messages, deadline, clock } = parts;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const patience = new AbortController();
  await Promise.race([
    Promise.all([closed, messages]),
    quiet(gateway, clock, patience.signal),
    clock.sleep(deadline.ms, AbortSignal.any([patience.signal, deadline.hurry])),
  ]);
  patience.abort();
  if (gateway.active() > 0) {
    // Whoever still waits hears why it ends: a stream by an error frame and its bill, everything else by 503.
    await shop.close();
    await Promise.race([closed, clock.sleep(LIMITS.http.lastWordsMs)]);
  }
  server.closeAllConnections();
  await closed;
}

/** Resolves when no answer has been under way for a second: what is open then are connections without a request. */
async function quiet(gateway: Pick<Gateway, 'active'>, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let still = 0; still < 4 && !signal.aborted;) {
    await clock.sleep(250, signal);
    still = gateway.active() === 0 ? still + 1 : 0;
  }
}
