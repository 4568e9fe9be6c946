/** What the wire tests share: bytes over a plain socket, and an AI server that writes exactly what it is told. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { expect } from 'vitest';
import type { Json } from './support.ts';

export interface RawReply {
  status: number;
  headers: Record<string, string>;
  body: string;
  /** Everything that was received, byte for byte. */
  text: string;
  json: Json;
}

export const dial = async (url: string): Promise<Socket> => {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
};

/** Sends bytes as they are; resolves when one complete answer is there or the node has closed. */
export async function raw(
  url: string,
  bytes: string | Buffer,
  options: { fin?: boolean } = {},
): Promise<RawReply> {
  const socket = await dial(url);
  const text = receive(socket);
  if (options.fin) socket.end(bytes);
  else socket.write(bytes);
  return parse(await text);
}

function receive(socket: Socket): Promise<string> {
  let text = '';
  return new Promise((resolve) => {
    const finish = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.on('data', (data: Buffer) => {
      text += data.toString('latin1');
      if (isWhole(text)) finish();
    });
    socket.on('end', finish);
    socket.on('close', finish);
  });
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  const length = /^content-length: (\d+)\r$/im.exec(text.slice(0, head + 1))?.[1];
  return head > 0 && length !== undefined && text.length - head - 4 >= Number(length);
}

export function parse(text: string): RawReply {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [first = '', ...lines] = head.split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines)
    headers[line.split(': ')[0]?.toLowerCase() ?? ''] = line.split(': ').slice(1).join(': ');
  const body = rest.join('\r\n\r\n');
  const isJson = headers['content-type']?.startsWith('application/json') === true && body !== '';
  return {
    status: Number(first.split(' ')[1] ?? 0),
    headers,
    body,
    text,
    json: isJson ? JSON.parse(body) : undefined,
  };
}

/** A request line, headers and body, with the two headers that every request needs. */
export const request = (line: string, headers: readonly string[] = [], body = ''): string =>
  [`${line} HTTP/1.1`, 'host: node.test', ...headers, '', body].join('\r\n');

export interface ScriptedModel {
  /** Settings for a node that sells `RAW_MODEL` from this server. */
  settings: Record<string, unknown>;
  /** How the next and all later requests are answered. */
  answer: (script: (res: ServerResponse, body: Json) => void | Promise<void>) => void;
  /** Bodies that arrived. */
  bodies: Json[];
  headers: IncomingMessage['headers'][];
  close: () => Promise<void>;
}

export const RAW_MODEL = 'raw-model';

export async function scriptedModel(): Promise<ScriptedModel> {
  const bodies: Json[] = [];
  const headers: IncomingMessage['headers'][] = [];
  let script: (res: ServerResponse, body: Json) => void | Promise<void> = (res) => void res.end();
  const server = createServer((req, res) => {
    void buffer(req).then(async (bytes) => {
      bodies.push(JSON.parse(bytes.toString('utf8')));
      headers.push(req.headers);
      await script(res, bodies.at(-1));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const model = {
    id: RAW_MODEL,
    input_usd_per_million: 5,
    output_usd_per_million: 15,
    context_length: 128_000,
    max_output_tokens: 4_096,
  };
  return {
    settings: {
      upstreams: [{ id: 'raw', base_url: `http://127.0.0.1:${port}/v1`, models: [model] }],
      // The upstream decides what is tried here, not the request: it stays the same.
      limits: { identical_requests: 0 },
    },
    answer: (next) => {
      script = next;
    },
    bodies,
    headers,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** A script that writes a stream in the given pieces. */
export const sse =
  (...pieces: (string | Buffer)[]) =>
  async (res: ServerResponse): Promise<void> => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of pieces) {
      res.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    res.end();
  };

export const jsonAnswer =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  (res: ServerResponse): void => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };

/** One chunk of a chat stream as an upstream writes it. */
export const delta = (fields: Record<string, unknown>, finish: string | null = null): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-up',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'upstream-name',
    choices: [{ index: 0, delta: fields, finish_reason: finish }],
  })}\n\n`;

export const usageEvent = (prompt: number, completion: number): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-up',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'upstream-name',
    choices: [],
    usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
  })}\n\n`;

export const DONE = 'data: [DONE]\n\n';
/** The text of all chunks together. */
export const spoken = (chunks: Json[]): string =>
  chunks.map((chunk) => (chunk.choices?.[0]?.delta?.content as string | undefined) ?? '').join('');

/** Byte for byte: only data lines and comments, LF between, a blank line after each event, [DONE] last. */
export function expectCleanFrames(text: string): void {
  expect(text.endsWith(DONE)).toBe(true);
  expect(text).not.toContain('\r');
  for (const event of text.slice(0, -2).split('\n\n'))
    for (const line of event.split('\n')) expect(line).toMatch(/^(data: .|:)/);
  expect(text.split('[DONE]')).toHaveLength(2);
}

/** Everything but a failed stream: role first, one finish_reason, then the bill, and one id throughout. */
export function expectWhole(chunks: Json[]): Json {
  expect(chunks[0].choices[0].delta.role).toBe('assistant');
  const last = chunks.at(-1);
  expect(last.choices).toEqual([]);
  expect(chunks.at(-2).choices[0].finish_reason).toBeTypeOf('string');
  expect(chunks.filter((chunk) => chunk.choices[0]?.finish_reason).length).toBe(1);
  expect(new Set(chunks.map((chunk) => chunk.id as string)).size).toBe(1);
  for (const chunk of chunks) {
    expect(chunk.object).toBe('chat.completion.chunk');
    expect(chunk.error).toBeUndefined();
  }
  return last;
}

/** A whole answer of an upstream. */
export const completion = (content = 'Hi', usage: unknown = tokens(3, 1)): Json => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'up',
  choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
  usage,
});

export const tokens = (prompt: number, output: number): Json => ({
  prompt_tokens: prompt,
  completion_tokens: output,
  total_tokens: prompt + output,
});
