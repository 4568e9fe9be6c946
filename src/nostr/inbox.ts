/**
 * Inbox: wraps for this node's key, from its dm and rpc relays. Whatever is cheap to check is checked before what is
 * dear, each relay and sender has a budget, and all opening together never takes more than a share of the machine:
 * a flood of wraps delays other wraps, not HTTP. What is dropped is counted by its reason, and nobody is told.
 */
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { KIND } from '../protocol/kinds.ts';
import type { NodeKey, NostrEvent, PublishOutcome, RelaySet } from '../relay/relay.ts';
import {
  type Rumor,
  type RumorParts,
  type WrapOptions,
  type Wrapper,
  openWrap,
  rumorId,
} from '../relay/wrap.ts';
import { createBudget, createBudgets } from './budget.ts';
import type { ValueStore } from './created-at.ts';
import { createSeenWraps } from './seen-wraps.ts';

/** A rumor that its author sealed for this node. */
export interface Letter {
  rumor: Rumor;
  /** Public key, proved by the seal. */
  sender: string;
  /** Relays that delivered it, first first; grows when others do, at most LIMITS.inbox.relaysMax. */
  from: readonly string[];
  /** Whether relays keep its wrap. */
  stored: boolean;
  /** Wraps for the sender and publishes on the relays that the letter came from. */
  reply: (parts: RumorParts, options: WrapOptions) => Promise<PublishOutcome[]>;
}

/**
 * Takes a letter; what it throws is logged. It must bound what it starts. Until it resolves, the letter is opened
 * again after a restart; so what it is worth must be on disk by then.
 */
export type Reader = (letter: Letter) => void | Promise<void>;

export interface Inbox {
  start: () => void;
  /** Relays that have sent all they had stored, within the time. */
  ready: (timeoutMs: number) => Promise<number>;
  stop: () => Promise<void>;
  /** Wraps by what became of them: `opened`, or the reason for which they were dropped. */
  counts: () => Readonly<Record<string, number>>;
}

interface Waiting {
  name: string;
  event: NostrEvent;
  from: string[];
}

const hasManyTags = ({ tags }: NostrEvent): boolean =>
  tags.length > LIMITS.inbox.tagsMax || tags.flat().join('').length > LIMITS.inbox.tagCharsMax;

export function createInbox(options: {
  key: NodeKey;
  relays: RelaySet;
  wrapper: Wrapper;
  /** By kind of the rumor. */
  readers: Readonly<Record<number, Reader>>;
  store: ValueStore;
  clock: Clock;
  log: Logger;
}): Inbox {
  const { key, relays, wrapper, readers, store, clock, log } = options;
  const { inbox } = LIMITS;
  const counts: Record<string, number> = {};
  const count = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1);
  const seen = createSeenWraps<string[]>({ store, clock, before: () => [] });
  const relayBudgets = createBudgets({ perSecond: inbox.relayPerSecond, burst: inbox.relayBurst, clock });
  const senderBudgets = createBudgets({ perSecond: inbox.senderPerSecond, burst: inbox.senderBurst, clock });
  const work = createBudget({ perSecond: inbox.workMsPerSecond, burst: inbox.workBurstMs, clock });
  const queue: Waiting[] = [];
  const stopped = new AbortController();
  let subscription: ReturnType<RelaySet['subscribe']>[] = [];
  let working: Promise<void> | undefined;
  let loops: Promise<unknown> | undefined;
  /** Stored wraps for which there was no room; relays still have them. */
  let missed = 0;

  /** Everything that costs nothing; in this order, because each check is dearer than the one before. */
  function receive(event: NostrEvent, from: string): void {
    if (event.content.length > LIMITS.wrap.payloadCharsMax || hasManyTags(event)) return count('size');
    if (!event.tags.some(([name, value]) => name === 'p' && value === key.pubkey)) return count('foreign');
    if (event.kind !== KIND.wrap && event.kind !== KIND.ephemeralWrap) return count('kind');
    if (rumorId(event) !== event.id) return count('id');
    // The id fixes all but the signature; with it in the name, a forgery that comes first cannot hide the genuine one.
    const name = sha256Hex(event.id + event.sig);
    const known = seen.get(name);
    if (known !== undefined) {
      if (!known.includes(from) && known.length < inbox.relaysMax) known.push(from);
      return count('duplicate');
    }
    const age = unixSeconds(clock) - event.created_at;
    if (age < -inbox.futureSecondsMax) return count('future');
    if (age > (event.kind === KIND.wrap ? inbox.storedSecondsMax : inbox.liveSecondsMax))
      return count('stale');
    const full = !relayBudgets.take(from) ? 'relay-budget' : queue.length >= inbox.queueMax && 'queue';
    if (full !== false) {
      if (event.kind === KIND.wrap) missed += 1;
      return count(full);
    }
    const relayList = [from];
    seen.add(name, relayList);
    queue.push({ name, event, from: relayList });
    working ??= workOff().finally(() => (working = undefined));
  }

  /** One wrap per turn of the event loop; when the share of this second is used up, the rest waits. */
  async function workOff(): Promise<void> {
    for (let next = queue.shift(); next !== undefined && !stopped.signal.aborted; next = queue.shift()) {
      await new Promise((resolve) => setImmediate(resolve));
      const began = performance.now();
      open(next);
      // A process that was stopped for a while has spent its share, and no more: what no budget holds is never had.
      const took = Math.min(performance.now() - began, inbox.workBurstMs);
      while (!work.take(took) && !stopped.signal.aborted) {
        await clock.sleep(Math.min(took * 2, inbox.pauseMsMax), stopped.signal);
      }
    }
  }

  function open({ name, event, from }: Waiting): void {
    const stored = event.kind === KIND.wrap;
    const settled = (): void => void (stored && seen.keep(name));
    const opened = openWrap(event, key);
    const reader = 'refused' in opened ? undefined : readers[opened.rumor.kind];
    if ('refused' in opened || reader === undefined) {
      settled();
      return count('refused' in opened ? opened.refused : 'rumor-kind');
    }
    const { rumor, sender } = opened;
    if (!senderBudgets.take(sender)) return count('sender-budget');
    count('opened');
    const letter: Letter = {
      rumor,
      sender,
      from,
      stored,
      reply: (parts, how) => relays.publishTo(wrapper.wrap(parts, sender, how), from),
    };
    void (async () => reader(letter))().then(settled, (error: unknown) => {
      log.error('nostr.letter.failed', { kind: rumor.kind, error: errorKind(error) });
    });
  }

  async function flushNowAndThen(): Promise<void> {
    while (!stopped.signal.aborted) {
      await clock.sleep(inbox.flushMs, stopped.signal);
      await seen.flush();
    }
  }

  /** A token may be in what a flood crowded out: it is asked for again, once there is room. */
  async function makeUp(): Promise<void> {
    while (!stopped.signal.aborted) {
      await clock.sleep(inbox.makeUpMs, stopped.signal);
      if (missed === 0 || queue.length > inbox.queueMax / 2 || stopped.signal.aborted) continue;
      log.warn('nostr.inbox.flooded', { missed });
      missed = 0;
      subscription[0]?.renew();
    }
  }

  return {
    start: () => {
      const roles = ['dm', 'rpc'] as const;
      const mine = { '#p': [key.pubkey] };
      subscription = [
        relays.subscribe({
          // Wraps are dated back up to two days, so what is new may look old; never what was seen last.
          filter: () => ({ ...mine, kinds: [KIND.wrap], since: unixSeconds(clock) - inbox.storedSecondsMax }),
          roles,
          onEvent: receive,
        }),
        relays.subscribe({
          filter: () => ({
            ...mine,
            kinds: [KIND.ephemeralWrap],
            since: unixSeconds(clock) - inbox.liveSecondsMax,
          }),
          roles,
          onEvent: receive,
        }),
      ];
      loops = Promise.all([flushNowAndThen(), makeUp()]);
    },
    ready: async (timeoutMs) => {
      const live = await Promise.all(subscription.map((each) => each.ready(timeoutMs)));
      return Math.min(...live);
    },
    stop: async () => {
      stopped.abort();
      for (const each of subscription) each.close();
      await Promise.all([working, loops]);
    },
    counts: () => ({ ...counts }),
  };
}
