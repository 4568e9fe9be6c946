import { getDecodedToken, getEncodedToken } from '@cashu/cashu-ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBuyer } from '../../src/demo/buyer.ts';
import { type Reply, type TestWorld, MODEL, bearer, chat, testWorld } from './support.ts';

let world: TestWorld;
let key: string;
let served: number;
beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false } });
  key = await world.key(5_000);
  served = world.model.stats.total;
});
afterAll(() => world.close());

const ask = (body: unknown): Promise<Reply> => world.post('/v1/chat/completions', body, bearer(key));
const messages = [{ role: 'user', content: 'hi' }];
const raw = (bytes: Uint8Array | string): Promise<Response> =>
  fetch(`${world.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(key) },
    body: bytes,
  });
const json = (text: string) => `{"model":"${MODEL}","messages":[],${text}}`;
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

test.each<[string, unknown, string]>([
  ['J1 cut off', '{"model":"demo/echo","messages":[', 'invalid_json'],
  ['J1 NaN', json('"temperature":NaN'), 'invalid_json'],
  ['J1 trailing comma', json('"a":1,'), 'invalid_json'],
  ['J1 comment', json('"a":1/* b */'), 'invalid_json'],
  ['J2 empty', '', 'invalid_json'],
  ['J2 blank', '   ', 'invalid_json'],
  ['J3 null', 'null', 'invalid_request'],
  ['J3 text', '"hi"', 'invalid_request'],
  ['J3 number', '42', 'invalid_request'],
  ['J4 array', '[]', 'invalid_request'],
  ['J5 two models', json('"model":"demo/echo-large"'), 'duplicate_keys'],
  ['J5 two models, one escaped', json('"mod\\u0065l":"demo/echo-large"'), 'duplicate_keys'],
  ['J5 two limits', json('"max_tokens":1,"max_tokens":4000'), 'duplicate_keys'],
  ['J6 __proto__', json('"__proto__":{"stream":true}'), 'invalid_request'],
  ['J6 __proto__ inside', json('"a":{"__proto__":1}'), 'invalid_request'],
  ['J7 depth 65', json(`"a":${deep(65)}`), 'json_too_deep'],
  ['J7 depth 100,000', json(`"a":${deep(100_000)}`), 'json_too_deep'],
  ['J7 open brackets only', '['.repeat(200_000), 'json_too_deep'],
  [
    'J10 10,001 messages',
    chat('x', { messages: Array.from({ length: 10_001 }, () => messages[0]) }),
    'too_many_items',
  ],
  ['J10 100,000 tools', chat('x', { tools: Array.from({ length: 100_000 }, () => 0) }), 'too_many_items'],
  ['J11 zero', chat('x', { max_tokens: 0 }), 'invalid_max_tokens'],
  ['J11 a half', chat('x', { max_tokens: 1.5 }), 'invalid_max_tokens'],
  ['J11 text', chat('x', { max_tokens: '100' }), 'invalid_max_tokens'],
  ['J11 1e400', json('"max_tokens":1e400'), 'invalid_max_tokens'],
  ['J11 2^53+1', json('"max_tokens":9007199254740993'), 'invalid_max_tokens'],
  ['J11 the newer field', chat('x', { max_completion_tokens: -5 }), 'invalid_max_tokens'],
  ['J12 two that differ', chat('x', { max_tokens: 5, max_completion_tokens: 4_000 }), 'invalid_max_tokens'],
  ['J13 n of 1000', chat('x', { n: 1_000 }), 'unsupported_parameter'],
  ['J13 n of 0', chat('x', { n: 0 }), 'unsupported_parameter'],
  ['J13 best_of', chat('x', { best_of: 5 }), 'unsupported_parameter'],
  ['J14 stream as text', chat('x', { stream: 'true' }), 'invalid_request'],
  [
    'J14 include_usage as text',
    chat('x', { stream: true, stream_options: { include_usage: 'no' } }),
    'invalid_request',
  ],
  ['J14 stream_options as text', chat('x', { stream: true, stream_options: 'x' }), 'invalid_request'],
  ['J15 priority tier', chat('x', { service_tier: 'priority' }), 'unsupported_parameter'],
  ['J15 web search', chat('x', { web_search_options: {} }), 'unsupported_parameter'],
  ['J15 audio out', chat('x', { modalities: ['text', 'audio'] }), 'unsupported_parameter'],
  ['J19 no model', { messages }, 'missing_param'],
  ['no messages', { model: MODEL }, 'invalid_request'],
  ['messages as text', { model: MODEL, messages: 'hi' }, 'invalid_request'],
])('a body that is %s is refused with 400', async (_what, body, code) => {
  const reply = await ask(body);
  expect([reply.status, reply.json.error.code]).toEqual([400, code]);
  expect(reply.json.error.type).toBe('invalid_request_error');
});

test.each([7, 'x'.repeat(10_000), '../etc', 'demo/\u0435cho', '', ' demo/echo', '__proto__', 'constructor'])(
  'J19 the model %j is not sold here',
  async (model) => {
    const reply = await ask(chat('x', { model }));
    expect([reply.status, reply.json.error.code]).toEqual([404, 'model_not_found']);
  },
);

test('J8 bytes that are not UTF-8, and a byte order mark, are refused', async () => {
  const text = JSON.stringify(chat('x'));
  for (const bytes of [
    Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xff, 0xfe])]),
    Buffer.from(text.replace('"x"', '"\u00ff"'), 'latin1'),
    Buffer.from(`\ufeff${text}`),
  ]) {
    const answer = await raw(bytes);
    expect([answer.status, ((await answer.json()) as { error: { code: string } }).error.code]).toEqual([
      400,
      'invalid_utf8',
    ]);
  }
});

test('nothing of all this reached the AI server or was charged', async () => {
  expect(world.model.stats.total).toBe(served);
  const { json: info } = await world.get('/v1/wallet/info', bearer(key));
  expect([info.balance, info.reserved, info.total_requests]).toEqual([5_000_000, 0, 0]);
});

test('J8 J12 J16 J17 odd but valid bodies are served: lone surrogates, NUL, equal limits, image addresses', async () => {
  for (const extra of [
    { messages: [{ role: 'user', content: 'a\ud800b\u0000c' }] },
    { max_tokens: 5, max_completion_tokens: 5 },
    { max_tokens: null, stream_options: null, n: null },
    { user: 'u', metadata: { a: 'b' }, store: true },
    {
      messages: [
        { role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://127.0.0.1:9/x.png' } }] },
      ],
    },
  ]) {
    expect((await ask(chat('x', extra))).status).toBe(200);
  }
});

test('C7 bodies of 200 kB and of 20 MB are read', async () => {
  for (const size of [200_000, 20_000_000]) {
    const { status, json: body } = await ask(chat('x'.repeat(size), { max_tokens: -1 }));
    expect([status, body.error.code]).toEqual([400, 'invalid_max_tokens']);
  }
});

test('T1-T17 a token that is none is refused before anything is asked of any mint', async () => {
  const good = await world.mint.issue(10);
  const decoded = getDecodedToken(good, [world.mint.keyset()]);
  const [first] = decoded.proofs;
  if (!first) throw new Error('a token has proofs');
  const made = (fields: Partial<typeof decoded>) => getEncodedToken({ ...decoded, ...fields });
  const many = await world.mint.issue(129, { amounts: Array.from({ length: 129 }, () => 1) });
  const swaps = world.mint.stats.swaps;
  const rows: [string, string, string][] = [
    ['T1 nothing inside', 'cashuB', 'invalid_cashu_token'],
    ['T1 another version', `cashuC${good.slice(6)}`, 'invalid_cashu_token'],
    ['T1 not base64', 'cashuB$$$', 'invalid_cashu_token'],
    ['T1 cut off', good.slice(0, -20), 'invalid_cashu_token'],
    ['T1 an empty object', `cashuA${Buffer.from('{}').toString('base64url')}`, 'invalid_cashu_token'],
    [
      'T4 no proofs',
      `cashuA${Buffer.from(JSON.stringify({ token: [{ mint: decoded.mint, proofs: [] }], unit: 'sat' })).toString('base64url')}`,
      'cashu_token_zero_value',
    ],
    ['T8 a proof twice', made({ proofs: [first, first] }), 'duplicate_proofs'],
    ['T10 too many proofs', many, 'token_too_large'],
    ['T12 another unit', made({ unit: 'usd' }), 'unsupported_unit'],
    ...[
      'http://169.254.169.254/x',
      'file:///etc/passwd',
      'javascript:1',
      'http://127.0.0.1:6379',
      'https://mint.test/../',
      `${decoded.mint.replace('//', '//user:pw@')}`,
    ].map((mint): [string, string, string] => [`T13 T14 mint ${mint}`, made({ mint }), 'untrusted_mint']),
    [
      'T16 C not on the curve',
      made({ proofs: [{ ...first, C: `02${'f'.repeat(64)}` }] }),
      'invalid_cashu_token',
    ],
    [
      'T17 locked',
      made({
        proofs: [{ ...first, secret: JSON.stringify(['P2PK', { nonce: 'a', data: `02${'a'.repeat(64)}` }]) }],
      }),
      'locked_token',
    ],
  ];
  for (const [what, token, code] of rows) {
    const bearerReply = await world.get('/v1/wallet/info', bearer(token));
    const paid = await world.post('/v1/chat/completions', chat('x'), { 'x-cashu': token });
    const created = await world.post('/v1/wallet/create', { cashu_token: token });
    for (const { status, json: body, headers } of [bearerReply, paid, created]) {
      expect([what, status, body.error.code]).toEqual([what, 400, code]);
      expect(headers.get('x-cashu')).toBeNull();
    }
  }
  expect(world.mint.stats.swaps).toBe(swaps);
  expect(await (await createBuyer({ mintUrl: world.mint.url })).receive(good)).toBe(10);
});
