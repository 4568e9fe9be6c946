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
import type { Watch, Watched } from './watch.ts';

export interface Exchange {
  handler: Dispatcher.DispatchHandler;
  /** Resolves with the head of the answer; rejects if none comes. */
  started: Promise<void>;
  /** Only after `started`. */
  head: () => Head;
  /** Can be read once. Whoever stops reading early closes the connection. */
  chunks: AsyncIterable<Buffer>;
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

export function createExchange({ clock, watch, timeouts, work }: ExchangeOptions): Exchange {
  let controller: Dispatcher.DispatchController | undefined;
  let head: Head | undefined;
  /** Bytes that came before anybody asked for them; `first` is the next to be given. */
  let ready: Buffer[] = [];
  let first = 0;
  let readyBytes = 0;
  let totalBytes = 0;
  /** The reader who waits for the next chunk. */
  let give: ((result: Result) => void) | undefined;
  let refuseNext: (error: Error) => void = () => undefined;
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
    if (give !== undefined) refuseNext(error);
    give = undefined;
  }

  const onCancelled = (): void => fail(work.reason ?? new Cancelled('cancelled'));

  function take(chunk: Buffer): void {
    totalBytes += chunk.length;
    if (totalBytes > LIMITS.upstream.answerBytesMax) {
      fail(new NodeError('upstream_error', 'The answer of the AI server is too large.'));
      return;
    }
    watched.deadline = clock.monotonic() + timeouts.idleMs;
    if (give !== undefined) {
      const resolve = give;
      give = undefined;
      resolve({ done: false, value: chunk });
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

  function next(): Promise<Result> {
    const chunk = ready[first];
    if (chunk !== undefined) {
      first++;
      readyBytes -= chunk.length;
      if (first === ready.length) {
        ready = [];
        first = 0;
        flow();
      }
      return Promise.resolve({ done: false, value: chunk });
    }
    if (failure !== undefined) return Promise.reject(failure);
    if (ended) return Promise.resolve(END);
    return new Promise(wait);
  }

  const wait = (resolve: (result: Result) => void, reject: (error: Error) => void): void => {
    give = resolve;
    refuseNext = reject;
  };

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
    next,
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
    chunks: { [Symbol.asyncIterator]: () => iterator },
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
      onResponseData: (_controller, chunk) => take(chunk),
      onResponseEnd: () => {
        if (failure !== undefined) return;
        ended = true;
        finish();
        give?.(END);
        give = undefined;
      },
      onResponseError: (_controller, error) => fail(breakdown(error, head !== undefined)),
    },
  };
}

const TOO_SLOW = 'The AI server did not answer in time. Nothing is charged for what did not come.';
