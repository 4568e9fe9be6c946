/** relayAnswer: writes an answer that came over direct messages as the HTTP answer it would have been. */
import type { ServerResponse } from 'node:http';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { bringsEcash, type DmAnswer, type DmCall, type DmChunk, DmFailure } from './dm.ts';

/** Paths whose streams end with `data: [DONE]`; the others have named events of their own. */
const ENDS_WITH_DONE = /^\/(?:v1\/)?(?:chat\/)?completions\b/;
const DONE = '[DONE]';

/** Resolves with the status when the answer was written; 499 if the client left. Throws DmFailure before anything was. */
export async function relayAnswer(
  call: DmCall,
  response: ServerResponse,
  how: { path: string; stream: boolean; clock: Clock },
): Promise<number> {
  const first = await call.chunks.next();
  if (first.done === true) {
    const answer = await call.answer;
    writeWhole(answer, response);
    await handedOver(call, answer, response);
    return answer.status;
  }
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
  });
  try {
    await writeEvents(first.value, call, response, how.clock);
    const answer = await call.answer;
    if (answer.status >= 400) await write(response, `data: ${answer.body.toString('utf8')}\n\n`);
    else if (ENDS_WITH_DONE.test(how.path)) await write(response, `data: ${DONE}\n\n`);
    response.end();
    await handedOver(call, answer, response);
    return answer.status;
  } catch (error) {
    if (!(error instanceof DmFailure)) throw error;
    if (error.kind === 'cancelled') return 499;
    // The status is gone; an error frame makes SDKs throw, where a clean end would pass for a whole answer.
    const { message } = error;
    const frame = { error: { message, type: 'upstream_error', param: null, code: error.kind } };
    response.end(`data: ${JSON.stringify(frame)}\n\n`);
    return 502;
  }
}

async function writeEvents(
  first: DmChunk,
  call: DmCall,
  response: ServerResponse,
  clock: Clock,
): Promise<void> {
  let chunk: DmChunk = first;
  for (;;) {
    if (chunk.data !== DONE) {
      const lines = chunk.data.split('\n').map((line) => `data: ${line}\n`);
      await write(
        response,
        `${chunk.event === undefined ? '' : `event: ${chunk.event}\n`}${lines.join('')}\n`,
      );
    }
    const next = call.chunks.next();
    next.catch(() => undefined);
    for (let alive = true; alive;) {
      const done = new AbortController();
      const quiet = clock.sleep(LIMITS.http.heartbeatMs, done.signal).then(() => undefined);
      const step = await Promise.race([next, quiet]);
      done.abort();
      if (step === undefined) {
        await write(response, ': waiting\n\n');
        continue;
      }
      if (step.done === true) return;
      chunk = step.value;
      alive = false;
    }
  }
}

function writeWhole(answer: DmAnswer, response: ServerResponse): void {
  const { status, headers, body, change, cost } = answer;
  for (const [name, value] of Object.entries(headers)) {
    if (/^[a-z0-9-]+$/i.test(name) && !HOP.includes(name.toLowerCase()))
      response.setHeader(name, oneLine(value));
  }
  if (change !== undefined) response.setHeader('x-cashu', oneLine(change));
  if (cost !== undefined) response.setHeader('x-routstr-cost-msats', String(cost));
  response.writeHead(status, { 'content-length': String(body.length) });
  response.end(body);
}

/** They are about the connection to the node, which is none. */
const HOP = ['connection', 'content-encoding', 'content-length', 'keep-alive', 'transfer-encoding'];

const oneLine = (value: string): string => value.replace(/[^\x20-\x7e]/g, '');

/** Only what the local client really received counts as arrived; else the node keeps the change for it. */
async function handedOver(call: DmCall, answer: DmAnswer, response: ServerResponse): Promise<void> {
  if (!response.writableFinished && !response.destroyed) {
    await new Promise<void>((resolve) => response.once('close', resolve));
  }
  if (bringsEcash(answer) && response.writableFinished) await call.taken();
}

async function write(response: ServerResponse, text: string): Promise<void> {
  if (response.destroyed || response.write(text)) return;
  await new Promise<void>((resolve) => {
    const go = (): void => {
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.on('drain', go).on('close', go);
  });
}

/** The envelope of docs/errors.md. */
export function sendError(response: ServerResponse, error: NodeError): void {
  if (response.destroyed) return;
  if (response.headersSent) return void response.destroy();
  const { metadata } = error.options;
  const retry = error.shouldRetry && metadata?.['ambiguous'] !== true;
  const body = {
    message: error.message,
    type: error.type,
    param: error.options.param ?? null,
    code: error.wireCode,
    ...(metadata === undefined ? {} : { metadata }),
  };
  response.writeHead(error.status, {
    'content-type': 'application/json',
    'x-should-retry': String(retry),
    // A body that was refused half-way must not be taken for the next request.
    connection: 'close',
  });
  response.end(JSON.stringify({ error: body, detail: { error: body } }));
}
