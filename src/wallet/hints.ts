/**
 * Hints of one mint (NUT-17): it says over a WebSocket that something happened to a quote. It may lie, repeat itself or
 * stay silent: a hint is a reason to ask now, never evidence, and whoever waits for a quote asks in any case.
 *
 *   nobody waits ──watch──► asks /v1/info ──offers none──► nobody waits
 *        ▲                      │ offers hints
 *        │ nothing waited for   ▼
 *        └────────────────── connected ──lost──► back-off ──► connected …
 */
import { randomUUID } from 'node:crypto';
import { hex, type Random, systemRandom } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { createBudget } from './budget.ts';
import { type HintKind, readHintKinds, readNotice, subscribeText, unsubscribeText } from './hint-frames.ts';
import { type HintSocket, openHintSocket } from './hint-socket.ts';
import type { MintClient } from './mint-http.ts';

export interface Hints {
  /** Calls `look` when the mint says something new about the quote, a few times at most. The result ends it. */
  watch: (kind: HintKind, quote: string, look: () => void) => () => void;
  close: () => void;
}

/** What is known when somebody begins to wait, and so is no news. */
const NO_NEWS: Record<HintKind, string> = { bolt11_mint_quote: 'UNPAID', bolt11_melt_quote: 'PENDING' };

interface Watched {
  kind: HintKind;
  quote: string;
  look: () => void;
  left: number;
}

export function createHints(parts: {
  /** The mint's, normalised. */
  url: string;
  units: readonly string[];
  allowPrivate: boolean;
  client: MintClient;
  clock: Clock;
  log: Logger;
  random?: Random;
}): Hints {
  const { url, units, allowPrivate, client, clock, log, random = systemRandom } = parts;
  const { quotesMax, perQuoteMax, messagesBurst, messagesPerSecond, messageUnitBytes } = LIMITS.hint;
  const { host } = new URL(url);
  const watched = new Map<string, Watched>();
  // For the life of the process: a mint gets no new allowance by dropping the connection.
  const allowance = createBudget(clock, {
    perSecond: messagesPerSecond,
    burst: messagesBurst,
    waitMsMax: 0,
  });
  let socket: HintSocket | undefined;
  let offered: { kinds: ReadonlySet<HintKind>; until: number } | undefined;
  let failures = 0;
  let notBefore = -Infinity;
  let requests = 0;
  let running = false;
  let closed = false;
  /** The connection ends because nothing is waited for. */
  let leaving = false;
  /** Aborted when nothing is waited for any more. */
  let idle = new AbortController();

  function forget(subId: string): void {
    if (!watched.delete(subId)) return;
    socket?.send(unsubscribeText(requests++, subId));
    if (watched.size > 0) return;
    leaving = true;
    idle.abort();
    socket?.close();
  }

  const subscribe = (subId: string, { kind, quote }: Watched): void =>
    socket?.send(subscribeText(requests++, kind, subId, quote));

  function read(data: Buffer, isText: boolean): void {
    for (let bytes = data.length; bytes >= 0; bytes -= messageUnitBytes) {
      if (!allowance.take().refused) continue;
      log.warn('wallet.hints.flood', { mint: host });
      notBefore = clock.monotonic() + LIMITS.hint.floodRestMs;
      return socket?.cut();
    }
    const notice = isText ? readNotice(data.toString('utf8')) : undefined;
    const about = notice && watched.get(notice.subId);
    if (notice === undefined || about === undefined || notice.state === NO_NEWS[about.kind]) return;
    about.left -= 1;
    if (about.left <= 0) forget(notice.subId);
    about.look();
  }

  /** Undefined if the mint does not say now. */
  async function kindsOffered(): Promise<ReadonlySet<HintKind> | undefined> {
    if (offered !== undefined && clock.monotonic() < offered.until) return offered.kinds;
    const answer = await client.get('/v1/info');
    if (answer.kind !== 'ok') return undefined;
    offered = {
      kinds: readHintKinds(answer.body, units),
      until: clock.monotonic() + LIMITS.hint.infoKeepMs,
    };
    return offered.kinds;
  }

  /** Resolves when the connection is over, to how long it lasted. */
  async function converse(): Promise<number> {
    socket = openHintSocket({
      url,
      allowPrivate,
      clock,
      opened: () => {
        log.debug('wallet.hints.open', { mint: host });
        for (const [subId, each] of watched) subscribe(subId, each);
      },
      message: read,
    });
    const lasted = await socket.gone;
    socket = undefined;
    return lasted;
  }

  async function listen(): Promise<void> {
    while (watched.size > 0 && !closed) {
      const wait = notBefore - clock.monotonic();
      if (wait > 0) {
        await clock.sleep(wait, idle.signal);
        continue;
      }
      const kinds = await kindsOffered();
      for (const [subId, { kind }] of watched) if (kinds?.has(kind) === false) forget(subId);
      if (watched.size === 0 || closed) return;
      if (kinds === undefined) {
        notBefore = clock.monotonic() + LIMITS.hint.infoRetryMs;
        continue;
      }
      leaving = false;
      const lasted = await converse();
      if (leaving) continue;
      failures = lasted >= LIMITS.hint.stableAfterMs ? 0 : failures + 1;
      notBefore = Math.max(notBefore, clock.monotonic() + backoffMs(failures, random));
    }
  }

  return {
    watch: (kind, quote, look) => {
      const isRefused = offered !== undefined && !offered.kinds.has(kind);
      if (closed || (isRefused && clock.monotonic() < (offered?.until ?? 0))) return () => undefined;
      const [oldest] = watched.keys();
      if (watched.size >= quotesMax && oldest !== undefined) forget(oldest);
      if (idle.signal.aborted) idle = new AbortController();
      const subId = randomUUID();
      const entry = { kind, quote, look, left: perQuoteMax };
      watched.set(subId, entry);
      subscribe(subId, entry);
      if (!running) {
        running = true;
        void listen()
          .catch((error: unknown) => log.error('wallet.hints.ended', { mint: host, error: errorKind(error) }))
          .finally(() => (running = false));
      }
      return () => forget(subId);
    },
    close: () => {
      closed = true;
      watched.clear();
      idle.abort();
      socket?.cut();
    },
  };
}

/** Full jitter: anywhere between now and the bound, so that a fleet does not come back in one wave. */
function backoffMs(failures: number, random: Random): number {
  const { backoffBaseMs, backoffMaxMs } = LIMITS.hint;
  const bound = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(failures, 20));
  return Math.floor((Number.parseInt(hex(random(4)), 16) / 2 ** 32) * bound);
}
