import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestWorld, bearer, chat, read, testWorld } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false } });
});
afterAll(() => world.close());

type Method = 'GET' | 'POST' | 'DELETE';
const send = async (method: Method, path: string) =>
  read(
    await fetch(world.url + path, {
      method,
      ...(method === 'POST' && { headers: { 'content-type': 'application/json' }, body: '' }),
    }),
  );

const both = (name: string): string[] => [`/v1${name}`, name];
const families = (name: string): string[] => ['/balance', '/wallet'].flatMap((family) => both(family + name));
const lightning = (name: string): string[] =>
  ['', '/v1', '/v2', ...families('')].map((family) => `${family}/lightning${name}`);

/** Every path of the public surface, and how it answers somebody who brings nothing. */
const SURFACE: [method: Method, paths: string[], status: number, code?: string, query?: string][] = [
  ['GET', both('/info'), 200],
  ['GET', both('/models'), 200],
  ['GET', both('/models/no/such'), 404, 'model_not_found'],
  ['GET', both('/models/paths'), 200],
  ['GET', both('/models/paths/model'), 404, 'model_not_found', '?model_id=none'],
  ['GET', both('/providers'), 200],
  ['POST', both('/chat/completions'), 400, 'invalid_json'],
  ['POST', both('/quote'), 400, 'invalid_json'],
  ['GET', both('/generation'), 401, 'missing_api_key', '?id=req_0'],
  ['GET', both('/ops/op_0'), 401, 'missing_api_key'],
  ['GET', both('/key'), 401, 'missing_api_key'],
  ['POST', families('/create'), 400, 'missing_param'],
  ['GET', families('/create'), 400, 'missing_param'],
  ['GET', families(''), 401, 'missing_api_key'],
  ['GET', families('/info'), 401, 'missing_api_key'],
  ['GET', families('/balance'), 401, 'missing_api_key'],
  ['POST', families('/topup'), 401, 'missing_api_key'],
  ['POST', families('/refund'), 401, 'missing_api_key'],
  ['GET', families('/history'), 401, 'missing_api_key'],
  ['GET', families('/transactions'), 401, 'missing_api_key'],
  ['POST', families('/child-key'), 401, 'missing_api_key'],
  ['POST', families('/child-key/reset'), 401, 'missing_api_key'],
  ['DELETE', families('/child-key/ck_0'), 401, 'missing_api_key'],
  ['POST', lightning('/invoice'), 400, 'invalid_amount'],
  ['GET', lightning('/invoice/op_0/status'), 404, 'invoice_not_found'],
  ['POST', lightning('/recover'), 400, 'missing_param'],
  ['GET', ['/livez'], 200],
  ['GET', ['/readyz'], 200],
  ['GET', ['/.well-known/nostr.json'], 200],
];

test.each(SURFACE)(
  '%s %j is one handler, with and without a slash at the end, and says which method it wants',
  async (method, paths, status, code, query = '') => {
    for (const path of paths.flatMap((spelling) => [spelling, `${spelling}/`])) {
      const { status: got, json } = await send(method, path + query);
      expect([path, got, json.error?.code]).toEqual([path, status, code]);
      const wrong = await send(path.includes('child-key') ? 'GET' : 'DELETE', path);
      expect([path, wrong.status]).toEqual([path, 405]);
      expect(wrong.headers.get('allow')).toContain(method);
    }
  },
);

test('A4 whatever header a reply has, scripts of other origins may read it', async () => {
  const key = await world.key(500);
  const keyed = { ...bearer(key), 'idempotency-key': 'seen' };
  const ask = (headers: Record<string, string>) => world.post('/v1/chat/completions', chat('Hello'), headers);
  const replies = [
    await ask({}),
    await ask(bearer('sk-none')),
    await ask(keyed),
    await ask(keyed),
    await ask({ 'x-cashu': await world.mint.issue(90) }),
    await world.get('/v1/models'),
    await world.get('/v1/wallet/refund'),
  ];
  world.model.failNext('status-429');
  replies.push(await ask(bearer(key)));
  expect(replies.map(({ status }) => status)).toEqual([402, 401, 200, 200, 200, 200, 405, 429]);
  const plain =
    /^(?:access-control-.*|cache-control|connection|content-.*|date|keep-alive|vary|x-content-type-options)$/;
  for (const { headers } of replies) {
    const exposed = headers.get('access-control-expose-headers')?.split(', ') ?? [];
    expect([...headers.keys()].filter((name) => !plain.test(name) && !exposed.includes(name))).toEqual([]);
  }
});
