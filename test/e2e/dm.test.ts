import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DataFrame, ResultFrame } from '../../src/protocol/dmi.ts';
import { pubkeyOf } from '../../src/relay/key.ts';
import { type DmClient, dmClient, newId, request } from './dm-kit.ts';
import { type Json, type TestWorld, MODEL, bearer, chat, events, testWorld, until } from './support.ts';

let world: TestWorld;
let client: DmClient;
beforeAll(async () => {
  world = await testWorld();
  client = await dmClient(pubkeyOf(world.node.npub) ?? '', [world.relay.url]);
});
afterAll(async () => {
  await client.close();
  await world.close();
});
const json = (bytes: Buffer): Json => JSON.parse(bytes.toString('utf8'));
const drift = (): number => world.node.totals().drift;
const steady = (body: Json): Json =>
  JSON.parse(
    JSON.stringify(body)
      .replace(/"(?:req_[0-9a-f]+|chatcmpl-[^"]*)"/g, '"id"')
      .replace(/"created":\d+/g, '"created":0'),
  );

describe('the same table over HTTP and over direct messages', () => {
  const body = JSON.stringify(chat('the same words over both'));
  const table: [string, string, string, string | undefined, 'key' | 'none' | 'bad'][] = [
    ['info', 'GET', '/v1/info', undefined, 'none'],
    ['models', 'GET', '/v1/models', undefined, 'none'],
    ['one model', 'GET', `/v1/models/${MODEL}`, undefined, 'none'],
    ['a model that is not there', 'GET', '/v1/models/none', undefined, 'none'],
    ['a path that is not there', 'GET', '/v1/balance/none', undefined, 'none'],
    ['chat without the means', 'POST', '/v1/chat/completions', body, 'bad'],
    ['chat', 'POST', '/v1/chat/completions', body, 'key'],
    ['a broken body', 'POST', '/v1/chat/completions', '{', 'key'],
    ['balance', 'GET', '/v1/balance/info', undefined, 'key'],
    ['history', 'GET', '/v1/balance/history?limit=1', undefined, 'key'],
    ['a quote', 'POST', '/v1/quote', body, 'none'],
    ['paths to models', 'GET', '/v1/models/paths', undefined, 'none'],
    ['other nodes', 'GET', '/v1/providers/', undefined, 'none'],
    ['an operation that is not there', 'GET', '/v1/ops/op_0', undefined, 'key'],
    ['a cost that is not there', 'GET', '/v1/generation?id=req_0', undefined, 'key'],
    ['a refund of less than nothing', 'POST', '/v1/wallet/refund', '{"amount_sats":-1}', 'key'],
    ['an invoice over nothing', 'POST', '/v1/wallet/lightning/invoice', '{}', 'key'],
    ['no child keys', 'POST', '/v1/balance/child-key', '{"count":0}', 'key'],
  ];
  test.each(table)('%s', async (_name, method, path, content, paying) => {
    const [one, two] = [await world.key(2_000), await world.key(2_000)];
    const by = { key: (key: string) => key, bad: () => `sk-${'0'.repeat(64)}`, none: () => undefined }[
      paying
    ];
    const headers = by(one) === undefined ? {} : bearer(by(one) ?? '');
    const http =
      method === 'GET' ? await world.get(path, headers) : await world.post(path, content ?? '', headers);
    const auth = by(two) === undefined ? {} : { auth: { bearer: by(two) ?? '' } };
    const dm = await client.ask({ path, ...(content !== undefined && { content }), ...auth });
    expect(dm.last.status).toBe(http.status);
    const [theirs, ours] = [steady(http.json), steady(json(dm.bytes))];
    for (const side of [theirs, ours]) {
      delete side.api_key;
      delete side.request_id;
      for (const line of side.transactions ?? []) for (const name of ['id', 'created_at']) delete line[name];
    }
    expect(ours).toEqual(theirs);
    if (dm.last.t === 'res')
      expect(dm.last.cost_msat).toBe(Number(http.headers.get('x-routstr-cost-msats') ?? 0));
    else expect(dm.last.code).toBe(http.json.error.code);
    expect(await world.balance(two)).toBe(await world.balance(one));
    expect(drift()).toBe(0);
  });
});

test('a stream comes in few frames that say the same as over HTTP, under one digest, at the same cost', async () => {
  const words = 'word '.repeat(200);
  const [one, two] = [await world.key(2_000), await world.key(2_000)];
  const body = JSON.stringify(chat(words, { stream: true }));
  const http = events((await world.post('/v1/chat/completions', body, bearer(one))).text);
  const answer = await client.ask({
    path: '/v1/chat/completions',
    content: body,
    auth: { bearer: two },
    stream: {},
  });
  const last = answer.last as ResultFrame;
  const data = client
    .about(answer.id)
    .filter((frame): frame is DataFrame => frame.t === 'data')
    .sort((a, b) => a.seq - b.seq);
  expect(data.map(({ seq }) => seq)).toEqual(data.map((_frame, i) => i));
  expect(last).toMatchObject({ status: 200, last: data.length });
  const { unpackBody } = await import('../../src/protocol/dmi-body.ts');
  const texts = await Promise.all(
    data.map(async ({ d, z }) => (await unpackBody({ body: d, z })).toString()),
  );
  expect(last.sha256).toBe(createHash('sha256').update(texts.join('')).digest('hex'));
  const chunks: Json[] = texts.filter(Boolean).map((text) => JSON.parse(text));
  const said = (all: Json[]): string => all.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('');
  expect(said(chunks)).toBe(said(http));
  expect(chunks.length).toBeLessThan(http.length);
  expect(last.cost_msat).toBe(http.at(-1).cost.total_msats);
  expect(await world.balance(two)).toBe(await world.balance(one));
});

test('money sealed to the node is the account of the key that sealed it', async () => {
  const token = await world.mint.issue(500);
  const topped = await client.ask({
    path: '/v1/balance/topup',
    content: JSON.stringify({ cashu_token: token }),
  });
  expect(json(topped.bytes)).toEqual({ msats: 500_000 });
  const paid = await client.ask({ path: '/v1/chat/completions', content: JSON.stringify(chat('mine')) });
  const { cost_msat: cost } = paid.last as ResultFrame;
  expect(cost).toBeGreaterThan(0);
  const { json: info } = { json: json((await client.ask({ path: '/v1/balance/info' })).bytes) };
  expect(info.balance).toBe(500_000 - cost);
  const other = await dmClient(pubkeyOf(world.node.npub) ?? '', [world.relay.url]);
  expect(
    (await other.ask({ path: '/v1/chat/completions', content: JSON.stringify(chat('not mine')) })).last
      .status,
  ).toBe(402);
  await other.close();
  const refund = await client.ask({ path: '/v1/balance/refund', content: '{}' });
  const back = json(refund.bytes);
  expect(Number(back.sats)).toBe(Math.floor((500_000 - cost) / 1000));
  await client.send({ t: 'ack', id: refund.id });
  expect(drift()).toBe(0);
});

test('a body in parts, one of them lost, is asked for and arrives', async () => {
  const key = await world.key(50_000);
  const { packBody } = await import('../../src/protocol/dmi-body.ts');
  const noise = createHash('sha512');
  const text = Array.from({ length: 900 }, (_, i) => noise.copy().update(`${i}`).digest('base64')).join(' ');
  const packed = await packBody(Buffer.from(JSON.stringify(chat(text))));
  expect(packed.parts.length).toBeGreaterThan(2);
  const frame = request({
    method: 'POST',
    path: '/v1/chat/completions',
    ...packed.fields,
    auth: { bearer: key },
  });
  const [first, second, ...rest] = packed.parts;
  await client.send({ ...(first ?? { t: 'part', i: 0, z: '' }), id: frame.id });
  await client.send(frame);
  for (const part of rest) await client.send({ ...part, id: frame.id });
  await until('the missing part is named', () =>
    client.about(frame.id).some((each) => each.t === 'acc' && each.need_parts?.includes(1) === true),
  );
  await client.send({ ...(second ?? { t: 'part', i: 1, z: '' }), id: frame.id });
  const answer = await client.end(frame.id);
  expect(answer.last).toMatchObject({ t: 'res', status: 200 });
  expect(json(answer.bytes).choices[0].message.content).toContain(text.slice(0, 100));
});

test('a one-shot token comes back as change, stored until it is acknowledged, and is told again', async () => {
  const token = await world.mint.issue(300);
  const paid = await client.ask({
    path: '/v1/chat/completions',
    content: JSON.stringify(chat('one shot')),
    auth: { cashu: token },
  });
  const last = paid.last as ResultFrame;
  expect(last.change).toMatch(/^cashu/);
  const before = client.got.length;
  await client.send({ t: 'get', id: paid.id });
  await until('it is told again', () => client.got.length > before);
  expect((client.got.at(-1)?.frame as ResultFrame).change).toBe(last.change);
  await client.send({ t: 'ack', id: paid.id });
  expect(world.logged()).not.toContain(last.change?.slice(0, 40));
  expect(drift()).toBe(0);
});

test('what is too late, not understood or not for messages is refused, and a token in it stays untouched', async () => {
  const token = await world.mint.issue(64);
  const content = JSON.stringify(chat('late'));
  const now = Math.floor(Date.now() / 1000);
  const late = { path: '/v1/chat/completions', content, auth: { cashu: token } };
  expect((await client.ask({ ...late, exp: now - 1 })).last).toMatchObject({ code: 'stale' });
  expect((await client.ask({ ...late, exp: now + 3_600 })).last).toMatchObject({ code: 'bad_request' });
  expect((await client.ask({ path: '/metrics' })).last).toMatchObject({ status: 404, code: 'not_found' });
  const kept = await client.ask({
    path: '/v1/balance/create',
    content: JSON.stringify({ cashu_token: token }),
  });
  expect(json(kept.bytes).balance).toBe(64_000);
  await client.send({ t: 'ping', n: 7 });
  await until('pong', () => client.got.some(({ frame }) => frame.t === 'pong' && frame.n === 7));
});

test('one id is one request, and another body under it a conflict', async () => {
  const key = await world.key(1_000);
  const id = newId();
  const first = await client.ask({
    id,
    path: '/v1/chat/completions',
    content: JSON.stringify(chat('once')),
    auth: { bearer: key },
  });
  const { cost_msat: cost } = first.last as ResultFrame;
  await client.send(request({ id, path: '/v1/info' }));
  await until('a conflict', () =>
    client.about(id).some((frame) => frame.t === 'err' && frame.code === 'id_conflict'),
  );
  expect(await world.balance(key)).toBe(1_000_000 - cost);
});

test('a request costs no more than its client allowed, over both faces, and nothing where that is too little', async () => {
  const key = await world.key(2_000);
  const content = JSON.stringify(chat('word '.repeat(50)));
  const path = '/v1/chat/completions';
  const auth = { bearer: key };
  const full = (await client.ask({ path, content, auth })).last as ResultFrame;
  const most = Math.floor(full.cost_msat * 0.8);
  const capped = (await client.ask({ path, content, auth, max_msat: most })).last as ResultFrame;
  expect(capped.status).toBe(200);
  expect(capped.cost_msat).toBeLessThanOrEqual(most);
  expect(capped.cost_msat).toBeGreaterThan(0);
  const http = await world.post(path, content, { ...bearer(key), 'x-max-cost-msats': String(most) });
  expect(Number(http.headers.get('x-routstr-cost-msats'))).toBe(capped.cost_msat);
  const before = await world.balance(key);
  expect(before).toBe(2_000_000 - full.cost_msat - 2 * capped.cost_msat);
  expect((await client.ask({ path, content, auth, max_msat: 1 })).last).toMatchObject({
    t: 'err',
    status: 402,
  });
  const token = await world.mint.issue(64);
  expect((await client.ask({ path, content, auth: { cashu: token }, max_msat: 1 })).last.status).toBe(402);
  const kept = await client.ask({
    path: '/v1/balance/create',
    content: JSON.stringify({ cashu_token: token }),
  });
  expect(json(kept.bytes).balance).toBe(64_000);
  expect((await world.post(path, content, { ...bearer(key), 'x-max-cost-msats': '1.5' })).status).toBe(400);
  expect(await world.balance(key)).toBe(before);
});

test('a paid request is accepted with what is set aside for it, one that was refused or is free without', async () => {
  const key = await world.key(2_000);
  const path = '/v1/chat/completions';
  const accepted = (id: string): Json[] => client.about(id).filter(({ t }) => t === 'acc');
  world.model.slow(300);
  const body = JSON.stringify(chat('word '.repeat(20), { max_tokens: 50 }));
  const frame = request({ method: 'POST', path, body, auth: { bearer: key } });
  await client.send(frame);
  const estimateOf = async (id: string): Promise<number> => {
    await until('it is accepted', () => accepted(id).some(({ est_msat }) => est_msat !== undefined));
    return accepted(id).find(({ est_msat }) => est_msat !== undefined)?.est_msat;
  };
  const estimate = await estimateOf(frame.id);
  const { reserved } = (await world.get('/v1/balance/info', bearer(key))).json;
  const { last } = await client.end(frame.id);
  world.model.slow(0);
  expect(estimate).toBeGreaterThan(0);
  expect([0, estimate]).toContain(reserved);
  expect(last.cost_msat).toBeLessThanOrEqual(estimate);
  const less = await client.ask({ path, content: body, auth: { bearer: key }, max_msat: estimate - 1 });
  expect(await estimateOf(less.id)).toBe(estimate - 1);
  const oneShot = await client.ask({ path, content: body, auth: { cashu: await world.mint.issue(500) } });
  await client.send({ t: 'ack', id: oneShot.id });
  expect(await estimateOf(oneShot.id)).toBe(estimate);
  const free = await client.ask({ path: '/v1/info' });
  await until('that of a free one', () => accepted(free.id).length === 1);
  expect(accepted(free.id)[0]).toEqual({ t: 'acc', id: free.id });
  const refused = await client.ask({ path, content: body, auth: { bearer: `sk-${'0'.repeat(64)}` } });
  expect(refused.last.status).toBe(401);
  expect(accepted(refused.id).filter(({ est_msat }) => est_msat !== undefined)).toEqual([]);
});

test('a cancelled stream is paid for as far as it went', async () => {
  const key = await world.key(2_000);
  world.model.chunkDelay(40);
  const frame = request({
    method: 'POST',
    path: '/v1/chat/completions',
    body: JSON.stringify(chat('word '.repeat(100), { stream: true })),
    auth: { bearer: key },
    stream: {},
  });
  await client.send(frame);
  await until('the first frame', () => client.about(frame.id).some(({ t }) => t === 'data'));
  await client.send({ t: 'cancel', id: frame.id });
  world.model.chunkDelay(0);
  const { last } = await client.end(frame.id);
  expect(last).toMatchObject({ t: 'err', status: 499, code: 'cancelled' });
  expect(await world.balance(key)).toBe(2_000_000 - (last.cost_msat ?? 0));
  expect(drift()).toBe(0);
});
