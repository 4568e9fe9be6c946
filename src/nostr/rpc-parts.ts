/** Bodies that come in parts: in any order, also before the request they belong to; what is missing is asked for. */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { PartFrame, RequestFrame } from '../protocol/dmi.ts';
import { createPartsInbox } from '../protocol/dmi-body.ts';

export interface Transfers {
  /** False where there are too many transfers already. */
  take: (sender: string, key: string, part: PartFrame) => boolean;
  /** The body; undefined if parts are still missing when the time is up. Throws where they are not what was announced. */
  collect: (
    sender: string,
    key: string,
    announced: NonNullable<RequestFrame['parts']>,
    askFor: (missing: number[]) => void,
    stop: AbortSignal,
  ) => Promise<Buffer | undefined>;
}

interface Transfer {
  sender: string;
  since: number;
  parts: Map<number, string>;
  wake: AbortController;
}

export function createTransfers({ clock }: { clock: Clock }): Transfers {
  const { partsMs, partsAskMs, perSenderMax, runningMax } = LIMITS.dmi;
  const transfers = new Map<string, Transfer>();

  function tidy(): void {
    for (const [key, { since }] of transfers) if (clock.monotonic() - since > partsMs) transfers.delete(key);
  }

  function open(sender: string, key: string): Transfer | undefined {
    tidy();
    const known = transfers.get(key);
    if (known !== undefined) return known;
    const own = [...transfers.values()].filter((transfer) => transfer.sender === sender).length;
    if (own >= perSenderMax || transfers.size >= runningMax) return undefined;
    const made = { sender, since: clock.monotonic(), parts: new Map(), wake: new AbortController() };
    transfers.set(key, made);
    return made;
  }

  return {
    take: (sender, key, { i, z }) => {
      const transfer = open(sender, key);
      if (transfer === undefined) return false;
      if (!transfer.parts.has(i)) transfer.parts.set(i, z);
      transfer.wake.abort();
      return true;
    },
    collect: async (sender, key, announced, askFor, stop) => {
      const transfer = open(sender, key);
      if (transfer === undefined) return undefined;
      const inbox = createPartsInbox(announced);
      let askedAt = clock.monotonic();
      try {
        while (!stop.aborted) {
          for (const [i, z] of transfer.parts) inbox.take({ i, z });
          if (inbox.missing().length === 0) return await inbox.body();
          const now = clock.monotonic();
          if (now - transfer.since >= partsMs) return undefined;
          if (now - askedAt >= partsAskMs) {
            askedAt = now;
            askFor(inbox.missing());
          }
          const pause = Math.min(askedAt + partsAskMs, transfer.since + partsMs) - now;
          await clock.sleep(Math.max(1, pause), AbortSignal.any([transfer.wake.signal, stop]));
          if (transfer.wake.signal.aborted) transfer.wake = new AbortController();
        }
        return undefined;
      } finally {
        transfers.delete(key);
      }
    },
  };
}
