/** createDmLine: the way to one node over relays: wraps what is sent, opens what comes, believes only that node. */
import { LIMITS } from '../base/limits.ts';
import type { Random } from '../base/id.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { type ClientFrame, frameText, type NodeFrame, readNodeFrame } from '../protocol/dmi.ts';
import { KIND } from '../protocol/kinds.ts';
import { createRecent } from '../relay/recent.ts';
import { refusesDate } from '../relay/outcome.ts';
import type { NodeKey, NostrEvent, PublishOutcome, RelayRole, RelaySet } from '../relay/relay.ts';
import { createWrapper, openWrap } from '../relay/wrap.ts';

export interface DmLine {
  /** Waits until relays deliver to us, so that no answer is missed. Gives their number. */
  ready: () => Promise<number>;
  /**
   * To these relays. True if one of them took it. `stored`: in a wrap that relays keep, for what is worth money or
   * must wait for a node that is away. Throws RangeError for a frame that no relay would carry.
   */
  send: (frame: ClientFrame, urls: readonly string[], how: { stored: boolean }) => Promise<boolean>;
  close: () => void;
}

const ROLES: readonly RelayRole[] = ['rpc', 'dm'];

export function createDmLine(options: {
  relays: RelaySet;
  key: NodeKey;
  /** Hex pubkey of the node. */
  peer: string;
  onFrame: (frame: NodeFrame) => void;
  /** Whether an answer is expected; else nothing is opened, which is what costs time. */
  expecting: () => boolean;
  random: Random;
  clock: Clock;
}): DmLine {
  const { relays, key, peer, onFrame, expecting, random, clock } = options;
  const wrapper = createWrapper(key, random, clock);
  const seen = createRecent<true>(LIMITS.ask.seenMax);

  const subscription = relays.subscribe({
    roles: ROLES,
    filter: () => ({
      kinds: [KIND.wrap, KIND.ephemeralWrap],
      '#p': [key.pubkey],
      since: unixSeconds(clock) - LIMITS.ask.sinceSeconds,
      limit: LIMITS.relay.queryLimitDefault,
    }),
    onEvent: (event) => take(event),
  });

  function take(event: NostrEvent): void {
    if (!expecting()) return;
    // The signature is part of the name, so that a forged copy cannot hide the genuine one.
    const name = event.id + event.sig;
    if (seen.get(name) === true) return;
    seen.set(name, true);
    const opened = openWrap(event, key);
    if ('refused' in opened || opened.sender !== peer || opened.rumor.kind !== KIND.frame) return;
    const read = readNodeFrame(opened.rumor.content);
    if ('frame' in read) onFrame(read.frame);
  }

  let greeted = false;
  /** One relay is enough to begin; the others get a moment, once, so that a dead one costs no more than that. */
  async function ready(): Promise<number> {
    const until = clock.monotonic() + LIMITS.ask.readyMs;
    let live = await subscription.ready(0);
    while (live === 0 && clock.monotonic() < until) live = await subscription.ready(LIMITS.ask.graceMs);
    if (!greeted && live > 0) live = await subscription.ready(LIMITS.ask.graceMs);
    greeted = true;
    return live;
  }

  return {
    ready,
    send: async (frame, urls, { stored }) => {
      const parts = { kind: KIND.frame, content: frameText(frame) };
      const kind = stored ? KIND.wrap : KIND.ephemeralWrap;
      const expires = stored ? { expiration: expiry(clock) } : {};
      const publish = (to: readonly string[], undated: boolean): Promise<PublishOutcome[]> =>
        relays.publishTo(wrapper.wrap(parts, peer, { kind, undated, ...expires }), to);
      const outcomes = await publish(urls, false);
      const strict = stored ? outcomes.filter(refusesDate).map(({ url }) => url) : [];
      const again = strict.length === 0 ? [] : await publish(strict, true);
      return [...outcomes, ...again].some(({ outcome }) => outcome === 'ok' || outcome === 'duplicate');
    },
    close: () => subscription.close(),
  };
}

/** Relays may forget a stored request when it is of no use any more. */
const expiry = (clock: Clock): number => unixSeconds(clock) + LIMITS.ask.sinceSeconds;
