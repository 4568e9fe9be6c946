/** NIP-42 on one connection: answers challenges with the node's key and remembers what the relay thought of it. */
import { LIMITS } from '../base/limits.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { KIND } from '../protocol/kinds.ts';
import { deferred } from './deferred.ts';
import type { Frame } from './frame.ts';
import type { NodeKey } from './relay.ts';

export interface Auth {
  /** True if the frame was about authentication and needs no other reader. */
  take: (frame: Frame) => boolean;
  /** Waits for the relay's verdict; undefined if none came in time. */
  verdict: (timeoutMs: number) => Promise<{ ok: boolean; text: string } | undefined>;
}

/** Without a key every challenge is ignored: a relay must not learn who we are because it asked. */
export function createAuth(options: {
  url: string;
  key?: NodeKey | undefined;
  clock: Clock;
  send: (text: string) => void;
  /** Called each time the relay took our answer. */
  onAccepted: () => void;
}): Auth {
  const { url, key, clock, send, onAccepted } = options;
  const settled = deferred<{ ok: boolean; text: string }>();
  let answered = 0;
  let pending: string | undefined;
  return {
    take: (frame) => {
      if (frame[0] === 'OK' && frame[1] === pending) {
        const text = frame[3];
        pending = undefined;
        settled.resolve({ ok: frame[2], text: typeof text === 'string' ? text : '' });
        if (frame[2]) onAccepted();
        return true;
      }
      if (frame[0] !== 'AUTH') return false;
      if (key !== undefined && answered < LIMITS.relay.authAttemptsMax) {
        answered += 1;
        const tags = [
          ['relay', url],
          ['challenge', frame[1]],
        ];
        const event = key.sign({ kind: KIND.relayAuth, created_at: unixSeconds(clock), tags, content: '' });
        pending = event.id;
        send(JSON.stringify(['AUTH', event]));
      }
      return true;
    },
    verdict: async (timeoutMs) => {
      if (key === undefined) return undefined;
      const done = new AbortController();
      const result = await Promise.race([
        settled.promise,
        clock.sleep(timeoutMs, done.signal).then(() => undefined),
      ]);
      done.abort();
      return result;
    },
  };
}
