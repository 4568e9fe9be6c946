import type { AddressInfo } from 'node:net';
import express from 'express';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RequestId, newRequestId } from '../../src/base/id.ts';
import { createExpressServer, requestId, senderOf } from '../../src/http/context.ts';
import { type InProcessRequest, createInProcess } from '../../src/http/in-process.ts';

const seen: { path: string; sender: string | undefined; id: RequestId }[] = [];
const { app, server } = createExpressServer(undefined, new Map([['/v1/embeddings', note]]));
let gone = 0;

function note(req: Parameters<typeof senderOf>[0], res: { end: (text: string) => void }): void {
  seen.push({ path: req.url ?? '', sender: senderOf(req), id: requestId(req) });
  res.end('noted');
}
app.post('/v1/chat/completions', express.json(), (req, res) => {
  seen.push({ path: req.path, sender: senderOf(req), id: requestId(req) });
  res
    .status(201)
    .set('x-cashu', 'A'.repeat(40_000))
    .json({ got: req.body, q: req.query, type: req.headers.accept });
});
app.get('/v1/models/:id', (_req, res) => {
  res.on('close', () => (gone += 1));
  let sent = 0;
  const more = (): void => {
    while (sent < 2_000) {
      sent += 1;
      if (!res.write('x'.repeat(1_000))) return void res.once('drain', more);
    }
    res.end();
  };
  more();
});
app.get('/v1/info', (req, res) => {
  res.on('close', () => (gone += 1));
  res.write('first');
  req.on('close', () => undefined);
});
app.get('/admin', note);

const inProcess = createInProcess(server);
const sender = 'a'.repeat(64);
const ask = (over: Partial<InProcessRequest>) =>
  inProcess.ask({
    id: newRequestId(),
    method: 'GET',
    path: '/v1/info',
    headers: {},
    body: Buffer.alloc(0),
    sender,
    signal: new AbortController().signal,
    ...over,
  });
const read = async (body: AsyncIterable<Buffer>): Promise<string> => {
  let text = '';
  for await (const chunk of body) text += chunk.toString();
  return text;
};

beforeAll(async () => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => server.close());

test('the handlers of the network answer, with body, query, headers, id and sender', async () => {
  const id = newRequestId();
  const answer = await ask({
    id,
    method: 'POST',
    path: '/v1/chat/completions?a=b',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: Buffer.from('{"é":1}'),
  });
  expect(answer.status).toBe(201);
  expect(answer.headers['x-cashu']).toHaveLength(40_000);
  expect(JSON.parse(await read(answer.body))).toEqual({
    got: { é: 1 },
    q: { a: 'b' },
    type: 'text/event-stream',
  });
  expect(seen.at(-1)).toEqual({ path: '/v1/chat/completions', sender, id });
});

test('the path that skips the routes knows the sender too', async () => {
  const answer = await ask({ method: 'POST', path: '/v1/embeddings', body: Buffer.from('{}') });
  expect(await read(answer.body)).toBe('noted');
  expect(seen.at(-1)).toMatchObject({ path: '/v1/embeddings', sender });
});

test('nobody from the network has a sender, whatever his headers say', async () => {
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/v1/embeddings`, {
    method: 'POST',
    headers: { sender, 'x-sender': sender, host: 'direct-message' },
  });
  expect(await response.text()).toBe('noted');
  expect(seen.at(-1)?.sender).toBeUndefined();
});

test('a long answer waits for its reader and arrives whole', async () => {
  const answer = await ask({ path: '/v1/models/long' });
  await new Promise((resolve) => setImmediate(resolve));
  expect((await read(answer.body)).length).toBe(2_000_000);
});

test('a client that leaves is seen to leave', async () => {
  const before = gone;
  const leave = new AbortController();
  const answer = await ask({ signal: leave.signal });
  const reading = read(answer.body);
  leave.abort();
  await expect(reading).rejects.toThrow();
  await expect.poll(() => gone).toBe(before + 1);
  await expect(ask({ signal: AbortSignal.abort() })).rejects.toThrow();
});

test.each([
  '/admin',
  '/v1/admin',
  '/metrics',
  '/livez',
  '/',
  '/v1/balance/../../admin',
  '/v1/balance/%2e%2e/admin',
  '/V1/info',
  '//v1/info',
  '/v1/chat/completions/../../admin',
])('%s is not for direct messages', async (path) => {
  await expect(ask({ path })).rejects.toMatchObject({ code: 'not_found' });
});
