/** Chunks written in one piece: what Node's own clients, and the bytes themselves, say of them. */
import http, { type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { waitsForReader, writeChunk } from '../../src/http/chunked.ts';

let server: http.Server | undefined;
afterEach(() => server?.close());

async function serve(answer: (res: ServerResponse) => void): Promise<number> {
  server = http.createServer((_req, res) => {
    res.writeHead(200, ['content-type', 'text/event-stream']);
    res.flushHeaders();
    answer(res);
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** All bytes of the answer after its head, as one character each. */
function bytesOf(port: number, version: '1.0' | '1.1'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (data: string) => {
      text += data;
    });
    socket.once('error', reject);
    socket.once('end', () => resolve(text.slice(text.indexOf('\r\n\r\n') + 4)));
    socket.write(`GET / HTTP/${version}\r\nhost: x\r\nconnection: close\r\n\r\n`);
  });
}

test('chunks of every length arrive as they were, through the parsers of others', async () => {
  const lengths = [1, 2, 15, 16, 17, 255, 256, 4_095, 4_096, 65_535, 65_536, 1_048_577];
  const chunks = lengths.map((length, at) => Buffer.alloc(length, at + 1));
  const port = await serve((res) => {
    for (const chunk of chunks) writeChunk(res, chunk);
    res.end();
  });
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  expect(Buffer.from(await answer.arrayBuffer()).equals(Buffer.concat(chunks))).toBe(true);
});

test('on the wire a chunk is its length, its bytes and line ends; text is UTF-8, and nothing is no chunk', async () => {
  const port = await serve((res) => {
    writeChunk(res, Buffer.from('data: 1\n\n'));
    writeChunk(res, '');
    writeChunk(res, Buffer.alloc(0));
    writeChunk(res, 'é'.repeat(8));
    // What Node writes itself may stand beside it.
    res.write('own');
    writeChunk(res, '.');
    res.end('end');
  });
  expect(await bytesOf(port, '1.1')).toBe(
    `9\r\ndata: 1\n\n\r\n10\r\n${'Ã©'.repeat(8)}\r\n3\r\nown\r\n1\r\n.\r\n3\r\nend\r\n0\r\n\r\n`,
  );
});

test('a client of HTTP/1.0, which knows no chunks, gets the bytes alone', async () => {
  const port = await serve((res) => {
    writeChunk(res, Buffer.from('data: 1\n\n'));
    writeChunk(res, 'data: 2\n\n');
    res.end();
  });
  expect(await bytesOf(port, '1.0')).toBe('data: 1\n\ndata: 2\n\n');
});

test('nothing is written to a connection after the end of its answer', async () => {
  const port = await serve((res) => {
    res.once('error', () => undefined);
    writeChunk(res, 'a');
    res.end();
    expect(writeChunk(res, 'late')).toBe(false);
  });
  expect(await bytesOf(port, '1.1')).toBe('1\r\na\r\n0\r\n\r\n');
});

test('a reader that is slow is told of, and drains', async () => {
  const told: boolean[] = [];
  let drained = 0;
  const port = await serve((res) => {
    res.socket?.on('drain', () => {
      drained += 1;
      expect(waitsForReader(res)).toBe(false);
      if (drained === 1) res.end();
    });
    told.push(writeChunk(res, Buffer.alloc(100)), writeChunk(res, Buffer.alloc(8 * 1024 * 1024)));
    expect(waitsForReader(res)).toBe(true);
  });
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  expect((await answer.arrayBuffer()).byteLength).toBe(100 + 8 * 1024 * 1024);
  expect(told).toEqual([true, false]);
  expect(drained).toBe(1);
});

test('an answer behind another one on its connection waits for it', async () => {
  const answers: ServerResponse[] = [];
  const port = await serve((res) => {
    answers.push(res);
    const [first, second] = answers;
    if (first === undefined || second === undefined) return;
    writeChunk(second, 'b');
    writeChunk(first, 'a');
    first.end();
    setImmediate(() => {
      writeChunk(second, 'c');
      second.end();
    });
  });
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.setEncoding('latin1');
    socket.on('data', (data: string) => {
      received += data;
    });
    socket.once('error', reject);
    socket.once('end', () => resolve(received));
    const request = (connection: string) => `GET / HTTP/1.1\r\nhost: x\r\nconnection: ${connection}\r\n\r\n`;
    socket.write(request('keep-alive') + request('close'));
  });
  const bodies = text.split(/HTTP\/1\.1 200 OK\r\n[^]*?\r\n\r\n/);
  expect(bodies).toEqual(['', '1\r\na\r\n0\r\n\r\n', '1\r\nb\r\n1\r\nc\r\n0\r\n\r\n']);
});
