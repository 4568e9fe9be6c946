/** Bodies on their way in: bounded over all connections, because nobody has been asked for money yet. */
import { request } from 'node:http';
import { type AddressInfo, type Socket, connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { readJsonBytes } from '../../src/http/body.ts';
import { arrivingOf, createExpressServer } from '../../src/http/context.ts';

const { arrivingBytesMax, arrivingBytesFree, jsonBytesMax } = LIMITS.http;
let arriving: () => number;
let port: number;
let close: () => Promise<void>;
const sockets: Socket[] = [];

beforeEach(async () => {
  arriving = () => 0;
  const { app, server } = createExpressServer();
  app.post('/', (req, res) => {
    arriving = () => arrivingOf(req)!.bytes;
    readJsonBytes(req).then(
      (body) => res.send(String(body.length)),
      (error: unknown) => res.send(error instanceof NodeError ? error.code : 'unknown'),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
  close = () => new Promise((resolve) => void server.close(() => resolve()));
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await close();
});

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
};

/** Sends so much of a body that never ends. */
function halfSent(bytes: number): Socket {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => undefined);
  socket.write(
    `POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${jsonBytesMax}\r\n\r\n`,
  );
  socket.write(Buffer.alloc(bytes, 'x'));
  return socket;
}

const whole = (bytes: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = request({ port, method: 'POST', headers, agent: false }, (answer) => {
      answer.setEncoding('utf8').once('data', resolve);
    });
    sent.once('error', reject);
    // In chunks: what a length tells is refused before any byte is read.
    sent.write(Buffer.alloc(bytes, 'x'));
    sent.end();
  });

test('half-sent bodies fill the room for large ones, never that for small ones, and give it back when they leave', async () => {
  const each = jsonBytesMax - 1;
  for (let sent = 0; sent + each <= arrivingBytesMax; sent += each) halfSent(each);
  const held = Math.floor(arrivingBytesMax / each) * each;
  await until(() => arriving() === held);
  expect(await whole(arrivingBytesFree * 4)).toBe('overloaded');
  expect(await whole(arrivingBytesFree)).toBe(String(arrivingBytesFree));
  expect(arriving()).toBe(held);
  sockets.pop()?.destroy();
  await until(() => arriving() === held - each);
  expect(await whole(arrivingBytesFree * 4)).toBe(String(arrivingBytesFree * 4));
  for (const socket of sockets) socket.destroy();
  await until(() => arriving() === 0);
});

test('whatever ends a body ends its count: its end, a refusal, a client that leaves', async () => {
  expect(await whole(1_000)).toBe('1000');
  expect(await whole(jsonBytesMax + 1)).toBe('payload_too_large');
  const socket = halfSent(10_000);
  await until(() => arriving() === 10_000);
  socket.destroy();
  await until(() => arriving() === 0);
});
