/** Mock AI server for the bench: baked answers on a bare TCP server, so that it costs next to nothing beside a proxy. */
import { createServer } from 'node:net';

const ANSWER = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_760_000_000,
  model: 'bench/model',
  choices: [
    { index: 0, message: { role: 'assistant', content: 'word '.repeat(150).trim() }, finish_reason: 'stop' },
  ],
  usage: { prompt_tokens: 250, completion_tokens: 150, total_tokens: 400 },
});
const JSON_REPLY = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(ANSWER)}\r\n\r\n${ANSWER}`,
);

const chunkOf = (value: unknown): Buffer => {
  const event = `data: ${JSON.stringify(value)}\n\n`;
  return Buffer.from(`${Buffer.byteLength(event).toString(16)}\r\n${event}\r\n`);
};
const delta = (content: string, finish: string | null, role?: string) =>
  chunkOf({
    id: 'chatcmpl-bench',
    object: 'chat.completion.chunk',
    created: 1_760_000_000,
    model: 'bench/model',
    system_fingerprint: 'fp_0123456789',
    choices: [
      { index: 0, delta: { ...(role ? { role } : {}), content }, logprobs: null, finish_reason: finish },
    ],
  });
export const CHUNKS = 100;
const STREAM_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n',
);
const FIRST = delta('', null, 'assistant');
const MIDDLE = delta(' eleven chars', null);
const LAST = delta('', 'stop');
const USAGE = chunkOf({
  id: 'chatcmpl-bench',
  object: 'chat.completion.chunk',
  created: 1_760_000_000,
  model: 'bench/model',
  choices: [],
  usage: { prompt_tokens: 250, completion_tokens: CHUNKS, total_tokens: 250 + CHUNKS },
});
const DONE = Buffer.from('e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n');

/** `delayMs` before a JSON answer; `paceMs` between the chunks of a stream. */
export function startUpstream(options: { port: number; delayMs: number; paceMs: number }): void {
  const { port, delayMs, paceMs } = options;
  const server = createServer({ noDelay: true }, (socket) => {
    let held = Buffer.alloc(0);
    let streaming: NodeJS.Timeout | undefined;
    socket.on('error', () => socket.destroy());
    socket.once('close', () => clearInterval(streaming));
    socket.on('data', (data) => {
      held = held.length === 0 ? data : Buffer.concat([held, data]);
      for (;;) {
        const head = held.indexOf('\r\n\r\n');
        if (head === -1) return;
        const length = Number(/content-length: (\d+)/i.exec(held.toString('latin1', 0, head))?.[1] ?? 0);
        const end = head + 4 + length;
        if (held.length < end) return;
        const streams = held.indexOf('"stream":true', head) !== -1;
        held = held.subarray(end);
        if (streams) stream();
        else if (delayMs === 0) socket.write(JSON_REPLY);
        else setTimeout(() => socket.write(JSON_REPLY), delayMs);
      }
    });
    function stream(): void {
      let sent = 0;
      socket.write(Buffer.concat([STREAM_HEAD, FIRST]));
      streaming = setInterval(() => {
        sent += 1;
        if (sent < CHUNKS) socket.write(MIDDLE);
        else {
          clearInterval(streaming);
          socket.write(Buffer.concat([LAST, USAGE, DONE]));
        }
      }, paceMs);
    }
  });
  server.listen(port, '127.0.0.1');
}
