import { type Cancel, cancel, newCancel } from '../../src/base/cancel.ts';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { silentLogger, type Logger } from '../../src/base/log.ts';
import { Secret } from '../../src/base/secret.ts';
import { systemClock, type Clock } from '../../src/base/time.ts';
import { createTestModel, type TestModel } from '../../src/demo/model.ts';
import { createOpenAiUpstream, type OpenAiUpstreamOptions } from '../../src/upstream/openai.ts';
import type { Upstream, UpstreamAnswer } from '../../src/upstream/upstream.ts';

const KEY = 'sk-test-operator-0123456789';
let model: TestModel;
const open: { close: () => Promise<void> }[] = [];

beforeEach(async () => {
  model = await createTestModel();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
  await model.close();
});

function connect(url: string, options: Partial<OpenAiUpstreamOptions> = {}): Upstream {
  const upstream = createOpenAiUpstream({
    id: 'echo',
    baseUrl: `${url}/v1`,
    apiKey: new Secret(KEY),
    clock: systemClock,
    log: silentLogger,
    ...options,
  });
  open.push(upstream);
  return upstream;
}

/** A server of its own for what the test model cannot do. */
async function serve(handler: (req: IncomingMessage, res: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const body = (more: object = {}): Buffer =>
  Buffer.from(
    JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'one two three' }], ...more }),
  );
const ask = (upstream: Upstream, more: { stream?: boolean; work?: Cancel; max_tokens?: number } = {}) =>
  upstream.complete({
    path: '/chat/completions',
    body: body({ stream: more.stream ?? false }),
    stream: more.stream ?? false,
    work: more.work ?? newCancel(),
  });

/** The bytes of an answer, however they came. */
async function* chunksOf(answer: UpstreamAnswer): AsyncGenerator<Buffer> {
  if (answer.whole !== undefined) yield answer.whole;
  if (answer.chunks !== undefined) yield* answer.chunks;
}
async function text(answer: UpstreamAnswer): Promise<string> {
  const parts: Buffer[] = [];
  for await (const chunk of chunksOf(answer)) parts.push(chunk);
  return Buffer.concat(parts).toString('utf8');
}
async function take(iterator: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  const result = await iterator.next();
  return result.done === true ? undefined : result.value;
}
const failure = async (promise: Promise<unknown>): Promise<NodeError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(NodeError);
  return error as NodeError;
};
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await systemClock.sleep(2);
}

describe('an answer', () => {
  test('comes as the upstream sent it', async () => {
    const answer = await ask(connect(model.url));
    expect(answer).toMatchObject({ status: 200, contentType: 'application/json' });
    expect(JSON.parse(await text(answer))).toMatchObject({
      choices: [{ message: { content: 'one two three' }, finish_reason: 'stop' }],
    });
  });

  test('streams', async () => {
    const answer = await ask(connect(model.url), { stream: true });
    expect(answer.contentType).toContain('text/event-stream');
    expect(await text(answer)).toMatch(/^data: \{.*data: \[DONE\]\n\n$/s);
  });

  test('is asked for with our headers alone (T19)', async () => {
    await text(await ask(connect(model.url)));
    const { headers } = model.requests[0] ?? { headers: {} };
    expect(Object.keys(headers).sort()).toEqual([
      'accept',
      'accept-encoding',
      'authorization',
      'connection',
      'content-length',
      'content-type',
      'host',
      'user-agent',
    ]);
    expect(headers).toMatchObject({
      accept: 'application/json',
      'accept-encoding': 'identity',
      authorization: `Bearer ${KEY}`,
      'user-agent': 'routstr-node',
    });
  });

  test('reuses its connection', async () => {
    let connections = 0;
    const url = await serve((_req, res) => res.end('{}'));
    const upstream = connect(await counting(url, () => connections++));
    for (let i = 0; i < 20; i++) await text(await ask(upstream));
    // A connection rests for one turn of the event loop before it is used again, so that two take turns.
    expect(connections).toBeLessThanOrEqual(2);
  });

  test('lists the models', async () => {
    expect(await connect(model.url).listModels(new AbortController().signal)).toMatchObject({
      data: [{ id: 'echo' }],
    });
  });
});

describe('an upstream that refuses', () => {
  test.each([
    ['status-401', 502, 'upstream_error'],
    ['status-402', 502, 'upstream_error'],
    ['status-500', 502, 'upstream_error'],
    ['html-200', 502, 'upstream_error'],
    ['status-429', 429, 'rate_limited'],
    ['status-400', 400, 'upstream_rejected'],
  ] as const)('%s is %i %s for the client', async (fault, status, code) => {
    model.failNext(fault);
    const error = await failure(ask(connect(model.url)));
    expect([error.status, error.code]).toEqual([status, code]);
    expect(`${error.message}${JSON.stringify(error.options)}`).not.toMatch(/canary|org-test|internal/);
  });

  test('says how long to wait', async () => {
    model.failNext('status-429');
    expect((await failure(ask(connect(model.url)))).options.retryAfterMs).toBe(7_000);
  });

  test('leaves the connection usable', async () => {
    const upstream = connect(model.url);
    model.failNext('status-400');
    await failure(ask(upstream));
    expect(await text(await ask(upstream))).toContain('one two three');
    await until(() => model.stats.open === 0);
  });

  test('an answer that is compressed although it was not asked for is refused (T23)', async () => {
    const url = await serve((_req, res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end('x'));
    expect((await failure(ask(connect(url)))).code).toBe('upstream_error');
  });

  test('a redirect is not followed', async () => {
    const url = await serve((_req, res) => res.writeHead(302, { location: model.url }).end());
    expect((await failure(ask(connect(url)))).code).toBe('upstream_error');
    expect(model.stats.total).toBe(0);
  });

  test('an endless error page is not read to its end', async () => {
    let closed = false;
    const url = await serve((_req, res) => {
      res.on('close', () => (closed = true));
      res.writeHead(400);
      const write = (): void => {
        while (!res.destroyed && res.write(Buffer.alloc(16_384, 0x61)));
      };
      res.on('drain', write);
      write();
    });
    expect((await failure(ask(connect(url)))).code).toBe('upstream_rejected');
    await until(() => closed);
  });
});

describe('an upstream that breaks', () => {
  test('cannot be reached', async () => {
    const gone = await createTestModel();
    await gone.close();
    expect((await failure(ask(connect(gone.url)))).code).toBe('upstream_unavailable');
  });

  test('answers something that is not HTTP', async () => {
    const server = createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n\r\n'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const error = await failure(ask(connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)));
    expect(error.code).toBe('upstream_unavailable');
    server.close();
  });

  test('breaks off a JSON answer whose length it had announced', async () => {
    model.failNext('truncate');
    expect((await failure(ask(connect(model.url)))).code).toBe('upstream_error');
  });

  test('cuts the connection in the middle of a stream; what came before is delivered', async () => {
    model.failNext('cut');
    const answer = await ask(connect(model.url), { stream: true });
    const parts: Buffer[] = [];
    const reading = (async () => {
      for await (const chunk of chunksOf(answer)) parts.push(chunk);
    })();
    expect((await failure(reading)).code).toBe('upstream_error');
    expect(Buffer.concat(parts).toString()).toContain('one');
  });
});

describe('patience', () => {
  test('ends before the first byte (T24)', async () => {
    model.failNext('hang');
    const upstream = connect(model.url, { timeouts: { firstByteMs: 40 } });
    expect((await failure(ask(upstream))).code).toBe('upstream_timeout');
    await until(() => model.stats.open === 0);
  });

  test('also with a head that is followed by nothing', async () => {
    const url = await serve((_req, res) =>
      res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders(),
    );
    const answer = await ask(connect(url, { timeouts: { firstByteMs: 400 } }), { stream: true });
    expect((await failure(text(answer))).code).toBe('upstream_timeout');
  });

  test('ends when a stream falls silent', async () => {
    const url = await serve((_req, res) => res.writeHead(200).write('data: 1\n\n'));
    const answer = await ask(connect(url, { timeouts: { idleMs: 40 } }), { stream: true });
    const iterator = chunksOf(answer)[Symbol.asyncIterator]();
    expect((await take(iterator))?.toString()).toBe('data: 1\n\n');
    expect((await failure(iterator.next())).code).toBe('upstream_timeout');
  });

  test('does not end for an upstream that has to wait for its reader', async () => {
    const size = 4 * 1024 * 1024;
    const url = await serve((_req, res) => res.end(Buffer.alloc(size)));
    const answer = await ask(connect(url, { timeouts: { idleMs: 40 } }), { stream: true });
    const iterator = chunksOf(answer)[Symbol.asyncIterator]();
    let bytes = (await take(iterator))?.length ?? 0;
    await systemClock.sleep(120);
    for (let part = await iterator.next(); part.done !== true; part = await iterator.next())
      bytes += part.value.length;
    expect(bytes).toBe(size);
  });

  test('leaves no timer behind', async () => {
    let sleeping = 0;
    const clock: Clock = {
      ...systemClock,
      sleep: async (ms, signal) => {
        sleeping++;
        await systemClock.sleep(ms, signal);
        sleeping--;
      },
    };
    const upstream = connect(model.url, { clock, timeouts: { idleMs: 40 } });
    await text(await ask(upstream, { stream: true }));
    await until(() => sleeping === 0);
    model.pause();
    const gone = newCancel();
    const pending = ask(upstream, { work: gone });
    await until(() => sleeping === 1);
    cancel(gone);
    await expect(pending).rejects.toThrow();
    await until(() => sleeping === 0);
  });
});

describe('a client that leaves', () => {
  test('before the first byte closes the upstream connection', async () => {
    model.pause();
    const gone = newCancel();
    const pending = ask(connect(model.url), { work: gone });
    await until(() => model.stats.open === 1);
    cancel(gone);
    await expect(pending).rejects.toThrow();
    await until(() => model.stats.open === 0);
  });

  test('in the middle of a stream closes the upstream connection', async () => {
    model.chunkDelay(10_000);
    const gone = newCancel();
    const answer = await ask(connect(model.url), { stream: true, work: gone });
    const iterator = chunksOf(answer)[Symbol.asyncIterator]();
    await iterator.next();
    const waiting = iterator.next();
    cancel(gone);
    await expect(waiting).rejects.toThrow();
    await until(() => model.stats.open === 0);
  });

  test('by not reading on closes the upstream connection', async () => {
    model.chunkDelay(10_000);
    const answer = await ask(connect(model.url), { stream: true });
    for await (const _chunk of chunksOf(answer)) break;
    await until(() => model.stats.open === 0);
  });

  test('before a connection was free is never sent', async () => {
    const upstream = connect(model.url, { connections: 1 });
    model.pause();
    const first = ask(upstream);
    await until(() => model.stats.open === 1);
    const gone = newCancel();
    const second = ask(upstream, { work: gone });
    cancel(gone);
    await expect(second).rejects.toThrow();
    model.resume();
    await text(await first);
    await text(await ask(upstream));
    expect(model.stats.total).toBe(2);
  });

  test('before it asked is never sent', async () => {
    const gone = newCancel();
    cancel(gone);
    await expect(ask(connect(model.url), { work: gone })).rejects.toThrow();
    expect(model.stats.total).toBe(0);
  });
});

test('a reader that stalls makes the upstream wait instead of filling the memory', async () => {
  let written = 0;
  const endless = 64 * 1024 * 1024;
  const url = await serve((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const write = (): void => {
      while (!res.destroyed && written < endless) {
        written += 65_536;
        if (!res.write(Buffer.alloc(65_536, 0x61))) return;
      }
    };
    res.on('drain', write);
    write();
  });
  const answer = await ask(connect(url), { stream: true });
  const iterator = chunksOf(answer)[Symbol.asyncIterator]();
  await iterator.next();
  let before = -1;
  // What is written stops growing when the buffers of both sockets are full.
  while (before !== written) {
    before = written;
    await systemClock.sleep(100);
  }
  expect(written).toBeLessThan(endless / 4);
  await iterator.next();
  await iterator.return?.(undefined);
});

test('what goes wrong is logged without keys, texts or addresses', async () => {
  const lines: string[] = [];
  const note = (event: string, fields?: object): void => void lines.push(event + JSON.stringify(fields));
  const log: Logger = { debug: note, info: note, warn: note, error: note };
  const upstream = connect(model.url, { log });
  for (const fault of ['status-401', 'status-402', 'status-400', 'html-200'] as const) {
    model.failNext(fault);
    await failure(ask(upstream));
  }
  expect(lines).toHaveLength(4);
  expect(lines.join('\n')).not.toMatch(/sk-|org-|Bearer|127\.0\.0\.1|refuse this/);
});

/** A port that counts the connections to another. */
async function counting(url: string, onConnection: () => void): Promise<string> {
  const { hostname, port } = new URL(url);
  const { connect: dial } = await import('node:net');
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    onConnection();
    const onward = dial(Number(port), hostname);
    for (const each of [socket, onward]) {
      sockets.add(each);
      each.on('error', () => each.destroy());
    }
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
