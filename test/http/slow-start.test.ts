/** A stream whose AI server thinks for long: its client hears comments meanwhile, and a failure as an error frame. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { Secret } from '../../src/base/secret.ts';
import type { Answer, InferenceRequest } from '../../src/gateway/request.ts';
import { requestId } from '../../src/http/context.ts';
import { replyError } from '../../src/http/error.ts';
import { createPaidRoute } from '../../src/http/paid.ts';

const stream = (text: string): Answer => ({
  status: 200,
  contentType: 'text/event-stream; charset=utf-8',
  chunks: {
    async *[Symbol.asyncIterator]() {
      yield Buffer.from(text);
    },
  },
  receipt: new Promise(() => undefined),
  replayed: false,
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

/** A face over a gateway that is told when to answer. */
async function slowFace(
  silenceMs: number,
  { streams = true, headers = {} }: { streams?: boolean; headers?: Record<string, string> } = {},
) {
  let answer: (answer: Answer) => void = () => undefined;
  let fail: (error: NodeError) => void = () => undefined;
  let asked: (request: InferenceRequest) => void = () => undefined;
  const request = new Promise<InferenceRequest>((resolve) => (asked = resolve));
  const serve = (given: InferenceRequest): Promise<Answer> => {
    if (streams) given.streaming?.();
    asked(given);
    return new Promise((resolve, reject) => {
      answer = resolve;
      fail = reject;
    });
  };
  const paid = createPaidRoute({ gateway: { serve }, endpoint: 'chat/completions', silenceMs });
  const server = createServer((req, res) => {
    paid(req, res).catch((error: unknown) => replyError(res, requestId(req), error as NodeError));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const reply = fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{}',
  });
  await request;
  return { reply, answer: (given: Answer) => answer(given), fail: (error: NodeError) => fail(error) };
}

test('the head of a stream goes ahead of an answer that takes long, and the answer follows', async () => {
  const { reply, answer } = await slowFace(5);
  const { status, headers, body } = await reply;
  expect([status, headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
  expect(headers.get('x-request-id')).toMatch(/^req_/);
  expect(headers.get('x-accel-buffering')).toBe('no');
  answer(stream('data: 1\n\ndata: [DONE]\n\n'));
  expect(await new Response(body).text()).toBe('data: 1\n\ndata: [DONE]\n\n');
});

test('a failure after that is an error frame with all that its status and headers would have said', async () => {
  const change = new Secret('cashuBchange');
  const { reply, fail } = await slowFace(5, { headers: { 'x-cashu': 'cashuBa', 'x-cashu-change': 'claim' } });
  const answer = await reply;
  fail(new NodeError('upstream_timeout', 'Too slow.', { change, metadata: { upstream_status: 504 } }));
  const text = await answer.text();
  const [frame = '', ...rest] = text.split('\n\n');
  expect(JSON.parse(frame.replace('data: ', ''))).toEqual({
    error: {
      message: 'Too slow.',
      type: 'timeout',
      code: 'upstream_timeout',
      metadata: {
        status: 504,
        upstream_status: 504,
        request_id: answer.headers.get('x-request-id'),
        refund_available: true,
      },
    },
  });
  expect(rest).toEqual(['data: [DONE]', '']);
});

test('an early failure keeps its status, and so does every answer that is no live stream', async () => {
  const early = await slowFace(600_000);
  early.fail(new NodeError('upstream_error', 'No.'));
  expect((await early.reply).status).toBe(502);
  for (const options of [{ streams: false }, { headers: { 'x-cashu': 'cashuBa' }, streams: false }]) {
    const late = await slowFace(1, options);
    await new Promise((resolve) => setTimeout(resolve, 20));
    late.fail(new NodeError('upstream_error', 'No.'));
    expect((await late.reply).status).toBe(502);
  }
});
