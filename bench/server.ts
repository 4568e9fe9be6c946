/** One server of the bench in a process of its own: `server.js upstream|raw|express <port> <upstream port> [delay]`. */
import http from 'node:http';
import express from 'express';
import { type Dispatcher, Pool } from 'undici';
import { startUpstream } from './upstream.ts';

const [kind, port, upstreamPort, delay] = process.argv.slice(2);
const upstream = `http://127.0.0.1:${upstreamPort}`;

if (kind === 'upstream') startUpstream({ port: Number(port), delayMs: Number(delay), paceMs: 20 });
else if (kind === 'raw') startRaw();
else startExpress();

/** The practical limit: node:http in, undici dispatch out, nothing read and nothing changed. */
function startRaw(): void {
  const pool = new Pool(upstream, { connections: 1024, headersTimeout: 0, bodyTimeout: 0 });
  http
    .createServer((req, res) => {
      const parts: Buffer[] = [];
      req.on('data', (part: Buffer) => parts.push(part));
      req.on('end', () => {
        const body = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
        const headers = { 'content-type': 'application/json', 'content-length': String(body.length) };
        let control: Dispatcher.DispatchController | undefined;
        res.on('drain', () => control?.resume());
        res.on('close', () => {
          if (!res.writableEnded) control?.abort(new Error('gone'));
        });
        pool.dispatch(
          { path: req.url ?? '/', method: 'POST', headers, body },
          {
            onRequestStart: (controller) => {
              control = controller;
            },
            onResponseStart: (_controller, status, answer) => {
              const length = answer['content-length'];
              const headers: Record<string, string> = { 'content-type': String(answer['content-type']) };
              if (length !== undefined) headers['content-length'] = String(length);
              res.writeHead(status, headers);
              res.flushHeaders();
            },
            onResponseData: (controller, chunk) => {
              if (!res.write(chunk)) controller.pause();
            },
            onResponseEnd: () => res.end(),
            onResponseError: () => res.destroy(),
          },
        );
      });
    })
    .listen(Number(port), '127.0.0.1');
}

/** What one writes first: Express with its JSON parser, global fetch, no payment. */
function startExpress(): void {
  const app = express();
  app.use(express.json({ limit: '32mb' }));
  app.post('/v1/chat/completions', async (req, res) => {
    const answer = await fetch(`${upstream}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(req.body),
    });
    res.status(answer.status).type(answer.headers.get('content-type') ?? '');
    for await (const chunk of answer.body ?? []) res.write(chunk);
    res.end();
  });
  app.listen(Number(port), '127.0.0.1');
}
