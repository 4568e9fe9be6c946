import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { systemClock } from '../../src/base/time.ts';
import { createHttpChannel } from '../../src/client/channel-http.ts';

async function served(answer: RequestListener, host = '127.0.0.1', allowPrivate = true) {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `http://${host}:${(server.address() as AddressInfo).port}`;
  const credential = { bearer: new Secret<string>('sk-test') };
  return {
    channel: createHttpChannel({ url, allowPrivate, credential, clock: systemClock }),
    asked: () => asked,
  };
}
const get = { method: 'GET', path: '/v1/models' } as const;

test('an answer is read whole, or event by event as it comes', async () => {
  const { channel } = await served((request, response) => {
    expect(request.headers.authorization).toBe('Bearer sk-test');
    if (request.url === '/v1/models') return void response.end('{"data":"é"}');
    response.setHeader('content-type', 'text/event-stream');
    response.write('data: {"a":1}\n\nda');
    setImmediate(() => response.end('ta: {"a":2}\r\n\r\n'));
  });
  expect(await channel.ask(get)).toEqual({ status: 200, json: { data: 'é' } });
  const events: string[] = [];
  const asked = { method: 'POST', path: '/v1/chat/completions', body: {} } as const;
  expect(await channel.ask({ ...asked, onEvent: (data) => events.push(data) })).toEqual({
    status: 200,
    json: undefined,
  });
  expect(events).toEqual(['{"a":1}', '{"a":2}']);
});

test.each(['127.0.0.1', 'localhost'])(
  'an announced address that leads to a private network, %s, is not contacted',
  async (host) => {
    const { channel, asked } = await served((_request, response) => response.end('{}'), host, false);
    await expect(channel.ask(get)).rejects.toMatchObject({
      name: 'ChannelFailure',
      message: expect.stringContaining('is private and was not contacted') as string,
      cancelled: false,
    });
    expect(asked()).toBe(0);
  },
);

test('a node that sends elsewhere is not followed', async () => {
  const { channel, asked } = await served((_request, response) =>
    response.writeHead(302, { location: '/v1/elsewhere' }).end(),
  );
  await expect(channel.ask(get)).rejects.toMatchObject({ name: 'ChannelFailure' });
  expect(asked()).toBe(1);
});

test.each([false, true])(
  'whoever gives up is told so, before the answer or within it (%s)',
  async (begun) => {
    const stop = new AbortController();
    const { channel } = await served((_request, response) => {
      if (!begun) return stop.abort();
      response.setHeader('content-type', 'text/event-stream');
      response.write('data: {}\n\n');
    });
    const answer = channel.ask({ ...get, onEvent: () => stop.abort(), signal: stop.signal });
    await expect(answer).rejects.toMatchObject({ name: 'ChannelFailure', cancelled: true });
  },
);

test('an answer that breaks off is no answer', async () => {
  const { channel } = await served((_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{"a":');
    setImmediate(() => response.destroy());
  });
  await expect(channel.ask(get)).rejects.toMatchObject({ name: 'ChannelFailure', cancelled: false });
});
