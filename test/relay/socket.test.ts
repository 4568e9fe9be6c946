import { WebSocketServer } from 'ws';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type Frame } from '../../src/relay/frame.ts';
import { socketClass } from '../../src/relay/socket.ts';
import { openings, until } from '../nostr/kit.ts';

const open = openings();
afterEach(open.close);

test('an owner who drops its handlers and closes while connecting does not end the process', async () => {
  const hole = await open.relay();
  hole.blackHole();
  const Socket = socketClass({ created: () => undefined, admit: () => true, accept: () => true });
  const socket = new Socket(hole.url);
  await until(() => hole.accepted() === 1);
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.onopen = socket.onerror = socket.onclose = null;
  // Without its own error listener the socket would now throw "closed before the connection was established".
  socket.close();
  await closed;
  expect(socket.readyState).toBe(socket.CLOSED);
});

test('only well-formed frames that the owner wants arrive', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  open.onClose(() => new Promise((resolve) => void server.close(() => resolve())));
  server.on('connection', (client) => {
    for (const text of [
      '{}',
      'x',
      '["NOTICE","hi"]',
      '["OK","id"]',
      '["EOSE","unwanted"]',
      '["EOSE","wanted"]',
    ]) {
      client.send(text);
    }
    client.close();
  });
  const offered: Frame[] = [];
  const Socket = socketClass({
    created: () => undefined,
    admit: () => true,
    accept: (frame) => offered.push(frame) > 0 && frame[1] === 'wanted',
  });
  const socket = new Socket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const received: unknown[] = [];
  socket.onmessage = ({ data }) => void received.push(data);
  await new Promise((resolve) => socket.on('close', resolve));
  expect(received).toEqual(['["EOSE","wanted"]']);
  expect(offered.map(([, id]) => id)).toEqual(['unwanted', 'wanted']);
});
