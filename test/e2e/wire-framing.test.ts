import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestWorld, MODEL, chat, testWorld } from './support.ts';
import { type RawReply, dial, parse, raw, request } from './wire-kit.ts';

let world: TestWorld;
let key: string;

beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false } });
  key = await world.key(50);
});
afterAll(() => world.close());

const body = JSON.stringify(chat('framed'));
const paid = (headers: readonly string[], content = body): string =>
  request(
    'POST /v1/chat/completions',
    ['content-type: application/json', `authorization: Bearer ${key}`, ...headers],
    content,
  );

/** Every refusal has the envelope and the same id in the header and in the body. */
function expectEnvelope(reply: RawReply): void {
  expect(reply.json.error.message).toBeTypeOf('string');
  expect(reply.json.error.code).toBeTypeOf('string');
  expect(reply.json.detail.error).toEqual(reply.json.error);
  expect(reply.headers['x-request-id']).toBe(reply.json.request_id);
  expect(reply.headers['request-id']).toBe(reply.json.request_id);
  expect(reply.headers['x-routstr-request-id']).toBe(reply.json.request_id);
  expect(reply.headers['access-control-allow-origin']).toBe('*');
}

test.each<[string, () => string | Buffer, number]>([
  ['H1 without Host', () => 'GET /v1/info HTTP/1.1\r\n\r\n', 400],
  ['H2 with two Hosts', () => 'GET /v1/info HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  ['H3 of HTTP/0.9', () => 'GET /v1/info\r\n\r\n', 400],
  ['H4 of HTTP/3', () => 'GET /v1/info HTTP/3.0\r\nhost: a\r\n\r\n', 400],
  ['H4 with the preface of HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['H4 that is TLS', () => Buffer.from('16030100a5010000a10303', 'hex'), 400],
  ['H4 with bare line feeds', () => 'GET /v1/info HTTP/1.1\nhost: a\n\n', 400],
  ['H5 with an unknown method', () => request('FOO /v1/info'), 400],
  ['H7 for another host', () => request('GET http://169.254.169.254/v1/info'), 400],
  [
    'H8 with a length and chunks',
    () => paid(['content-length: 3', 'transfer-encoding: chunked'], '0\r\n\r\n'),
    400,
  ],
  ['H9 with two lengths', () => paid(['content-length: 3', 'content-length: 4'], 'abcd'), 400],
  ['H9 with equal lengths', () => paid(['content-length: 3', 'content-length: 3'], 'abc'), 400],
  ['H9 with a negative length', () => paid(['content-length: -1']), 400],
  ['H9 with a length in hex', () => paid(['content-length: 0x10']), 400],
  ['H9 with a list of lengths', () => paid(['content-length: 5, 5'], 'abcde'), 400],
  ['H10 with a length beyond all numbers', () => paid(['content-length: 9223372036854775808']), 413],
  ['H11 with an unknown coding', () => paid(['transfer-encoding: xchunked'], '0\r\n\r\n'), 400],
  [
    'H12 with chunks in HTTP/1.0',
    () => paid(['transfer-encoding: chunked'], '0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0'),
    400,
  ],
  [
    'H13 with chunks that are not last',
    () => paid(['transfer-encoding: chunked, identity'], '0\r\n\r\n'),
    400,
  ],
  ['H13 with a space before a colon', () => request('GET /v1/info', ['x-a : b']), 400],
  ['H13 with a folded header', () => request('GET /v1/info', ['x-a: b', ' c']), 400],
  ['H13 with a NUL in a header', () => request('GET /v1/info', ['x-a: b\0c']), 400],
  ['H13 with a space in a name', () => request('GET /v1/info', ['x a: b']), 400],
  ['H14 with a chunk size that is none', () => paid(['transfer-encoding: chunked'], 'zz\r\n'), 400],
  [
    'H14 with a chunk size beyond all numbers',
    () => paid(['transfer-encoding: chunked'], 'fffffffffffffffff\r\n'),
    400,
  ],
  [
    'H15 with an endless chunk extension',
    () => paid(['transfer-encoding: chunked'], `1;${'a'.repeat(20_000)}\r\n`),
    413,
  ],
  ['H17 with 70 kB of headers', () => request('GET /v1/info', [`x-big: ${'a'.repeat(70_000)}`]), 431],
  ['H17 with an address of 70 kB', () => request(`GET /v1/info?a=${'a'.repeat(70_000)}`), 431],
  [
    'H18 with 2,500 headers',
    () =>
      request(
        'GET /v1/info',
        Array.from({ length: 2_500 }, (_, i) => `x${i}: a`),
      ),
    431,
  ],
  ['H21 that expects a banana', () => paid([`content-length: ${body.length}`, 'expect: banana']), 417],
])('a request %s is refused in the envelope', async (_what, bytes, status) => {
  const reply = await raw(world.url, bytes());
  expect(reply.status).toBe(status);
  expectEnvelope(reply);
});

test('H6 TRACE is not allowed, and CONNECT opens no tunnel', async () => {
  const trace = await raw(world.url, request('TRACE /v1/info'));
  expect([trace.status, trace.json.error.code]).toEqual([405, 'method_not_allowed']);
  expect(trace.headers['allow']).toBe('GET');
  const tunnel = await raw(world.url, 'CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: a\r\n\r\n');
  expect(tunnel.text).not.toContain(' 200 ');
});

test('H11 bytes behind a refused request are not taken for another one', async () => {
  const inner = paid([`content-length: ${body.length}`]);
  const before = world.model.stats.total;
  const reply = await raw(world.url, paid(['transfer-encoding: xchunked'], inner));
  expect(reply.status).toBe(400);
  expect(reply.headers['connection']).toBe('close');
  const again = await world.get('/livez');
  expect(again.status).toBe(200);
  expect(world.model.stats.total).toBe(before);
});

test('H16 credentials in a trailer do not count', async () => {
  const size = body.length.toString(16);
  const chunked = `${size}\r\n${body}\r\n0\r\nauthorization: Bearer ${key}\r\n\r\n`;
  const reply = await raw(
    world.url,
    request(
      'POST /v1/chat/completions',
      ['content-type: application/json', 'transfer-encoding: chunked', 'trailer: authorization'],
      chunked,
    ),
  );
  expect([reply.status, reply.json.error.code]).toEqual([402, 'payment_required']);
});

test('H19 two of the same credential are ambiguous, whichever it is', async () => {
  const length = `content-length: ${body.length}`;
  for (const extra of [
    [`Authorization: Bearer sk-${'1'.repeat(64)}`],
    ['x-cashu: cashuBaaa', 'X-Cashu: cashuBbbb'],
  ]) {
    const reply = await raw(world.url, paid([length, ...extra]));
    expect([reply.status, reply.json.error.code]).toEqual([400, 'ambiguous_credentials']);
    expectEnvelope(reply);
  }
  const twice = request('GET /v1/wallet/info', [`x-api-key: ${key}`, `x-api-key: ${key}`]);
  expect((await raw(world.url, twice)).json.error.code).toBe('ambiguous_credentials');
});

test('H22 an upgrade is ignored: the request is answered as if it had not asked', async () => {
  for (const protocol of ['h2c', 'websocket']) {
    const reply = await raw(
      world.url,
      request('GET /v1/chat/completions', ['connection: upgrade', `upgrade: ${protocol}`]),
    );
    expect([reply.status, reply.json.error.code]).toEqual([405, 'method_not_allowed']);
  }
});

test('H25 a body that ends early is refused, and nothing stays reserved', async () => {
  const reply = await raw(world.url, paid(['content-length: 5000'], '{"model"'), { fin: true });
  expect(reply.status).toBe(400);
  const { json } = await world.get('/v1/wallet/info', { authorization: `Bearer ${key}` });
  expect([json.balance, json.reserved]).toEqual([50_000, 0]);
});

test('a request with Expect: 100-continue is asked to go on and is served', async () => {
  const socket = await dial(world.url);
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
  socket.write(paid([`content-length: ${body.length}`, 'expect: 100-continue', 'connection: close'], ''));
  while (!text.includes('100 Continue')) await once(socket, 'data');
  socket.write(body);
  await once(socket, 'end');
  socket.destroy();
  expect(parse(text.slice(text.indexOf('\r\n\r\n') + 4)).status).toBe(200);
});

test('rubbish behind a request never lands in the middle of its answer', async () => {
  const socket = await dial(world.url);
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
  world.model.chunkDelay(20);
  const stream = JSON.stringify({ ...chat('one two three four five six'), stream: true });
  socket.write(paid([`content-length: ${stream.length}`], stream));
  while (!text.includes('data: ')) await once(socket, 'data');
  socket.write('\0\0 this is not HTTP\r\n\r\n');
  await Promise.race([once(socket, 'end'), once(socket, 'close')]);
  world.model.chunkDelay(0);
  socket.destroy();
  expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1);
  expect(text).not.toContain('bad_request');
});

test('many requests on one connection are answered in their order', async () => {
  const socket = await dial(world.url);
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
  socket.write(
    request('GET /livez') + request('GET /v1/nothing') + request('GET /v1/info', ['connection: close']),
  );
  await once(socket, 'end');
  socket.destroy();
  expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])).toEqual(['200', '404', '200']);
});

test('a header of 60 kB and an address of 60 kB are let in', async () => {
  const header = await raw(world.url, request('GET /v1/info', [`x-big: ${'a'.repeat(60_000)}`]));
  expect(header.status).toBe(200);
  const address = await raw(world.url, request(`GET /v1/info?a=${'a'.repeat(60_000)}`));
  expect(address.status).toBe(200);
});

test('after all of it the node serves and nothing was charged but the answers', async () => {
  const { status, json } = await world.post('/v1/chat/completions', chat('alive'), { 'x-api-key': key });
  expect([status, json.model]).toEqual([200, MODEL]);
  expect(world.node.totals().drift).toBe(0);
});
