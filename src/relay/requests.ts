/**
 * Long-lived REQs of one connection, kept beside the relay client: it would parse each event twice, remember ids
 * without bound and change the filter.
 */
import type { Frame } from './frame.ts';
import type { Filter, NostrEvent } from './relay.ts';

export interface RequestHandlers {
  /** Shape-checked, not verified. */
  event: (event: NostrEvent) => void;
  /** The relay has sent what it had stored. May be claimed more than once. */
  eose: () => void;
  /** The relay ended the subscription. */
  closed: (text: string) => void;
}

export interface Requests {
  /** Sends the REQ; the result sends CLOSE. */
  open: (filter: Filter, handlers: RequestHandlers) => () => void;
  /** True if the frame was for one of these and needs no other reader. */
  take: (frame: Frame) => boolean;
}

export function createRequests(send: (text: string) => void): Requests {
  const running = new Map<string, RequestHandlers>();
  let count = 0;
  return {
    open: (filter, handlers) => {
      // A new name each time: what a relay still sends for the old one is not mixed up with it.
      const id = `live:${(count += 1)}`;
      running.set(id, handlers);
      send(JSON.stringify(['REQ', id, filter]));
      return () => {
        if (running.delete(id)) send(JSON.stringify(['CLOSE', id]));
      };
    },
    take: (frame) => {
      if (frame[0] === 'OK' || frame[0] === 'AUTH') return false;
      const handlers = running.get(frame[1]);
      if (handlers === undefined) return false;
      if (frame[0] === 'EVENT') handlers.event(frame[2]);
      else if (frame[0] === 'EOSE') handlers.eose();
      else {
        running.delete(frame[1]);
        handlers.closed(frame[2]);
      }
      return true;
    },
  };
}
