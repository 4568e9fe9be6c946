/** createRelaySet: the links to all relays of relays.json behind one port. */
import { type Random, systemRandom } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { verifyEvent } from './event.ts';
import { createLink, type Link } from './link.ts';
import type { NodeKey, NostrEvent, PublishOutcome, RelayConfig, RelayRole, RelaySet } from './relay.ts';
import { loadFastSchnorr } from './schnorr.ts';

export function createRelaySet(options: {
  relays: readonly RelayConfig[];
  /** Signs NIP-42 answers for relays with `auth: true`. */
  key?: NodeKey;
  clock: Clock;
  log: Logger;
  random?: Random;
}): RelaySet {
  const { key, clock, log, random = systemRandom } = options;
  void loadFastSchnorr();
  const links = options.relays
    .slice(0, LIMITS.relay.relaysMax)
    .map((config) => createLink({ config, key, clock, log, random }));
  const withRole = (role: RelayRole): Link[] => links.filter((link) => link.config.roles.includes(role));

  return {
    start: () => links.forEach((link) => link.start()),
    publish: (event, role, only) => publishOn(withRole(role), event, only),
    query: async (filter, role, timeoutMs = LIMITS.relay.queryTimeoutMs) => {
      const chosen = withRole(role);
      const found = new Map<string, NostrEvent>();
      const limit = Math.max(1, filter.limit ?? LIMITS.relay.queryLimitDefault);
      // Each relay has its own share, so that one that floods cannot crowd out the honest ones.
      const share = Math.min(limit, Math.ceil(LIMITS.relay.eventsPerQueryMax / Math.max(1, chosen.length)));
      await Promise.all(
        chosen.map((link) =>
          link
            .query({ ...filter, limit }, collector(found, share), timeoutMs)
            .catch((error: unknown) => void failed(link, error)),
        ),
      );
      return [...found.values()].sort(newestFirst);
    },
    subscribe: ({ filter, roles, onEvent }) => {
      const chosen = links.filter(({ config }) => config.roles.some((role) => roles.includes(role)));
      const waiting = new Set<() => void>();
      let closed = false;
      const parts = chosen.map((link) =>
        link.subscribe({
          filter,
          onEvent: (event) => onEvent(event, link.config.url),
          onLive: () => waiting.forEach((check) => check()),
        }),
      );
      const live = (): number => parts.filter((part) => part.live()).length;
      return {
        ready: async (timeoutMs) => {
          const all = new AbortController();
          const check = (): void => {
            if (closed || live() === parts.length) all.abort();
          };
          waiting.add(check);
          check();
          await clock.sleep(timeoutMs, all.signal);
          waiting.delete(check);
          return live();
        },
        renew: () => parts.forEach((part) => part.renew()),
        close: () => {
          closed = true;
          for (const part of parts) part.close();
          for (const check of waiting) check();
        },
      };
    },
    publishTo: (event, urls) => publishOn(links, event, urls),
    informed: async () => {
      const written = links.filter(({ config }) => config.roles.some((role) => role !== 'discover'));
      await Promise.all(written.map((link) => link.inform()));
    },
    status: () => links.map((link) => link.status()),
    close: async () => {
      await Promise.all(links.map((link) => link.close()));
    },
  };

  function publishOn(
    chosen: readonly Link[],
    event: NostrEvent,
    only?: readonly string[],
  ): Promise<PublishOutcome[]> {
    return Promise.all(
      chosen
        .filter((link) => only === undefined || only.includes(link.config.url))
        .map((link) => link.publish(event).catch((error: unknown) => failed(link, error))),
    );
  }

  /** Never expected; one relay's trouble must not become everybody's. */
  function failed(link: Link, error: unknown): PublishOutcome {
    log.warn('relay.link.failed', { relay: new URL(link.config.url).host, error: errorKind(error) });
    return { url: link.config.url, outcome: 'unreachable', reason: 'the link failed' };
  }
}

/** Verifies what is new; an id counts as seen only when its event was genuine, else a forgery could hide it. */
function collector(found: Map<string, NostrEvent>, share: number): (event: unknown) => boolean {
  let received = 0;
  return (event) => {
    received += 1;
    const id = (event as { id?: unknown }).id;
    if (typeof id === 'string' && !found.has(id) && found.size < LIMITS.relay.eventsPerQueryMax) {
      const genuine = verifyEvent(event);
      if (genuine !== undefined) found.set(genuine.id, genuine);
    }
    return received < share;
  };
}

/** NIP-01 order: newest first, at equal time the lowest id. */
const newestFirst = (a: NostrEvent, b: NostrEvent): number =>
  b.created_at - a.created_at || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
