/** A stream as its reader takes it: chunk by chunk, each made into something as it comes. */
import type { Dispatcher } from 'undici';
import { expect, test } from 'vitest';
import { newCancel } from '../../src/base/cancel.ts';
import { createExchange } from '../../src/upstream/exchange.ts';
import type { Chunks } from '../../src/upstream/upstream.ts';

/** An exchange whose upstream does what it is told to. */
function begun() {
  const aborted: unknown[] = [];
  const controller = {
    aborted: false,
    paused: false,
    reason: null,
    abort: (reason: unknown) => aborted.push(reason),
    pause: () => undefined,
    resume: () => undefined,
  } as unknown as Dispatcher.DispatchController;
  const { handler, chunks } = createExchange({
    clock: { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() },
    watch: { add: () => undefined, remove: () => undefined, close: () => undefined },
    timeouts: { firstByteMs: 1_000, idleMs: 1_000 },
    work: newCancel(),
  });
  handler.onRequestStart?.(controller, null);
  handler.onResponseStart?.(controller, 200, {}, 'OK');
  return {
    chunks,
    aborted,
    comes: (text: string) => handler.onResponseData?.(controller, Buffer.from(text)),
    ends: () => handler.onResponseEnd?.(controller, {}),
    breaks: () => handler.onResponseError?.(controller, new Error('socket')),
  };
}

type Next = Parameters<Parameters<Chunks['take']>[0]>[0];
const textOf = (next: Next): string => (next.done === true ? '(end)' : next.value.toString());
const never = (): never => {
  throw new Error('nothing failed');
};

test('a chunk is made into something as it comes, and the reader may take the next one while it does', async () => {
  const { chunks, comes, ends } = begun();
  const made: string[] = [];
  const later: Promise<void>[] = [];
  const use = (next: Next): void => {
    made.push(textOf(next));
    if (next.done !== true) later.push(chunks.take(use, never));
  };
  later.push(chunks.take(use, never));
  comes('a');
  expect(made).toEqual(['a']);
  comes('b');
  expect(made).toEqual(['a', 'b']);
  expect(chunks.ended()).toBe(false);
  ends();
  expect(made).toEqual(['a', 'b', '(end)']);
  await Promise.all(later);
});

test('what came before it was asked for is given first, then the end, as often as it is asked for', async () => {
  const { chunks, comes, ends } = begun();
  comes('a');
  comes('b');
  ends();
  expect(chunks.ended()).toBe(false);
  expect(await chunks.take(textOf, never)).toBe('a');
  expect(await chunks.take(textOf, never)).toBe('b');
  expect(chunks.ended()).toBe(true);
  expect(await chunks.take(textOf, never)).toBe('(end)');
  expect(await chunks.take(textOf, never)).toBe('(end)');
});

test('a stream that breaks off gives its reader what it makes of the failure, now and later', async () => {
  const { chunks, breaks } = begun();
  const use = (): string => 'a chunk';
  const failed = (error: unknown): string => (error as { code: string }).code;
  const waiting = chunks.take(use, failed);
  breaks();
  expect(await waiting).toBe('upstream_error');
  expect(await chunks.take(use, failed)).toBe('upstream_error');
  expect(chunks.ended()).toBe(false);
});

test('what the reader itself throws is its own failure and no one else’s', async () => {
  const { chunks, comes, ends, aborted } = begun();
  const careless = (): never => {
    throw new Error('of the reader');
  };
  const waiting = chunks.take(careless, never);
  comes('a');
  await expect(waiting).rejects.toThrow('of the reader');
  comes('b');
  await expect(chunks.take(careless, never)).rejects.toThrow('of the reader');
  ends();
  expect(await chunks.take(textOf, never)).toBe('(end)');
  expect(aborted).toEqual([]);
});
