/**
 * Link: one relay under supervision. One connection object per attempt; full-jitter back-off between attempts.
 *
 *   closed ──start──► connecting ──► open ──(socket closed)──► waiting ──► connecting …
 *                          └────────(failed)─────────────────────┘
 */
import { hex, type Random } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { createBucket } from './bucket.ts';
import { type Connection, openConnection } from './connection.ts';
import { type Deferred, deferred } from './deferred.ts';
import { judge, printable, wantsAuth } from './outcome.ts';
import type { Filter, NodeKey, NostrEvent, PublishOutcome, RelayConfig, RelayStatus } from './relay.ts';

export interface Link {
  readonly config: RelayConfig;
  start: () => void;
  publish: (event: NostrEvent) => Promise<PublishOutcome>;
  query: (filter: Filter, onEvent: (event: unknown) => boolean, timeoutMs: number) => Promise<void>;
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
  const bucket = createBucket({
    perMinute: config.perMinute ?? LIMITS.relay.publishPerMinute,
    burst: config.burst ?? LIMITS.relay.publishBurst,
    clock,
  });
  const closing = new AbortController();
  /** Sticky refusals by kind: a relay that takes no announcements may still take profiles. */
  const refusals = new Map<number, string>();
  const inFlight = new Map<string, Promise<PublishOutcome>>();
  let refused: string | undefined;
  let state: RelayStatus['state'] = 'closed';
  let connection: Connection | undefined;
  let life: Promise<void> | undefined;
  let wake = new AbortController();
  let nextAttempt: Deferred<Connection | undefined> = deferred();
  let failures = 0;
  let triedAt = 0;
  let quietUntil = 0;
  let quietMs: number = LIMITS.relay.rateLimitedMs;

  async function live(): Promise<void> {
    while (!closing.signal.aborted) {
      state = 'connecting';
      const attempt = nextAttempt;
      connection = await openConnection({ url, key, clock, signal: closing.signal });
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
    if (!open.gone.aborted) {
      await new Promise<void>((resolve) =>
        open.gone.addEventListener('abort', () => resolve(), { once: true }),
      );
    }
    const upMs = Math.round(clock.monotonic() - since);
    failures = upMs >= LIMITS.relay.stableAfterMs ? 0 : failures + 1;
    log.info('relay.link.closed', { relay, up_ms: upMs });
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

  function start(): void {
    life ??= live();
  }

  async function publishNow(event: NostrEvent): Promise<PublishOutcome> {
    const reason = refusals.get(event.kind);
    if (reason !== undefined) return { url, outcome: 'refused', reason, sticky: true };
    const bytes = Buffer.byteLength(JSON.stringify(event));
    if (config.maxEventBytes !== undefined && bytes > config.maxEventBytes) {
      const text = `the event has ${bytes} bytes, this relay takes ${config.maxEventBytes}`;
      return { url, outcome: 'refused', reason: text, sticky: false };
    }
    if (clock.monotonic() < quietUntil) {
      return { url, outcome: 'rate-limited', reason: 'left alone for a while because it said rate-limited' };
    }
    const deadline = clock.monotonic() + LIMITS.relay.publishTimeoutMs;
    const left = (): number => Math.max(0, deadline - clock.monotonic());
    const open = await ready(left());
    if (open === undefined) return { url, outcome: 'unreachable', reason: 'no connection' };
    if (!(await bucket.take(left()))) {
      return { url, outcome: 'rate-limited', reason: 'our own limit for this relay is used up' };
    }
    let reply = await open.publish(event, left());
    if (reply.reply === 'refused' && wantsAuth(reply.text) && key !== undefined) {
      const verdict = await open.authenticated(left());
      if (verdict === undefined) reply = { reply: 'timeout' };
      else
        reply = verdict.ok
          ? await open.publish(event, left())
          : { reply: 'refused', text: asRefusal(verdict.text) };
    }
    return note(event.kind, judge(url, reply));
  }

  function note(kind: number, outcome: PublishOutcome): PublishOutcome {
    if (outcome.outcome === 'ok' || outcome.outcome === 'duplicate') {
      quietMs = LIMITS.relay.rateLimitedMs;
    } else if (outcome.outcome === 'rate-limited') {
      quietUntil = clock.monotonic() + quietMs;
      quietMs = Math.min(quietMs * 2, LIMITS.relay.rateLimitedMaxMs);
    } else if (outcome.outcome === 'refused' && outcome.sticky) {
      refusals.set(kind, outcome.reason);
      refused = outcome.reason;
      log.warn('relay.publish.refused', { relay, kind, prefix: outcome.reason.split(':')[0] ?? '' });
    }
    return outcome;
  }

  return {
    config,
    start,
    publish: (event) => {
      // The relay client keeps one waiter per event id, so a second caller shares the first one's answer.
      const running = inFlight.get(event.id);
      if (running !== undefined) return running;
      const turn = publishNow(event).finally(() => inFlight.delete(event.id));
      inFlight.set(event.id, turn);
      return turn;
    },
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
    status: () => ({ url, roles: config.roles, state, ...(refused === undefined ? {} : { refused }) }),
    close: async () => {
      closing.abort();
      wake.abort();
      await connection?.close();
      await life;
      state = 'closed';
    },
  };
}

/** A failed AUTH without a known prefix is still a refusal to let us in. */
const asRefusal = (text: string): string =>
  /^(restricted|auth-required|blocked)\b/i.test(text) ? printable(text) : `restricted: ${printable(text)}`;

/** Full jitter: anywhere between now and the bound, so that a fleet does not come back in one wave. */
function backoffMs(failures: number, random: Random): number {
  const bound = Math.min(LIMITS.relay.backoffMaxMs, LIMITS.relay.backoffBaseMs * 2 ** Math.min(failures, 20));
  return Math.floor((Number.parseInt(hex(random(4)), 16) / 2 ** 32) * bound);
}
