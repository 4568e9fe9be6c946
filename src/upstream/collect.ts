/**
 * Collect: one request whose answer is wanted as a whole. The same rules as an exchange, without the iterator: half of
 * a node's answers are small JSON bodies, and each layer between socket and reader costs them as much as their bytes.
 */
import type { Dispatcher } from 'undici';
import { Cancelled, type Cancel, offCancel, onCancel } from '../base/cancel.ts';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { breakdown } from './breakdown.ts';
import { type Head, headOf } from './head.ts';
import type { Watch, Watched } from './watch.ts';

export interface Collected {
  head: Head;
  body: Buffer;
}

/** Resolves with the whole answer, whatever its status; rejects like an exchange that breaks off. */
export function collect(
  parts: {
    clock: Clock;
    watch: Watch;
    timeouts: { firstByteMs: number; idleMs: number };
    work: Cancel;
  },
  dispatch: (handler: Dispatcher.DispatchHandler) => void,
): Promise<Collected> {
  const { clock, watch, timeouts, work } = parts;
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let head: Head | undefined;
    let body: Buffer | undefined;
    let more: Buffer[] | undefined;
    let bytes = 0;
    let over = false;

    function finish(): void {
      over = true;
      watch.remove(watched);
      offCancel(work, onCancelled);
    }
    function fail(error: Error): void {
      if (over) return;
      finish();
      controller?.abort(error);
      reject(error);
    }
    const onCancelled = (): void => fail(work.reason ?? new Cancelled('cancelled'));
    const watched: Watched = {
      deadline: clock.monotonic() + timeouts.firstByteMs,
      expire: () =>
        fail(new NodeError('upstream_timeout', 'The AI server did not answer in time. Nothing was charged.')),
      place: undefined,
    };

    if (work.cancelled) {
      reject(work.reason ?? new Cancelled('cancelled'));
      return;
    }
    onCancel(work, onCancelled);
    watch.add(watched);
    dispatch({
      // Without this a request that failed while it waited for a connection would be sent after all.
      onRequestStart: (started) => {
        controller = started;
        if (over) started.abort(new Error('cancelled'));
      },
      onResponseStart: (_controller, status, headers) => {
        if (status >= 200) head = headOf(status, headers);
      },
      onResponseData: (_controller, chunk) => {
        bytes += chunk.length;
        if (head !== undefined && head.status > 299 && bytes > LIMITS.upstream.errorBytesMax) {
          // What an error page says beyond this is not worth reading.
          finish();
          controller?.abort(new Error('enough'));
          resolve({ head, body: Buffer.alloc(0) });
          return;
        }
        if (bytes > LIMITS.upstream.answerBytesMax) {
          fail(new NodeError('upstream_error', 'The answer of the AI server is too large.'));
          return;
        }
        watched.deadline = clock.monotonic() + timeouts.idleMs;
        if (body === undefined) body = chunk;
        else if (more === undefined) more = [body, chunk];
        else more.push(chunk);
      },
      onResponseEnd: () => {
        if (over || head === undefined) return;
        finish();
        resolve({ head, body: more ? Buffer.concat(more) : (body ?? Buffer.alloc(0)) });
      },
      onResponseError: (_controller, error) => fail(breakdown(error, head !== undefined)),
    });
  });
}
