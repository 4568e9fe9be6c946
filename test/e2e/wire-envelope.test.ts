import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Reply, type TestWorld, MODEL, bearer, chat, testWorld } from './support.ts';
import { type ScriptedModel, RAW_MODEL, completion, jsonAnswer, scriptedModel } from './wire-kit.ts';

let upstream: ScriptedModel;
let world: TestWorld;
let key: string;
beforeAll(async () => {
  upstream = await scriptedModel();
  world = await testWorld({ mint: { dleq: false }, settings: upstream.settings });
  key = await world.key(50);
});
afterAll(async () => {
  await world.close();
  await upstream.close();
});

const ask = (extra: Record<string, unknown> = {}, headers = bearer(key)): Promise<Reply> =>
  world.post('/v1/chat/completions', chat('hello', { model: RAW_MODEL, ...extra }), headers);
const IDS = ['x-request-id', 'request-id', 'x-routstr-request-id'];

describe('A1 A2 every refusal has one envelope, whatever the path', () => {
  test.each<[string, () => Promise<Reply>, number, string]>([
    ['a paid request without payment', () => ask({}, {}), 402, 'payment_required'],
    ['an unknown key', () => ask({}, bearer(`sk-${'0'.repeat(64)}`)), 401, 'invalid_api_key'],
    ['an unknown model', () => ask({ model: 'no/such' }), 404, 'model_not_found'],
    ['an unknown path', () => world.post('/v1/files', {}), 404, 'not_found'],
    ['an unknown path without /v1', () => world.get('/admin/../x'), 404, 'not_found'],
    ['a double slash', () => world.get('//v1/info'), 404, 'not_found'],
    ['an encoded dot', () => world.get('/v1/%2e%2e%2fadmin'), 404, 'not_found'],
    ['another spelling', () => world.get('/v1/Models'), 404, 'not_found'],
    ['a missing body', () => world.post('/v1/wallet/create', ''), 400, 'missing_param'],
    ['a missing credential', () => world.get('/v1/balance/info'), 401, 'missing_api_key'],
    ['a wrong method', () => world.get('/v1/chat/completions/'), 405, 'method_not_allowed'],
    ['a wrong method for a probe', () => world.post('/livez/', {}), 405, 'method_not_allowed'],
    ['a wrong method for money', () => world.get('/v1/wallet/refund'), 405, 'method_not_allowed'],
    [
      'a form',
      () => ask({}, { ...bearer(key), 'content-type': 'text/plain' }),
      415,
      'unsupported_media_type',
    ],
    [
      'UTF-16',
      () => ask({}, { ...bearer(key), 'content-type': 'application/json; charset=utf-16' }),
      415,
      'unsupported_media_type',
    ],
    ['gzip', () => ask({}, { ...bearer(key), 'content-encoding': 'gzip' }), 415, 'unsupported_encoding'],
  ])('%s', async (_what, send, status, code) => {
    const { status: got, json, headers } = await send();
    expect([got, json.error.code]).toEqual([status, code]);
    expect(Object.keys(json.error).slice(0, 4)).toEqual(['message', 'type', 'param', 'code']);
    expect(json.detail.error ?? json.error).toEqual(json.error);
    expect(json.request_id).toMatch(/^req_/);
    for (const name of IDS) expect(headers.get(name)).toBe(json.request_id);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('access-control-allow-origin')).toBe('*');
    if (status === 405) expect(headers.get('allow')).toMatch(/GET|POST/);
    if (status === 401) expect(headers.get('www-authenticate')).toBe('Bearer');
  });
});

test('A1 an unknown path is told in the words that old clients look for, without its query', async () => {
  const { json } = await world.get('/v1/nothing?cashu_token=cashuBsecret');
  expect(json.error.type).toBe('not_found');
  expect(json.error.message).toBe("Path '/v1/nothing' not found");
  expect(world.logged()).not.toContain('cashuBsecret');
});

test('A1 a body beyond 32 MiB is refused by its length, and by its bytes where no length is told', async () => {
  const declared = await world.post('/v1/chat/completions', 'x'.repeat(33 * 1024 * 1024), bearer(key));
  expect([declared.status, declared.json.error.code]).toEqual([413, 'payload_too_large']);
});

test('A2 every kind of success carries the three ids, and no two requests share one', async () => {
  upstream.answer(jsonAnswer(200, completion()));
  const replies = [
    await world.get('/v1/info'),
    await world.get('/v1/models'),
    await world.get('/livez'),
    await world.get('/v1/wallet/info', bearer(key)),
    await ask(),
  ];
  for (const { status, headers } of replies) {
    expect(status).toBe(200);
    expect(new Set(IDS.map((name) => headers.get(name))).size).toBe(1);
  }
  expect(new Set(replies.map(({ headers }) => headers.get('x-request-id'))).size).toBe(replies.length);
  expect(replies.at(-1)?.json.metadata.routstr.request_id).toBe(replies.at(-1)?.headers.get('x-request-id'));
});

test.each(['/', '/v1/chat/completions', '/v1/wallet/refund', '/v1/models/a/b', '/livez', '/nowhere/at/all'])(
  'A3 C11 a preflight of %s is free for any origin, with the headers that the SDKs send from a browser',
  async (path) => {
    const wanted =
      'authorization, content-type, x-cashu, x-stainless-lang, x-stainless-retry-count, x-api-key';
    const answer = await fetch(world.url + path, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': wanted,
      },
    });
    expect(answer.ok).toBe(true);
    const { headers } = answer;
    expect(headers.get('access-control-allow-origin')).toBe('*');
    expect(headers.get('access-control-allow-credentials')).toBeNull();
    expect(headers.get('access-control-allow-headers')).toBe(wanted);
    for (const method of ['GET', 'POST', 'DELETE'])
      expect(headers.get('access-control-allow-methods')).toContain(method);
    expect(Number(headers.get('access-control-max-age'))).toBe(86_400);
  },
);

test('A3 a preflight that names no header is told the usual ones', async () => {
  const { headers } = await fetch(`${world.url}/v1/models`, { method: 'OPTIONS' });
  for (const name of ['authorization', 'x-cashu', 'content-type', 'x-routstr-model-path'])
    expect(headers.get('access-control-allow-headers')).toContain(name);
});

test('A4 scripts of any origin may read every header of ours', async () => {
  for (const path of ['/v1/info', '/v1/nothing']) {
    const { headers } = await world.get(path, { origin: 'https://app.example' });
    const exposed = headers.get('access-control-expose-headers')?.split(', ') ?? [];
    for (const name of [
      ...IDS,
      'x-cashu',
      'x-routstr-cost-msats',
      'x-routstr-cost-usd',
      'x-routstr-input-cost-msats',
      'x-routstr-output-cost-msats',
      'retry-after',
      'x-should-retry',
      'www-authenticate',
      'idempotent-replayed',
    ])
      expect(exposed).toContain(name);
  }
});

test('A6 every path also works without /v1 and with a trailing slash', async () => {
  upstream.answer(jsonAnswer(200, completion()));
  for (const path of [
    '/v1/models',
    '/v1/info',
    '/v1/balance/info',
    '/v1/wallet/info',
    '/v1/wallet/balance',
    '/v1/wallet',
    '/v1/key',
    `/v1/models/${RAW_MODEL}`,
  ]) {
    for (const variant of [path, `${path}/`, path.slice(3), `${path.slice(3)}/`]) {
      const { status, json } = await world.get(variant, bearer(key));
      expect([variant, status]).toEqual([variant, 200]);
      expect(json.error).toBeUndefined();
    }
  }
  for (const variant of [
    '/v1/chat/completions',
    '/v1/chat/completions/',
    '/chat/completions',
    '/chat/completions/',
  ]) {
    expect((await world.post(variant, chat('x', { model: RAW_MODEL }), bearer(key))).status).toBe(200);
  }
  for (const path of ['/livez', '/livez/', '/readyz', '/readyz/', '/'])
    expect((await world.get(path)).status).toBe(200);
});

test('HEAD is answered like GET, without a body', async () => {
  for (const path of ['/', '/livez', '/readyz', '/v1/info', '/v1/models', `/v1/models/${RAW_MODEL}`]) {
    const answer = await fetch(world.url + path, { method: 'HEAD' });
    expect([path, answer.status]).toEqual([path, 200]);
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(1);
    expect(await answer.text()).toBe('');
  }
  const refused = await fetch(`${world.url}/v1/chat/completions`, { method: 'HEAD' });
  expect([refused.status, await refused.text()]).toEqual([405, '']);
});

test('A7 no credential of all these requests stands in the log', () => {
  expect(world.logged()).not.toContain(key);
  expect(world.logged()).toContain('node.server.listening');
});

test('D34 what an upstream says about its own account never reaches the client', async () => {
  for (const status of [401, 402, 403]) {
    upstream.answer(jsonAnswer(status, { error: { message: 'Insufficient credits of org-1', code: 'x' } }));
    const { status: got, json, text } = await ask();
    expect([got, json.error.code]).toEqual([502, 'upstream_error']);
    expect(text).not.toContain('org-1');
  }
  upstream.answer(jsonAnswer(429, { error: { message: 'slow' } }, { 'retry-after': '7' }));
  const limited = await ask();
  expect([limited.status, limited.json.error.code]).toEqual([429, 'rate_limited']);
  expect([limited.headers.get('retry-after'), limited.headers.get('retry-after-ms')]).toEqual(['7', '7000']);
  for (const status of [400, 404, 413, 422]) {
    upstream.answer(
      jsonAnswer(status, { error: { message: 'Bad tool', type: 'not_found', code: 'bad_tool' } }),
    );
    const { status: got, json } = await ask();
    expect([got, json.error.type, json.error.code, json.error.message]).toEqual([
      status,
      'upstream_rejected',
      'bad_tool',
      'Bad tool',
    ]);
  }
  expect((await world.get('/v1/wallet/info', bearer(key))).json.reserved).toBe(0);
});

test('the openai SDK reads status, code, type and request id from the envelope', async () => {
  const client = new OpenAI({ apiKey: key, baseURL: `${world.url}/v1`, maxRetries: 0 });
  const error = await client.chat.completions
    .create({ model: MODEL, messages: [] })
    .catch((reason: unknown) => reason as InstanceType<typeof OpenAI.APIError>);
  expect(error).toBeInstanceOf(OpenAI.NotFoundError);
  expect(error).toMatchObject({
    status: 404,
    code: 'model_not_found',
    type: 'not_found_error',
    param: 'model',
  });
  expect((error as { requestID: string }).requestID).toMatch(/^req_/);
});
