import { connect } from 'node:net';
import { getDecodedToken, getEncodedToken } from '@cashu/cashu-ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Reply, type TestWorld, bearer, chat, testWorld } from './support.ts';

let world: TestWorld;
let key: string;
beforeAll(async () => {
  world = await testWorld();
  key = await world.key(50);
});
afterAll(() => world.close());

const ask = (body: unknown, headers: Record<string, string> = bearer(key)): Promise<Reply> =>
  world.post('/v1/chat/completions', body, headers);

test.each([
  ['an array', [], 400, 'invalid_request'],
  ['null', 'null', 400, 'invalid_request'],
  ['broken JSON', '{"model":', 400, 'invalid_json'],
  ['an empty body', '', 400, 'invalid_json'],
  ['no model', { messages: [] }, 400, 'missing_param'],
  ['an unknown model', chat('x', { model: 'nobody/nothing' }), 404, 'model_not_found'],
  ['a numeric model', chat('x', { model: 7 }), 404, 'model_not_found'],
  ['negative max_tokens', chat('x', { max_tokens: -1_000_000 }), 400, 'invalid_max_tokens'],
  ['max_tokens as text', chat('x', { max_tokens: '100' }), 400, 'invalid_max_tokens'],
  ['fifty answers', chat('x', { n: 50 }), 400, 'unsupported_parameter'],
  ['stream as text', chat('x', { stream: 'true' }), 400, 'invalid_request'],
  ['two models', '{"model":"demo/echo","model":"demo/echo-large","messages":[]}', 400, 'duplicate_keys'],
  [
    'depth 5000',
    `{"model":"demo/echo","messages":${'['.repeat(5_000)}${']'.repeat(5_000)}}`,
    400,
    'json_too_deep',
  ],
])('%s is refused with its code', async (_what, body, status, code) => {
  const reply = await ask(body);
  expect([reply.status, reply.json.error.code]).toEqual([status, code]);
  expect(reply.json.detail.error).toEqual(reply.json.error);
  expect(reply.json.request_id).toBe(reply.headers.get('x-request-id'));
});

test('a body of 200 kB is served', async () => {
  const rich = await world.key(5_000);
  const { status } = await ask(chat('word '.repeat(40_000), { max_tokens: 5 }), bearer(rich));
  expect(status).toBe(200);
});

test('a body of 40 MB is refused as too large', async () => {
  const { status, json } = await ask(chat('x'.repeat(40_000_000)));
  expect([status, json.error.code]).toEqual([413, 'payload_too_large']);
});

test('an X-Cashu header of 20 kB reaches the node and is judged as a token', async () => {
  const { status, json } = await ask(chat('x'), { 'x-cashu': `cashuB${'A'.repeat(20_000)}` });
  expect([status, json.error.code]).toEqual([400, 'invalid_cashu_token']);
});

test('headers beyond 64 kB get the envelope, too', async () => {
  const { hostname, port } = new URL(world.url);
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(`GET /v1/info HTTP/1.1\r\nhost: x\r\nx-big: ${'a'.repeat(70_000)}\r\n\r\n`);
    });
    let received = '';
    socket.on('data', (data) => (received += data.toString()));
    socket.on('close', () => resolve(received));
    socket.on('error', reject);
  });
  expect(text).toContain('HTTP/1.1 431');
  expect(text).toContain('"code":"headers_too_large"');
});

test.each([
  ['no token at all', 'sk-nonsense', 401, 'invalid_api_key'],
  ['an unknown key', `sk-${'0'.repeat(64)}`, 401, 'invalid_api_key'],
  ['a broken token', 'cashuBnonsense', 400, 'invalid_cashu_token'],
])('%s as bearer is refused', async (_what, credential, status, code) => {
  const reply = await ask(chat('x'), bearer(credential));
  expect([reply.status, reply.json.error.code]).toEqual([status, code]);
});

test('an unknown key is told in the words that old clients look for', async () => {
  const { json } = await ask(chat('x'), bearer(`sk-${'0'.repeat(64)}`));
  expect(json.error.message).toContain('Key not found');
  expect(json.error.message).toContain('proofs already spent');
});

test('a token of another mint is refused and that mint is never contacted', async () => {
  let contacts = 0;
  const { createServer } = await import('node:net');
  const stranger = createServer((socket) => {
    contacts += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const { port } = stranger.address() as { port: number };
  const decoded = getDecodedToken(await world.mint.issue(10), [world.mint.keyset()]);
  const foreign = getEncodedToken({ ...decoded, mint: `http://127.0.0.1:${port}` });
  for (const headers of [bearer(foreign), { 'x-cashu': foreign }]) {
    const { status, json } = await ask(chat('x'), headers);
    expect([status, json.error.code]).toEqual([400, 'untrusted_mint']);
  }
  expect(contacts).toBe(0);
  await new Promise((resolve) => stranger.close(resolve));
});

test('a token that was spent elsewhere is refused, and on info it is a dead key', async () => {
  const token = await world.mint.issue(10);
  const { createBuyer } = await import('../../src/demo/buyer.ts');
  await (await createBuyer({ mintUrl: world.mint.url })).receive(token);
  const paid = await ask(chat('x'), { 'x-cashu': token });
  expect([paid.status, paid.json.error.code]).toEqual([400, 'token_already_spent']);
  expect(paid.headers.get('x-cashu')).toBeNull();
  const info = await world.get('/v1/wallet/info', bearer(token));
  expect([info.status, info.json.error.code]).toEqual([401, 'invalid_api_key']);
});

test('a token that is worth too little is refused before it is redeemed', async () => {
  const token = await world.mint.issue(1);
  const swaps = world.mint.stats.swaps;
  const { status, json } = await ask(chat('word '.repeat(8_000)), { 'x-cashu': token });
  expect([status, json.error.code]).toEqual([402, 'insufficient_balance']);
  expect(world.mint.stats.swaps).toBe(swaps);
});

test.each([
  ['POST', '/v1/organization/api_keys', 404, 'not_found'],
  ['POST', '/v1/files', 404, 'not_found'],
  ['GET', '/v1/chat/completions', 405, 'method_not_allowed'],
  ['POST', '/v1/models', 405, 'method_not_allowed'],
  ['GET', '/v1/models/nobody/nothing', 404, 'model_not_found'],
  ['GET', '/%zz', 400, 'bad_request'],
  ['GET', '/V1/INFO', 404, 'not_found'],
])('%s %s is answered in JSON', async (method, path, status, code) => {
  const answer = await fetch(world.url + path, { method });
  const json = (await answer.json()) as { error: { code: string } };
  expect([answer.status, json.error.code]).toEqual([status, code]);
});

test('text, forms and compressed bodies are refused by their type', async () => {
  const text = await ask(JSON.stringify(chat('x')), { ...bearer(key), 'content-type': 'text/plain' });
  expect([text.status, text.json.error.code]).toEqual([415, 'unsupported_media_type']);
  const packed = await ask('x', { ...bearer(key), 'content-encoding': 'zstd' });
  expect([packed.status, packed.json.error.code]).toEqual([415, 'unsupported_encoding']);
});

test('a preflight is answered for any origin and any header', async () => {
  const answer = await fetch(`${world.url}/v1/chat/completions`, {
    method: 'OPTIONS',
    headers: { origin: 'https://app.example', 'access-control-request-headers': 'x-stainless-lang, x-cashu' },
  });
  expect(answer.status).toBe(204);
  expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  expect(answer.headers.get('access-control-allow-headers')).toBe('x-stainless-lang, x-cashu');
});

test('after all of it nothing was redeemed or charged, and the node serves on', async () => {
  const info = (await world.get('/v1/wallet/info', bearer(key))).json;
  expect([info.balance, info.reserved]).toEqual([50_000, 0]);
  expect(world.node.totals().drift).toBe(0);
  expect((await ask(chat('still alive'))).status).toBe(200);
});
