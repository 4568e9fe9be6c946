/**
 * Exchange: one request and its answer as undici's handler sees it, turned into an iterable of the body's bytes.
 *
 *   sent ──► answering ──► ended                 all bytes came
 *     │          │  ▲
 *     │          └──┴─ paused, flowing           the reader is slower, faster than the upstream
 *     └──────────┴──► failed                     broken off, out of time, or aborted
 */
import type { Dispatcher } from 'undici';
import { Cancelled, type Cancel, offCancel, onCancel } from '../base/cancel.ts';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { breakdown } from './breakdown.ts';
import { type Head, headOf } from './head.ts';
import type { Chunks } from './upstream.ts';
import type { Watch, Watched } from './watch.ts';

export interface Exchange {
  handler: Dispatcher.DispatchHandler;
  /** Resolves with the head of the answer; rejects if none comes. */
  started: Promise<void>;
  /** Only after `started`. */
  head: () => Head;
  /** Can be read once. Whoever stops reading early closes the connection. */
  chunks: Chunks;
  /** Closes the connection unless the answer has ended. */
  cancel: () => void;
}

export interface ExchangeOptions {
  clock: Clock;
  watch: Watch;
  timeouts: { firstByteMs: number; idleMs: number };
  work: Cancel;
}

type Result = IteratorResult<Buffer, undefined>;
const END: Result = { done: true, value: undefined };
const asItIs = (next: Result): Result => next;
const rethrow = (error: unknown): never => {
  throw error;
};

async function settled<Given, Made>(
  make: (given: Given) => Made | Promise<Made>,
  given: Given,
): Promise<Made> {
  return make(given);
}

export function createExchange({ clock, watch, timeouts, work }: ExchangeOptions): Exchange {
  let controller: Dispatcher.DispatchController | undefined;
  let head: Head | undefined;
  /** Bytes that came before anybody asked for them; `first` is the next to be given. */
  let ready: Buffer[] = [];
  let first = 0;
  let readyBytes = 0;
  let totalBytes = 0;
  /** What the reader who waits for the next chunk makes of it; undefined where none waits. */
  let use: ((next: Result) => unknown) | undefined;
  let failed: (error: unknown) => unknown = rethrow;
  let resolveTaken: (made: unknown) => void = () => undefined;
  let rejectTaken: (error: unknown) => void = () => undefined;
  let ended = false;
  let failure: Error | undefined;
  const watched: Watched = {
    deadline: clock.monotonic() + timeouts.firstByteMs,
    expire: () => fail(new NodeError('upstream_timeout', TOO_SLOW)),
    place: undefined,
  };

  let begin: () => void = () => undefined;
  let refuse: (error: Error) => void = () => undefined;
  const started = new Promise<void>((resolve, reject) => {
    begin = resolve;
    refuse = reject;
  });

  function finish(): void {
    watch.remove(watched);
    offCancel(work, onCancelled);
  }

  function fail(error: Error): void {
    if (ended || failure !== undefined) return;
    failure = error;
    finish();
    controller?.abort(error);
    if (head === undefined) refuse(error);
    deliver(failed, error);
  }

  const onCancelled = (): void => fail(work.reason ?? new Cancelled('cancelled'));

  function receive(chunk: Buffer): void {
    totalBytes += chunk.length;
    if (totalBytes > LIMITS.upstream.answerBytesMax) {
      fail(new NodeError('upstream_error', 'The answer of the AI server is too large.'));
      return;
    }
    watched.deadline = clock.monotonic() + timeouts.idleMs;
    if (use !== undefined) {
      deliver(use, { done: false, value: chunk });
      return;
    }
    ready.push(chunk);
    readyBytes += chunk.length;
    if (readyBytes >= LIMITS.upstream.readAheadBytes) {
      controller?.pause();
      // As long as the reader is the slow one, the upstream owes nothing.
      watched.deadline = Infinity;
    }
  }

  /** To the reader who waits, if one does; `make` may already take the next one. */
  function deliver<Given>(make: (given: Given) => unknown, given: Given): void {
    if (use === undefined) return;
    use = undefined;
    const resolve = resolveTaken;
    const reject = rejectTaken;
    try {
      resolve(make(given));
    } catch (error) {
      reject(error);
    }
  }

  const take: Chunks['take'] = (nextUse, nextFailed) => {
    const chunk = ready[first];
    if (chunk !== undefined) {
      first++;
      readyBytes -= chunk.length;
      if (first === ready.length) {
        ready = [];
        first = 0;
        flow();
      }
      return settled(nextUse, { done: false, value: chunk });
    }
    if (failure !== undefined) return settled(nextFailed, failure);
    if (ended) return settled(nextUse, END);
    use = nextUse;
    failed = nextFailed;
    return new Promise(wait) as Promise<never>;
  };

  function wait(resolve: (made: unknown) => void, reject: (error: unknown) => void): void {
    resolveTaken = resolve;
    rejectTaken = reject;
  }

  function flow(): void {
    if (ended || failure !== undefined || controller?.paused !== true) return;
    watched.deadline = clock.monotonic() + timeouts.idleMs;
    controller.resume();
  }

  function cancel(): void {
    fail(new Error('the reader stopped'));
    ready = [];
    first = 0;
  }

  const iterator: AsyncIterator<Buffer, undefined> = {
    next: () => take(asItIs, rethrow),
    return: () => {
      cancel();
      return Promise.resolve(END);
    },
  };

  if (!work.cancelled) watch.add(watched);
  onCancel(work, onCancelled);

  return {
    started,
    head: () => {
      if (head === undefined) throw new Error('the answer has not begun');
      return head;
    },
    chunks: {
      [Symbol.asyncIterator]: () => iterator,
      take,
      ended: () => ended && ready.length === 0,
    },
    cancel,
    handler: {
      // Without this an exchange that failed while it waited for a connection would be sent after all.
      onRequestStart: (started) => {
        controller = started;
        if (failure !== undefined) started.abort(failure);
      },
      onResponseStart: (_controller, status, headers) => {
        // 1xx are announcements; the answer is still to come.
        if (status < 200) return;
        head = headOf(status, headers);
        begin();
      },
      onResponseData: (_controller, chunk) => receive(chunk),
      onResponseEnd: () => {
        if (failure !== undefined) return;
        ended = true;
        finish();
        if (use !== undefined) deliver(use, END);
      },
      onResponseError: (_controller, error) => fail(breakdown(error, head !== undefined)),
    },
  };
}

const TOO_SLOW = 'The AI server did not answer in time. Nothing is charged for what did not come.';
