/** A streamed answer: bytes pass through, the bill is the last chunk, and a departing client pays for what was made. */
import { type Cancel, cancel, onCancel } from '../base/cancel.ts';
import { NodeError, invariant } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { appendMembers } from '../protocol/json-scan.ts';
import type { Usage } from '../protocol/openai.ts';
import { type StreamFacts, createChatStream } from '../protocol/sse.ts';
import type { Chunks, UpstreamAnswer } from '../upstream/upstream.ts';
import { answerMembers, usageText } from './bill.ts';
import type { Answer, Receipt } from './request.ts';
import { type Settlement, brokenOff } from './settlement.ts';

export interface StreamParts {
  upstream: UpstreamAnswer;
  /** Ends the upstream's work. */
  work: Cancel;
  settlement: Settlement;
  /** Turns what is left of a one-shot payment into change, once settled. */
  makeChange: ((receipt: Receipt) => Promise<Receipt>) | undefined;
  /** Answers asked for at once. */
  choices: number;
  /** False only if the client asked for a stream without usage. */
  includeUsage: boolean;
  /** Cancelled when the client is gone. */
  gone: Cancel;
  drains: Drains;
  clock: Clock;
  log: Logger;
}

/** Streams that are read to their end after the client left; bounded, because nobody waits for them. */
export interface Drains {
  enter: () => boolean;
  leave: () => void;
}

export function createDrains(): Drains {
  let running = 0;
  return {
    enter: () => {
      if (running >= LIMITS.stream.drainsMax) return false;
      running += 1;
      return true;
    },
    leave: () => {
      running -= 1;
    },
  };
}

function chunksOf({ chunks }: UpstreamAnswer): Chunks {
  invariant(chunks !== undefined, 'an answer that streams comes in chunks');
  return chunks;
}

type Result = IteratorResult<Buffer, undefined>;
const END: Result = { done: true, value: undefined };
const DONE = Buffer.from('data: [DONE]\n\n');
const frame = (value: unknown): Buffer => Buffer.from(`data: ${JSON.stringify(value)}\n\n`);

export function streamAnswer(parts: StreamParts): Answer {
  const { upstream, work, settlement, makeChange, includeUsage, gone, drains, clock, log } = parts;
  const source = chunksOf(upstream);
  const stream = createChatStream({ choices: parts.choices });
  const ready: Buffer[] = [];
  let ended = false;
  let settled: (receipt: Promise<Receipt>) => void = () => undefined;
  const receipt = new Promise<Receipt>((resolve) => {
    settled = resolve;
  });
  // Whoever reads the answer sees the failure; a receipt that nobody awaits must not end the process.
  receipt.catch(() => undefined);

  async function settle(facts: StreamFacts): Promise<Receipt> {
    const usage = usageOf(facts, settlement);
    const charged = usage ? settlement.charge(usage) : settlement.free();
    settled(charged);
    const receipt = await charged;
    return makeChange ? makeChange(receipt) : receipt;
  }

  /** The frames that end every stream: the bill and [DONE], or a plain word that it did not end. */
  async function finish(failure: unknown): Promise<void> {
    ended = true;
    patience?.abort();
    const facts = stream.end();
    for (const out of facts.rest) ready.push(out);
    const receipt = await settle(facts);
    const failed = failure ?? (facts.complete ? undefined : new NodeError('upstream_error', TRUNCATED));
    if (failed !== undefined && !facts.errorSeen) ready.push(errorFrame(brokenOff(failed), receipt));
    if (failed === undefined && !facts.finishSeen && !facts.errorSeen)
      ready.push(finishFrame(facts, settlement));
    if (includeUsage) ready.push(usageFrame(facts, settlement.model, receipt));
    ready.push(DONE);
  }

  /** One chunk costs one promise here: a stream has thousands, and each layer of async would add three. */
  function next(): Promise<Result> {
    if (ready.length > 0) return Promise.resolve(nextReady());
    if (ended) return Promise.resolve(END);
    return stream.closed() ? over() : source.take(taken, broken);
  }

  const nextReady = (): Result => ({ done: false, value: ready.shift() as Buffer });

  function over(): Promise<Result> {
    void readOff(source, parts);
    return finish(undefined).then(next);
  }

  function taken(part: Result): Result | Promise<Result> {
    if (part.done) return finish(undefined).then(next);
    let passed: readonly Buffer[];
    try {
      passed = stream.push(part.value);
    } catch (error) {
      return broken(error);
    }
    // Nearly always: the chunk goes through as it came.
    if (passed.length === 1 && passed[0] === part.value) return part;
    for (const out of passed) ready.push(out);
    return ready.length > 0 ? nextReady() : next();
  }

  function broken(error: unknown): Promise<Result> {
    cancel(work);
    return finish(error ?? new NodeError('upstream_error', TRUNCATED)).then(next);
  }

  /** The client left. Without output nothing is owed; else the upstream has a while to report the exact usage. */
  let patience: AbortController | undefined;
  let left = false;
  function leave(): void {
    if (left || ended) return;
    left = true;
    if (!stream.delivered()) cancel(work);
    else {
      patience = new AbortController();
      void clock.sleep(LIMITS.stream.drainMs, patience.signal).then(() => cancel(work));
    }
  }
  onCancel(gone, leave);

  async function drain(): Promise<void> {
    const room = stream.delivered() && drains.enter();
    if (!room) cancel(work);
    try {
      const chunks = source[Symbol.asyncIterator]();
      for (let part = await chunks.next(); !part.done; part = await chunks.next()) stream.push(part.value);
    } catch (error) {
      log.debug('gateway.drain.ended', { error: errorKind(error) });
    } finally {
      if (room) drains.leave();
      patience?.abort();
      await settle(stream.end());
    }
  }

  let disposed: Promise<void> | undefined;
  async function dispose(): Promise<void> {
    if (ended) {
      // Settled long ago, unless the end itself failed: then the hold must not live as long as the process.
      const charged = settlement.free();
      settled(charged);
      await charged;
      return;
    }
    leave();
    ended = true;
    await drain();
  }

  return {
    status: upstream.status,
    contentType: 'text/event-stream; charset=utf-8',
    chunks: { [Symbol.asyncIterator]: () => ({ next }) },
    receipt,
    replayed: false,
    [Symbol.asyncDispose]: () => (disposed ??= dispose()),
  };
}

/** Nobody waits for what comes after [DONE]; it is read so that the connection to the upstream can be used again. */
async function readOff(
  source: Chunks,
  { work, clock, log }: Pick<StreamParts, 'work' | 'clock' | 'log'>,
): Promise<void> {
  // Nearly always: it ended together with [DONE].
  if (source.ended()) return;
  const late = new AbortController();
  void clock.sleep(LIMITS.stream.afterDoneMs, late.signal).then(() => cancel(work));
  try {
    const chunks = source[Symbol.asyncIterator]();
    while ((await chunks.next()).done !== true);
  } catch (error) {
    log.debug('gateway.stream.rest', { error: errorKind(error) });
  } finally {
    late.abort();
  }
}

const TRUNCATED = 'The AI server broke off its answer. Only what was delivered is charged.';

/** Exact usage if the upstream gave it, an estimate of what was delivered if not, undefined if nothing was. */
export function usageOf(facts: StreamFacts, settlement: Settlement): Usage | undefined {
  if (facts.empty && !(facts.usage && facts.usage.completionTokens > 0)) return undefined;
  return facts.usage ?? settlement.estimate(facts.estimate);
}

function errorFrame(error: NodeError, receipt: Receipt): Buffer {
  const { message, type, wireCode: code } = error;
  const metadata = { status: error.status, charged_msats: receipt.cost.total };
  return frame({ error: { message, type, code, metadata } });
}

/** Some servers send [DONE] without a finish_reason; clients that wait for one ask again and again. */
function finishFrame(facts: StreamFacts, { model }: Settlement): Buffer {
  const choices = facts.endings.map((ending) => ({ ...ending, finish_reason: 'stop' }));
  return frame({ ...head(facts, model), choices });
}

function usageFrame(facts: StreamFacts, model: string, receipt: Receipt): Buffer {
  const chunk = JSON.stringify({ ...head(facts, model), choices: [] });
  const bill = `"usage":${usageText(receipt, facts.rawUsage)},${answerMembers(receipt).text}`;
  return Buffer.from(`data: ${appendMembers(chunk, bill)}\n\n`);
}

const head = (facts: StreamFacts, model: string): Record<string, unknown> => ({
  id: facts.id ?? 'chatcmpl-0',
  object: 'chat.completion.chunk',
  created: facts.created ?? 0,
  model: facts.model ?? model,
});

/** Reads a stream to its end in memory; any failure is thrown, because nothing has been delivered yet. */
export async function heldStream(parts: StreamParts): Promise<{ body: Buffer; receipt: Receipt }> {
  const { upstream, work, settlement, makeChange, includeUsage } = parts;
  const stream = createChatStream({ choices: parts.choices });
  const kept: Buffer[] = [];
  let bytes = 0;
  try {
    const source = chunksOf(upstream);
    const chunks = source[Symbol.asyncIterator]();
    for (let part = await chunks.next(); part.done !== true; part = await chunks.next()) {
      for (const out of stream.push(part.value)) {
        bytes += out.length;
        kept.push(out);
      }
      if (bytes > LIMITS.upstream.answerBytesMax)
        throw new NodeError('upstream_error', 'The answer is too large.');
      if (stream.closed()) {
        void readOff(source, parts);
        break;
      }
    }
  } catch (error) {
    cancel(work);
    await settlement.free();
    throw brokenOff(error);
  }
  const facts = stream.end();
  kept.push(...facts.rest);
  if (!facts.complete || facts.errorSeen) {
    await settlement.free();
    throw new NodeError('upstream_error', 'The AI server broke off its answer. Nothing was charged.');
  }
  const usage = usageOf(facts, settlement);
  const charged = await (usage ? settlement.charge(usage) : settlement.free());
  const receipt = makeChange ? await makeChange(charged) : charged;
  if (!facts.finishSeen) kept.push(finishFrame(facts, settlement));
  if (includeUsage) kept.push(usageFrame(facts, settlement.model, receipt));
  kept.push(DONE);
  return { body: Buffer.concat(kept), receipt };
}
