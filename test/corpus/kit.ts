/** Runner of the bad-input corpus: one whole node, rows that say what comes in, and what must be true after each. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type Token, getDecodedToken, getEncodedToken } from '@cashu/cashu-ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestMint, createTestMint } from '../../src/demo/mint.ts';
import { freePort } from '../node-kit.ts';
import { type Json, type TestWorld, bearer, testWorld } from '../e2e/support.ts';
import {
  RAW_MODEL,
  type ScriptedModel,
  completion,
  jsonAnswer,
  raw,
  scriptedModel,
} from '../e2e/wire-kit.ts';

export interface Answer {
  status: number;
  text: string;
  json: Json;
  header: (name: string) => string | undefined;
}

/** One attempt: how it is made, and the exact status and code; no code where it is no refusal. */
export interface Case {
  what: string;
  ask: (stage: Stage) => Promise<Answer>;
  expected: [status: number, code?: string];
  /**
   * `nothing` (default): no entry in the journal. `intent`: an attempt that the mint refused is on record, no money
   * moved. `money`: the case is about money that moves; the books must still balance.
   */
  moves?: 'nothing' | 'intent' | 'money';
  check?: (answer: Answer, stage: Stage) => void | Promise<void>;
}

export interface Row {
  /** Of the corpus: a letter for the section and a number. */
  id: string;
  /** What is asked of the node, in one sentence. */
  says: string;
  cases: readonly Case[];
}

/** In prompts and fields: must never stand in a log. */
export const CANARY = 'CANARY-7f3a9b';

export interface Stage {
  world: TestWorld;
  upstream: ScriptedModel;
  /** A prepaid key with 5,000 sats. */
  key: string;
  /** Mints of the list that take a fee, are busy, or are away. */
  mints: { dear: TestMint; busy: TestMint; away: string };
  /** A listener to which nothing may ever connect. */
  trap: { port: number; contacts: () => number };
  bytes: (bytes: string | Buffer, options?: { fin?: boolean }) => Promise<Answer>;
  get: (path: string, headers?: Record<string, string>) => Promise<Answer>;
  post: (path: string, body: unknown, headers?: Record<string, string>) => Promise<Answer>;
  /** A chat request paid by the key. */
  chat: (body: unknown, headers?: Record<string, string>) => Promise<Answer>;
  token: (sats: number) => Promise<string>;
  /** Parts of a new token of the main mint. */
  parts: (sats: number) => Promise<Token>;
  /** Marks a text that no log may repeat. */
  secret: (text: string) => string;
}

export async function createStage(settings: Record<string, unknown> = {}) {
  const upstream = await scriptedModel();
  upstream.answer(jsonAnswer(200, completion()));
  const [port, away] = [await freePort(), `http://127.0.0.1:${await freePort()}`];
  const [dear, busy] = [await createTestMint({ feePpk: 1_000 }), await createTestMint({})];
  busy.failNext('rate-limit', { times: 1_000_000 });
  const trap = createServer((socket) => socket.destroy());
  let contacts = 0;
  trap.on('connection', () => (contacts += 1));
  trap.listen(0, '127.0.0.1');
  await once(trap, 'listening');
  const urls = [`http://127.0.0.1:${port}`, dear.url, busy.url, away];
  const mints = urls.map((url) => ({ url, allow_private: true }));
  const world = await testWorld({
    mint: { dleq: false, port },
    settings: { ...upstream.settings, mints, ...settings },
  });
  const secrets: string[] = [CANARY];
  const secret = (text: string): string => {
    secrets.push(text);
    return text;
  };
  const key = secret(await world.key(5_000));
  const token = async (sats: number): Promise<string> => secret(await world.mint.issue(sats));
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
    answerOf(await world.post(path, body, headers));
  const stage: Stage = {
    world,
    upstream,
    key,
    mints: { dear, busy, away },
    trap: { port: (trap.address() as AddressInfo).port, contacts: () => contacts },
    bytes: async (bytes, options) => {
      const { status, text, json, headers } = await raw(world.url, bytes, options);
      return { status, text, json, header: (name) => headers[name] };
    },
    get: async (path, headers = {}) => answerOf(await world.get(path, headers)),
    post,
    chat: (body, headers = bearer(key)) => post('/v1/chat/completions', body, headers),
    token,
    parts: async (sats) => getDecodedToken(await token(sats), [world.mint.keyset()]),
    secret,
  };
  const close = async (): Promise<void> => {
    await world.close();
    await Promise.all([upstream.close(), dear.close(), busy.close()]);
    trap.close();
  };
  return { stage, secrets, close };
}

const answerOf = (reply: { status: number; text: string; json: Json; headers: Headers }): Answer => ({
  status: reply.status,
  text: reply.text,
  json: reply.json,
  header: (name) => reply.headers.get(name) ?? undefined,
});

/** Every case of every row on one node, in order; each leaves the node as it found it. */
export function runRows(rows: readonly Row[], settings: Record<string, unknown> = {}): void {
  let set: Awaited<ReturnType<typeof createStage>>;
  beforeAll(async () => {
    set = await createStage(settings);
  });
  afterAll(() => set.close());

  const cases = rows.flatMap(({ id, cases: all }) => all.map((one) => [`${id} ${one.what}`, one] as const));
  test.each(cases)('%s', async (_name, { ask, expected, moves = 'nothing', check }) => {
    const { stage, secrets } = set;
    const before = await books(stage);
    const answer = await ask(stage);
    const [status, code] = expected;
    expect([answer.status, answer.json?.error?.code]).toEqual([status, code]);
    if (code !== undefined) expectEnvelope(answer);
    await check?.(answer, stage);
    const after = await books(stage);
    if (moves === 'nothing') expect(after).toEqual(before);
    if (moves === 'intent') expect(after.totals).toEqual(before.totals);
    expect(after.totals.drift).toBe(0);
    expect(stage.trap.contacts()).toBe(0);
    expect((await stage.get('/livez')).status).toBe(200);
    const logged = stage.world.logged();
    expect(secrets.filter((secret) => logged.includes(secret))).toEqual([]);
  });
}

export async function books({ world, get }: Stage) {
  const { sequence } = (await get('/readyz')).json as { sequence: number };
  return { totals: world.node.totals(), sequence };
}

function expectEnvelope({ json, header }: Answer): void {
  expect(json.error.message).toBeTypeOf('string');
  if (typeof json.detail !== 'string') expect(json.detail.error).toEqual(json.error);
  expect(header('x-request-id')).toBe(json.request_id);
}

/** A chat request for the model that the stage sells. */
export const ask = (extra: Record<string, unknown> = {}): Record<string, unknown> => ({
  model: RAW_MODEL,
  messages: [{ role: 'user', content: CANARY }],
  ...extra,
});

/** A token in version A of exactly these fields, which no honest wallet would write. */
export const tokenA = (fields: unknown): string =>
  `cashuA${Buffer.from(typeof fields === 'string' ? fields : JSON.stringify(fields)).toString('base64url')}`;

export const tokenB = (fields: Token): string => getEncodedToken(fields);
