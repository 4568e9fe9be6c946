/**
 * Link: one relay under supervision. One connection object per attempt; full-jitter back-off between attempts.
 *
 *   closed ──start──► connecting ──► open ──(socket closed)──► waiting ──► connecting …
 *                          └────────(failed)─────────────────────┘
 */
import type { Random } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { backoffMs } from './backoff.ts';
import { type Connection, openConnection } from './connection.ts';
import { type Deferred, deferred } from './deferred.ts';
import { createFloodGate } from './flood.ts';
import { fetchLimits } from './information.ts';
import { asRefusal, printable, wantsAuth } from './outcome.ts';
import { createPublishing, FRAME_BYTES } from './publishing.ts';
import type {
  Filter,
  NodeKey,
  NostrEvent,
  PublishOutcome,
  RelayConfig,
  RelayLimits,
  RelayStatus,
} from './relay.ts';
import { createSubscription, type LinkSubscription, type SubscriptionOptions } from './subscription.ts';

export interface Link {
  readonly config: RelayConfig;
  start: () => void;
  publish: (event: NostrEvent) => Promise<PublishOutcome>;
  query: (filter: Filter, onEvent: (event: unknown) => boolean, timeoutMs: number) => Promise<void>;
  /** Lasts until it is closed, over all connections. */
  subscribe: (options: SubscriptionOptions) => Pick<LinkSubscription, 'live' | 'renew' | 'close'>;
  /** Fetches what the relay says about its limits, at most once a day. */
  inform: () => Promise<void>;
  status: () => RelayStatus;
  close: () => Promise<void>;
}

export function createLink(options: {
  config: RelayConfig;
  key?: NodeKey | undefined;
  clock: Clock;
  log: Logger;
  random: Random;
}): Link {
  const { config, clock, log, random } = options;
  const { url } = config;
  const relay = new URL(url).host;
  const key = config.auth === true ? options.key : undefined;
  const closing = new AbortController();
  const subscriptions = new Set<LinkSubscription>();
  const gate = createFloodGate(clock);
  let foreign = 0;
  let refused: string | undefined;
  /** Why a subscription is not served; gone once it is. */
  let unread: string | undefined;
  let state: RelayStatus['state'] = 'closed';
  let connection: Connection | undefined;
  let life: Promise<void> | undefined;
  let wake = new AbortController();
  let nextAttempt: Deferred<Connection | undefined> = deferred();
  let failures = 0;
  let triedAt = 0;
  const onRefused = (reason: string): void => {
    refused = reason;
  };
  let limits: RelayLimits | undefined;
  let informed: Promise<void> | undefined;
  let informedAt = 0;
  const { publish } = createPublishing({
    config,
    answersAuth: key !== undefined,
    limits: () => limits,
    ready,
    onRefused,
    clock,
    log,
  });

  async function live(): Promise<void> {
    while (!closing.signal.aborted) {
      state = 'connecting';
      const attempt = nextAttempt;
      connection = await openConnection({ url, key, gate, onAdmitted: renew, clock, signal: closing.signal });
      nextAttempt = deferred();
      attempt.resolve(connection);
      if (connection !== undefined) await stay(connection);
      else if (failures++ === 0) log.warn('relay.link.unreachable', { relay });
      connection = undefined;
      triedAt = clock.monotonic();
      if (closing.signal.aborted) break;
      state = 'waiting';
      wake = new AbortController();
      await clock.sleep(backoffMs(failures, random), wake.signal);
    }
    state = 'closed';
    nextAttempt.resolve(undefined);
  }

  async function stay(open: Connection): Promise<void> {
    state = 'open';
    const since = clock.monotonic();
    log.info('relay.link.opened', { relay });
    for (const subscription of subscriptions) subscription.attach(open);
    void makeUp(open);
    if (!open.gone.aborted) {
      await new Promise<void>((resolve) =>
        open.gone.addEventListener('abort', () => resolve(), { once: true }),
      );
    }
    const upMs = Math.round(clock.monotonic() - since);
    failures = upMs >= LIMITS.relay.stableAfterMs ? 0 : failures + 1;
    log.info('relay.link.closed', { relay, up_ms: upMs });
  }

  /** What a flood crowded out is asked for again when it has ebbed. */
  async function makeUp(open: Connection): Promise<void> {
    let known = gate.dropped();
    while (!open.gone.aborted) {
      await clock.sleep(LIMITS.relay.floodCalmMs, open.gone);
      const dropped = gate.dropped();
      if (open.gone.aborted || dropped === known) continue;
      log.warn('relay.link.flooded', { relay, dropped: dropped - known });
      known = dropped;
      renew();
    }
  }

  function renew(): void {
    for (const subscription of subscriptions) subscription.renew();
  }

  /** An open connection, or undefined if there is none in time. Someone who asks ends a long back-off early. */
  async function ready(timeoutMs: number): Promise<Connection | undefined> {
    if (closing.signal.aborted) return undefined;
    start();
    if (connection !== undefined && !connection.gone.aborted) return connection;
    const attempt = nextAttempt.promise;
    if (state === 'waiting') {
      const tooSoon = failures > 1 && clock.monotonic() - triedAt < LIMITS.relay.backoffBaseMs;
      if (tooSoon) return undefined;
      wake.abort();
    }
    const done = new AbortController();
    const late = clock.sleep(timeoutMs, done.signal).then(() => undefined);
    const got = await Promise.race([attempt, late]);
    done.abort();
    return got;
  }

  /** What relays.json says beside the relay's own word. */
  function ours(): RelayLimits {
    if (config.maxEventBytes === undefined) return {};
    return { messageBytes: Math.min(config.maxEventBytes + FRAME_BYTES, limits?.messageBytes ?? Infinity) };
  }

  function start(): void {
    life ??= live();
  }

  function inform(): Promise<void> {
    const now = clock.monotonic();
    // A clock that was wrong may have been set since.
    const wasOff = Math.abs(limits?.clockAheadMs ?? 0) > LIMITS.announce.clockOffMsMax;
    if (informed === undefined || now - informedAt > (wasOff ? 0 : LIMITS.relay.documentKeepMs)) {
      informedAt = now;
      informed = fetchLimits(url, { clock, signal: closing.signal }).then((said) => {
        limits = said ?? limits;
        // Away or unwilling: the next round asks again.
        if (said === undefined) informed = undefined;
      });
    }
    return informed;
  }

  return {
    config,
    start,
    publish,
    query: async (filter, onEvent, timeoutMs) => {
      const deadline = clock.monotonic() + timeoutMs;
      const left = (): number => Math.max(0, deadline - clock.monotonic());
      const open = await ready(timeoutMs);
      if (open === undefined) return;
      for (let attempt = 0; attempt < LIMITS.relay.authAttemptsMax; attempt += 1) {
        const end = await open.query(filter, onEvent, left());
        if (end.end !== 'closed' || open.gone.aborted) return;
        if (!wantsAuth(end.text)) return;
        const verdict = await open.authenticated(left());
        if (verdict?.ok !== true) {
          refused = verdict === undefined ? printable(end.text) : asRefusal(verdict.text);
          return;
        }
      }
    },
    subscribe: (wanted) => {
      const made = createSubscription({
        ...wanted,
        onLive: () => {
          unread = undefined;
          wanted.onLive();
        },
        onRefused: (reason) => {
          unread = reason;
        },
        onForeign: () => void (foreign += 1),
        relay,
        clock,
        log,
        random,
      });
      subscriptions.add(made);
      if (!closing.signal.aborted) start();
      if (connection !== undefined) made.attach(connection);
      return {
        live: made.live,
        renew: made.renew,
        close: () => {
          subscriptions.delete(made);
          made.close();
        },
      };
    },
    inform,
    status: () => ({
      url,
      roles: config.roles,
      state,
      dropped: gate.dropped() + foreign,
      ...statusOf(refused ?? unread),
      ...(limits === undefined && config.maxEventBytes === undefined
        ? {}
        : { limits: { ...limits, ...ours() } }),
    }),
    close: async () => {
      closing.abort();
      wake.abort();
      for (const subscription of subscriptions) subscription.close();
      await connection?.close();
      await life;
      state = 'closed';
    },
  };
}

const statusOf = (refused: string | undefined): { refused?: string } =>
  refused === undefined ? {} : { refused };
