/**
 * createExchange: one request and its answer over direct messages, until the answer is whole or given up.
 *
 *   sent ──acc──► working ──data…──► streaming ──res──► whole
 *     └─ nothing heard: the same id by other relays, 3 tries; gaps and missing parts are asked for with `get`
 */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type {
  ClientFrame,
  ErrorFrame,
  NodeFrame,
  PartFrame,
  RequestFrame,
  ResultFrame,
} from '../protocol/dmi.ts';
import { createPartsInbox, type PartsInbox, unpackBody } from '../protocol/dmi-body.ts';
import { createDmStream, type DmChunk, DmDamage } from './dm-stream.ts';

/** Why there is no answer. `ambiguous`: the node may have worked and charged; the same id asks for the outcome. */
export class DmFailure extends Error {
  readonly kind: 'no_relay' | 'unreachable' | 'timeout' | 'cancelled' | 'damaged';
  readonly ambiguous: boolean;
  constructor(kind: DmFailure['kind'], message: string, ambiguous: boolean) {
    super(message);
    this.name = 'DmFailure';
    this.kind = kind;
    this.ambiguous = ambiguous;
  }
}

/** How the node ended it: a result or a refusal, with the body that HTTP would have. */
export interface DmEnd {
  frame: ResultFrame | ErrorFrame;
  body: Buffer;
}

export interface Exchange {
  deliver: (frame: NodeFrame) => void;
  /** Events of the stream in order, each once; ends when the answer is whole. Throws DmFailure. */
  chunks: () => AsyncGenerator<DmChunk, void>;
  /** Throws DmFailure. Also waits for every event of the stream. */
  end: Promise<DmEnd>;
}

export function createExchange(options: {
  request: RequestFrame;
  parts: readonly PartFrame[];
  /** `turn` chooses the relays. True if one of them took it. */
  send: (frame: ClientFrame, turn: number) => Promise<boolean>;
  signal: AbortSignal | undefined;
  clock: Clock;
}): Exchange {
  const { request, parts, send, signal, clock } = options;
  const { id } = request;
  const stream = createDmStream();
  let result: ResultFrame | ErrorFrame | undefined;
  let inbox: PartsInbox | undefined;
  const early: PartFrame[] = [];
  let heardAt: number | undefined;
  /** The try that is under way: it says which relays are used. */
  let turn = 0;
  let progress = 0;
  let over = false;
  let wake = new AbortController();
  const wakeAll = (): void => {
    const old = wake;
    wake = new AbortController();
    old.abort();
  };

  const end = drive().finally(() => {
    over = true;
    wakeAll();
  });
  // Whoever reads the stream gets the failure there; nobody has to look at both.
  end.catch(() => undefined);

  async function drive(): Promise<DmEnd> {
    const started = clock.monotonic();
    await begin();
    let gapSince: number | undefined;
    let repairs = 0;
    let before = progress;
    while (!isWhole()) {
      stopIfAborted();
      await pause(LIMITS.ask.gapMs);
      const now = clock.monotonic();
      if (progress !== before) repairs = 0;
      before = progress;
      if (isWhole()) break;
      const quiet = now - (heardAt ?? started);
      if (quiet > LIMITS.ask.idleMs) throw late('The node fell silent before the answer was whole.');
      if (now - started > LIMITS.ask.totalMs) throw late('The answer took longer than ten minutes.');
      const lacking = result !== undefined || stream.missing() !== undefined;
      gapSince = lacking ? (gapSince ?? now) : undefined;
      const waited = gapSince === undefined ? 0 : now - gapSince;
      if (waited >= LIMITS.ask.gapMs * 2 ** repairs || quiet > LIMITS.ask.quietMs * (repairs + 1)) {
        if (repairs >= LIMITS.ask.repairsMax)
          throw late('Parts of the answer were lost and did not come again.');
        repairs += 1;
        await send(repair(), turn + repairs - 1);
      }
    }
    return { frame: result as DmEnd['frame'], body: await bodyOf(result as DmEnd['frame']) };
  }

  /** The same id by other relays until something is heard: the node works on it once. */
  async function begin(): Promise<void> {
    let taken = false;
    for (turn = 0; turn < LIMITS.ask.triesMax; turn += 1) {
      stopIfAborted();
      const until = clock.monotonic() + LIMITS.ask.tryMs;
      const sent = Promise.all([request, ...parts].map((frame) => send(frame, turn)));
      const reached = await Promise.race([
        sent.then((all) => all.every(Boolean)),
        heard(until).then(() => true),
      ]);
      if (reached) taken = true;
      await (reached ? heard(until) : pause(LIMITS.ask.gapMs));
      if (heardAt !== undefined) return;
    }
    if (taken) throw new DmFailure('timeout', 'The node did not answer over any relay.', true);
    throw new DmFailure('unreachable', 'No relay took the request; the node never saw it.', false);
  }

  async function heard(until: number): Promise<void> {
    while (heardAt === undefined && clock.monotonic() < until) {
      stopIfAborted();
      await pause(until - clock.monotonic());
    }
  }

  /** Until something arrives, the signal aborts, or `ms` passed. */
  async function pause(ms: number): Promise<void> {
    const done = signal === undefined ? wake.signal : AbortSignal.any([wake.signal, signal]);
    await clock.sleep(Math.max(1, ms), done);
  }

  function stopIfAborted(): void {
    if (signal?.aborted !== true) return;
    void send({ t: 'cancel', id }, turn).catch(() => undefined);
    throw new DmFailure('cancelled', 'The request was given up.', true);
  }

  const isWhole = (): boolean =>
    result !== undefined &&
    (result.t === 'err' ||
      ((inbox?.missing().length ?? 0) === 0 && (result.last === undefined || stream.complete())));

  function repair(): ClientFrame {
    const lost = inbox?.missing() ?? [];
    const from = stream.missing();
    return {
      t: 'get',
      id,
      ...(from === undefined ? {} : { from }),
      ...(lost.length === 0 ? {} : { need_parts: lost }),
    };
  }

  async function bodyOf(frame: ResultFrame | ErrorFrame): Promise<Buffer> {
    try {
      return inbox === undefined ? await unpackBody(frame) : await inbox.body();
    } catch {
      throw new DmFailure('damaged', 'The answer is not the one that the node sent.', true);
    }
  }

  function finish(frame: ResultFrame | ErrorFrame): void {
    if (result !== undefined) return;
    result = frame;
    if (frame.t === 'err') return;
    if (frame.parts !== undefined) inbox = createPartsInbox(frame.parts);
    for (const part of early.splice(0)) inbox?.take(part);
    if (frame.last !== undefined) stream.end(frame.last, frame.sha256);
  }

  return {
    deliver: (frame) => {
      if (over) return;
      heardAt = clock.monotonic();
      // While nothing is known to be missing, "still at it" is all that can be said.
      if (frame.t === 'acc' && result === undefined && stream.missing() === undefined) progress += 1;
      if (frame.t === 'acc' && frame.need_parts !== undefined) {
        for (const i of frame.need_parts) {
          const part = parts[i];
          if (part !== undefined) void send(part, turn).catch(() => undefined);
        }
      } else if (frame.t === 'data') {
        if (stream.take(frame)) progress += 1;
      } else if (frame.t === 'part') {
        if (inbox !== undefined) inbox.take(frame);
        else if (early.length < LIMITS.dmi.partsMax) early.push(frame);
        progress += 1;
      } else if (frame.t === 'res' || frame.t === 'err') {
        finish(frame);
        progress += 1;
      }
      wakeAll();
    },
    chunks: async function* () {
      for (;;) {
        // Taken before looking, so that nothing that arrives in between is slept through.
        const news = wake.signal;
        const isOver = over;
        const chunk = await stream.next().catch((error: unknown) => {
          if (error instanceof DmDamage) throw new DmFailure('damaged', error.message, true);
          throw error;
        });
        if (chunk !== undefined) yield chunk;
        else if (isOver) break;
        else await clock.sleep(LIMITS.ask.totalMs, news);
      }
      await end;
    },
    end,
  };
}

const late = (message: string): DmFailure => new DmFailure('timeout', message, true);
