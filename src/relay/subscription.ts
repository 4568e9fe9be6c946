/**
 * Subscription on one link: asked anew on every connection, after every AUTH, and when a relay ended it.
 *
 *   idle ──attach──► asked ──EOSE──► live ──(socket closed)──► idle
 *                      ▲ └──CLOSED──► waiting (AUTH or back-off) ─┐
 *                      └──────────────────────────────────────────┘
 */
import { matchFilter } from 'nostr-tools/filter';
import type { Random } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { backoffMs } from './backoff.ts';
import type { Connection } from './connection.ts';
import { asRefusal, isSticky, printable, wantsAuth } from './outcome.ts';
import type { Filter, NostrEvent } from './relay.ts';

export interface LinkSubscription {
  /** A new connection is open. */
  attach: (connection: Connection) => void;
  /** Asks again on the same connection; what is stored there is sent again. */
  renew: () => void;
  /** The relay said EOSE on the connection that is open now. */
  live: () => boolean;
  close: () => void;
}

export interface SubscriptionOptions {
  filter: () => Filter;
  onEvent: (event: NostrEvent) => void;
  /** Called at each EOSE. */
  onLive: () => void;
}

/** One REQ and what became of it. */
interface Asked {
  connection: Connection;
  stop: () => void;
  live: boolean;
}

export function createSubscription(
  options: SubscriptionOptions & {
    /** For logs. */
    relay: string;
    /** Told what the operator should know: the relay does not let us in. */
    onRefused: (reason: string) => void;
    /** Told of an event that was not asked for. */
    onForeign: () => void;
    clock: Clock;
    log: Logger;
    random: Random;
  },
): LinkSubscription {
  const { relay, clock, log, random } = options;
  const closing = new AbortController();
  let attached: Connection | undefined;
  let current: Asked | undefined;
  let authAttempts = 0;
  let failures = 0;
  let silentUntil = 0;

  function request(connection: Connection): void {
    current?.stop();
    current = undefined;
    if (closing.signal.aborted || connection.gone.aborted) return;
    const filter = asked();
    if (filter === undefined) return;
    let stored = 0;
    let oldest = Infinity;
    const mine: Asked = { connection, stop: () => undefined, live: false };
    mine.stop = connection.request(filter, {
      event: (event) => {
        if (!mine.live) {
          stored += 1;
          oldest = Math.min(oldest, event.created_at);
        }
        deliver(event, filter);
      },
      eose: () => {
        if (mine.live || current !== mine) return;
        mine.live = true;
        failures = 0;
        options.onLive();
        if (stored >= LIMITS.relay.pageFromEvents) void older(connection, filter, oldest);
      },
      closed: (text) => {
        if (current !== mine) return;
        current = undefined;
        void ended(connection, text).catch((error: unknown) => failed(error));
      },
    });
    current = mine;
  }

  /** Undefined if the factory threw, and then a later connection tries again. */
  function asked(): Filter | undefined {
    try {
      const filter = options.filter();
      // Some relays never say EOSE to limit:0, and none is bounded without a limit.
      return { ...filter, limit: Math.max(1, filter.limit ?? LIMITS.relay.queryLimitDefault) };
    } catch (error) {
      failed(error);
      return undefined;
    }
  }

  /** Relays cap what they send at once, so what is older than the first answer is fetched page by page. */
  async function older(connection: Connection, filter: Filter, from: number): Promise<void> {
    let until = from;
    for (let page = 0; page < LIMITS.relay.pagesMax && !closing.signal.aborted; page += 1) {
      let oldest = Infinity;
      const take = (event: NostrEvent): boolean => {
        oldest = Math.min(oldest, event.created_at);
        deliver(event, filter);
        return true;
      };
      const end = await connection.query({ ...filter, until }, take, LIMITS.relay.queryTimeoutMs);
      if (end.end !== 'complete' || oldest === Infinity || oldest < (filter.since ?? 0)) return;
      // A whole page of one second: what else that second holds cannot be asked for.
      until = oldest < until ? oldest : until - 1;
    }
  }

  async function ended(connection: Connection, text: string): Promise<void> {
    if (wantsAuth(text)) {
      authAttempts += 1;
      const verdict =
        authAttempts > LIMITS.relay.authAttemptsMax
          ? undefined
          : await connection.authenticated(LIMITS.relay.publishTimeoutMs);
      if (verdict?.ok !== true) {
        return options.onRefused(verdict?.ok === false ? asRefusal(verdict.text) : printable(text));
      }
    } else {
      failures += 1;
      if (isSticky(text)) options.onRefused(printable(text));
      await clock.sleep(
        backoffMs(failures, random) + LIMITS.relay.backoffBaseMs,
        AbortSignal.any([connection.gone, closing.signal]),
      );
    }
    // Meanwhile AUTH or a new connection may have asked already.
    if (current === undefined) request(connection);
  }

  /** A reader that fails harms neither the link nor the process. */
  function deliver(event: NostrEvent, filter: Filter): void {
    if (!matchFilter(filter, event)) return options.onForeign();
    try {
      const done: unknown = options.onEvent(event);
      if (done instanceof Promise) done.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** One line a minute: a reader that fails does so at every event. */
  function failed(error: unknown): void {
    if (clock.monotonic() < silentUntil) return;
    silentUntil = clock.monotonic() + LIMITS.relay.floodCalmMs;
    log.warn('relay.subscription.failed', { relay, error: errorKind(error) });
  }

  return {
    attach: (connection) => {
      attached = connection;
      authAttempts = 0;
      request(connection);
    },
    renew: () => {
      // Also when the relay had ended it: some say `restricted:` to strangers and mean that AUTH comes first.
      if (attached !== undefined) request(attached);
    },
    live: () => current !== undefined && current.live && !current.connection.gone.aborted,
    close: () => {
      closing.abort();
      current?.stop();
      current = undefined;
    },
  };
}
