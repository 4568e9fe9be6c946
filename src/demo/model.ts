/** Test model: an OpenAI-compatible server on loopback that echoes, and fails in every way a test orders. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { systemClock } from '../base/time.ts';
import type { JsonObject } from '../protocol/openai.ts';
import { asObject, echo, streamChunks, usageChunk, wholeAnswer, type EchoAnswer } from './model-answer.ts';
import { aborted, createModelFaults, type ModelFault, type ModelFaults } from './model-faults.ts';

export type { ModelFault };

export interface TestModel extends Pick<
  ModelFaults,
  'failNext' | 'pause' | 'resume' | 'slow' | 'chunkDelay'
> {
  /** Without `/v1`. */
  url: string;
  /** What arrived, oldest first; the last thousand. */
  requests: readonly TestModelRequest[];
  /** `open`: completions that are being answered now; `total`: all that ever arrived. */
  stats: { readonly open: number; readonly total: number };
  close: () => Promise<void>;
}

export interface TestModelRequest {
  path: string;
  headers: IncomingHttpHeaders;
  body: JsonObject;
}

const REQUESTS_KEPT = 1_000;
const BODY_BYTES_MAX = 64 * 1024 * 1024;

export async function createTestModel(
  options: { port?: number; models?: string[] } = {},
): Promise<TestModel> {
  const models = options.models ?? ['echo'];
  const faults = createModelFaults();
  const requests: TestModelRequest[] = [];
  const stats = { open: 0, total: 0 };

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = (req.url ?? '').split('?')[0] ?? '';
    if (req.method === 'GET' && path === '/v1/models') return sendJson(res, 200, modelList(models));
    if (req.method !== 'POST' || path !== '/v1/chat/completions') return sendError(res, 404, 'Not found');
    if (Number(req.headers['content-length'] ?? 0) > BODY_BYTES_MAX) return sendError(res, 413, 'Too large');

    stats.total++;
    stats.open++;
    const gone = new AbortController();
    res.once('close', () => {
      stats.open--;
      gone.abort();
    });
    const body = asObject(JSON.parse((await buffer(req)).toString('utf8')));
    requests.push({ path, headers: req.headers, body });
    if (requests.length > REQUESTS_KEPT) requests.shift();
    const fault = faults.next();
    await faults.beforeAnswer(gone.signal);
    if (!gone.signal.aborted) await answer(res, body, fault, gone.signal);
  }

  async function answer(
    res: ServerResponse,
    body: JsonObject,
    fault: ModelFault | undefined,
    gone: AbortSignal,
  ): Promise<void> {
    if (await refuses(res, fault, gone)) return;
    const said = echo(fault === 'empty' ? { ...body, max_tokens: 0 } : body, stats.total, systemClock.now());
    const usage =
      fault === 'no-usage' ? undefined : fault === 'bad-usage' ? badUsage(stats.total) : said.usage;
    if (body['stream'] === true)
      await stream(res, said, asObject(body['stream_options']), usage, fault, gone);
    else whole(res, said, usage, fault);
  }

  function whole(res: ServerResponse, said: EchoAnswer, usage: unknown, fault: ModelFault | undefined): void {
    const text = JSON.stringify(wholeAnswer(said, usage));
    if (fault !== 'cut' && fault !== 'truncate') return sendText(res, 200, 'application/json', text);
    // The length is announced and never reached.
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    res.write(text.slice(0, text.length / 2), () => res.destroy());
  }

  async function stream(
    res: ServerResponse,
    said: EchoAnswer,
    wishes: JsonObject,
    usage: unknown,
    fault: ModelFault | undefined,
    gone: AbortSignal,
  ): Promise<void> {
    res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    res.flushHeaders();
    const feed = fault === 'split' ? '\r\n' : '\n';
    const send = async (data: string): Promise<void> => {
      if (gone.aborted) return;
      const bytes = Buffer.from(`data: ${data}${feed}${feed}`);
      const pieces = fault === 'split' ? Array.from(bytes, (byte) => Buffer.from([byte])) : [bytes];
      for (const piece of pieces) {
        if (!res.write(piece)) await Promise.race([once(res, 'drain'), aborted(gone)]);
      }
    };
    const chunks = streamChunks(said);
    // Half of the answer, and at least a piece of it, comes before anything breaks.
    const breaksAt = Math.min(chunks.length - 1, Math.max(2, Math.floor(chunks.length / 2)));
    for (const [i, chunk] of chunks.entries()) {
      if (i === breaksAt && (await breaksOff(res, fault, send))) return;
      await send(JSON.stringify(chunk));
      await faults.beforeChunk(gone);
    }
    if (wishes['include_usage'] === true && usage !== undefined) {
      await send(JSON.stringify(usageChunk(said, usage)));
    }
    await send('[DONE]');
    res.end();
  }

  const server = createServer((req, res) => {
    handle(req, res).catch(() => res.destroy());
  });
  // Never the first to close an idle connection, so that tests see no race.
  server.keepAliveTimeout = 75_000;
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    stats,
    failNext: faults.failNext,
    pause: faults.pause,
    resume: faults.resume,
    slow: faults.slow,
    chunkDelay: faults.chunkDelay,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Faults that come instead of any answer. */
async function refuses(
  res: ServerResponse,
  fault: ModelFault | undefined,
  gone: AbortSignal,
): Promise<boolean> {
  switch (fault) {
    case 'status-400':
      sendError(res, 400, 'The echo model was told to refuse this.', 'echo_refused');
      return true;
    case 'status-401':
      sendError(res, 401, 'Incorrect API key provided: sk-test-canary-000000', 'invalid_api_key');
      return true;
    case 'status-402':
      sendError(res, 402, 'Insufficient credits on account org-test-000000', 'insufficient_quota');
      return true;
    case 'status-429':
      res.setHeader('retry-after', '7');
      sendError(res, 429, 'Slow down.', 'rate_limit_exceeded');
      return true;
    case 'status-500':
      sendError(res, 500, 'Internal trouble at host-17.internal.', 'server_error');
      return true;
    case 'html-200':
      sendText(res, 200, 'text/html; charset=utf-8', '<html><body>Please log in.</body></html>');
      return true;
    case 'hang':
      await aborted(gone);
      return true;
    default:
      return false;
  }
}

/** Faults in the middle of a stream. */
async function breaksOff(
  res: ServerResponse,
  fault: ModelFault | undefined,
  send: (data: string) => Promise<void>,
): Promise<boolean> {
  if (fault === 'truncate') res.end();
  else if (fault === 'cut') res.write(': cut\n\n', () => res.destroy());
  else if (fault === 'error-frame') {
    await send(JSON.stringify({ error: { message: 'overloaded at host-17.internal', code: 529 } }));
    res.end();
  } else return false;
  return true;
}

const badUsage = (number: number): JsonObject =>
  number % 2 === 1
    ? { prompt_tokens: -5, completion_tokens: -1_000_000, total_tokens: -1_000_005 }
    : { prompt_tokens: 1e300, completion_tokens: 9_007_199_254_740_993, total_tokens: 1e301 };

const modelList = (models: readonly string[]): JsonObject => ({
  object: 'list',
  data: models.map((id) => ({
    id,
    object: 'model',
    created: 1_700_000_000,
    owned_by: 'echo',
    name: `Echo ${id}`,
    description: 'Says what it was told.',
    context_length: 32_000,
    architecture: { modality: 'text->text', input_modalities: ['text'], output_modalities: ['text'] },
    pricing: { prompt: '0.000005', completion: '0.000015', request: '0', image: '0' },
    top_provider: { context_length: 32_000, max_completion_tokens: 4_096, is_moderated: false },
  })),
});

function sendText(res: ServerResponse, status: number, type: string, text: string): void {
  res.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text);
}

const sendJson = (res: ServerResponse, status: number, body: JsonObject): void =>
  sendText(res, status, 'application/json', JSON.stringify(body));

const sendError = (res: ServerResponse, status: number, message: string, code: string | null = null): void =>
  sendJson(res, status, { error: { message, type: 'invalid_request_error', param: null, code } });
