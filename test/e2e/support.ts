/** What the stories share: a world with a log that can be searched, and short ways to call the node. */
import { Writable } from 'node:stream';
import { createLogger } from '../../src/base/log.ts';
import { type World, type WorldOptions, createWorld } from '../../src/demo-world.ts';

export const MODEL = 'demo/echo';

export interface TestWorld extends World {
  url: string;
  logged: () => string;
  post: (path: string, body: unknown, headers?: Record<string, string>) => Promise<Reply>;
  get: (path: string, headers?: Record<string, string>) => Promise<Reply>;
  /** A new prepaid key with so many sats. */
  key: (sats: number) => Promise<string>;
  balance: (bearer: string) => Promise<number>;
}

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  json: Json;
}
// Answers are asserted field by field; a precise type here would only repeat the assertions.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Json = any;

export async function testWorld(options: Partial<WorldOptions> = {}): Promise<TestWorld> {
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const world = await createWorld({ log: createLogger({ level: 'debug', destination }), ...options });
  const { url } = world.node;
  const call = async (path: string, init: RequestInit): Promise<Reply> => read(await fetch(url + path, init));
  const post: TestWorld['post'] = (path, body, headers = {}) =>
    call(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const get: TestWorld['get'] = (path, headers = {}) => call(path, { headers });
  return Object.assign(world, {
    url,
    logged: () => lines.join(''),
    post,
    get,
    key: async (sats: number) => {
      const { json } = await post('/v1/balance/create', { cashu_token: await world.mint.issue(sats) });
      return (json as { api_key: string }).api_key;
    },
    balance: async (bearer: string) => {
      const { json } = await get('/v1/wallet/info', { authorization: `Bearer ${bearer}` });
      return (json as { balance: number }).balance;
    },
  });
}

export async function read(answer: Response): Promise<Reply> {
  const text = await answer.text();
  const isJson = answer.headers.get('content-type')?.includes('application/json') === true;
  return {
    status: answer.status,
    headers: answer.headers,
    text,
    json: isJson && text !== '' ? JSON.parse(text) : undefined,
  };
}

export const chat = (content: string, extra: Record<string, unknown> = {}): Record<string, unknown> => ({
  model: MODEL,
  messages: [{ role: 'user', content }],
  ...extra,
});

export const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

/** The JSON values of a stream's data events; [DONE] is left out. */
export const events = (text: string): Json[] =>
  text
    .split('\n\n')
    .filter((event) => event.startsWith('data: ') && !event.includes('[DONE]'))
    .map((event) => JSON.parse(event.slice(6)));

/** Waits for a state that real I/O brings about; fails loudly if it never comes. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  // Generous for a loaded machine, and within the time of a test, so that what never happened is named.
  withinMs = 25_000,
): Promise<void> {
  for (const end = Date.now() + withinMs; Date.now() < end;) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`never happened: ${what}`);
}
