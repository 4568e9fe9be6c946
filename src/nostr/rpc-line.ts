/** Line: the way back to the client of one request: frames in wraps, on the relays that the request came from. */
import { LIMITS } from '../base/limits.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { type NodeFrame, frameText } from '../protocol/dmi.ts';
import { KIND } from '../protocol/kinds.ts';
import { refusesDate } from '../relay/outcome.ts';
import type { PublishOutcome, RelaySet } from '../relay/relay.ts';
import type { StreamKey, Wrapper } from '../relay/wrap.ts';

export interface Line {
  /** Relays of the client, as far as they are known by now. */
  readonly from: readonly string[];
  /** Another relay delivered the same request. */
  also: (from: readonly string[]) => void;
  /**
   * `live`: relays pass it on to who listens now. `stored`: they keep it. `only`: to those of the relays.
   * Never rejects; throws RangeError for a frame that is too large.
   */
  send: (frame: NodeFrame, how: 'live' | 'stored', only?: readonly string[]) => Promise<PublishOutcome[]>;
}

/** @param durable every frame goes into a wrap that relays keep, as a client that will be away asks for. */
export type OpenLine = (client: string, from: readonly string[], durable?: boolean) => Line;

export function createLines(options: { wrapper: Wrapper; relays: RelaySet; clock: Clock }): OpenLine {
  const { wrapper, relays, clock } = options;

  return (client, first, durable = false) => {
    const from = [...first].slice(0, LIMITS.inbox.relaysMax);
    let stream: StreamKey | undefined;

    function wrapped(content: string, how: 'live' | 'stored', undated = false) {
      const parts = { kind: KIND.frame, content };
      if (how === 'live') {
        // Frames of one answer belong together for whoever watches the relay anyway; one key for them saves half.
        stream ??= wrapper.streamKey(client);
        return wrapper.wrap(parts, client, { kind: KIND.ephemeralWrap, stream });
      }
      const expiration = unixSeconds(clock) + LIMITS.dmi.valueSeconds;
      return wrapper.wrap(parts, client, { kind: KIND.wrap, expiration, undated });
    }

    return {
      from,
      also: (more) => {
        for (const url of more)
          if (!from.includes(url) && from.length < LIMITS.inbox.relaysMax) from.push(url);
      },
      send: async (frame, asked, only = from) => {
        const how = durable ? 'stored' : asked;
        const content = frameText(frame);
        const outcomes = await relays.publishTo(wrapped(content, how), only);
        const strict = how === 'stored' ? outcomes.filter(refusesDate).map(({ url }) => url) : [];
        if (strict.length === 0) return outcomes;
        const again = await relays.publishTo(wrapped(content, how, true), strict);
        return [...outcomes.filter(({ url }) => !strict.includes(url)), ...again];
      },
    };
  };
}

export const taken = ({ outcome }: PublishOutcome): boolean => outcome === 'ok' || outcome === 'duplicate';
