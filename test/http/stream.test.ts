import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { newRequestId } from '../../src/base/id.ts';
import type { Answer } from '../../src/gateway/request.ts';
import { sendStream } from '../../src/http/stream.ts';

afterEach(() => vi.useRealTimers());

/** An answer whose chunks come when they are told to. */
function toldAnswer() {
  const waiting: ((chunk: IteratorResult<Buffer>) => void)[] = [];
  const next = () => new Promise<IteratorResult<Buffer>>((resolve) => waiting.push(resolve));
  const tell = async (chunk: string | undefined): Promise<void> => {
    await vi.waitFor(() => expect(waiting.length).toBeGreaterThan(0));
    const result: IteratorResult<Buffer> =
      chunk === undefined ? { done: true, value: undefined } : { done: false, value: Buffer.from(chunk) };
    waiting.shift()?.(result);
  };
  const answer: Answer = {
    status: 200,
    contentType: 'text/event-stream',
    chunks: { [Symbol.asyncIterator]: () => ({ next }) },
    receipt: new Promise(() => undefined),
    replayed: false,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { answer, tell };
}

test('a silent stream gets a comment within fifteen seconds, whenever its last chunk came, and never inside an event', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const { answer, tell } = toldAnswer();
  const server = createServer((_req, res) => void sendStream(res, newRequestId(), answer));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const reply = await fetch(`http://127.0.0.1:${port}/`);
  let text = '';
  const reading = (async () => {
    for await (const part of reply.body ?? []) text += Buffer.from(part as Uint8Array).toString();
  })();
  for (const quiet of [100, 2_400, 4_900, 9_900]) {
    vi.advanceTimersByTime(quiet);
    text = '';
    await tell(`data: ${quiet}\n\n`);
    await vi.waitFor(() => expect(text).toContain(`data: ${quiet}`));
    vi.advanceTimersByTime(15_000);
    await vi.waitFor(() => expect(text.endsWith(`data: ${quiet}\n\n: keepalive\n\n`)).toBe(true));
  }
  await tell(undefined);
  await reading;
  server.close();
});
