import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Json, type TestWorld, MODEL, testWorld } from './support.ts';

let world: TestWorld;
const models = [
  {
    id: 'gpt-4o-mini',
    input_usd_per_million: 0.15,
    output_usd_per_million: 0.6,
    context_length: 128_000,
    max_output_tokens: 16_384,
    alias_ids: ['openai/gpt-4o-mini'],
  },
  {
    id: MODEL,
    input_usd_per_million: 5,
    output_usd_per_million: 15,
    context_length: 8_000,
    max_output_tokens: 4_096,
  },
  {
    id: 'whole/context',
    input_usd_per_million: 1,
    output_usd_per_million: 2,
    context_length: 4_096,
    max_output_tokens: 4_096,
  },
];

beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false }, settings: await settings() });
});
afterAll(() => world.close());

/** A node of its own, behind an address with a path-less https URL and an onion service. */
async function settings(): Promise<Record<string, unknown>> {
  return {
    public_urls: ['https://ai.example.com/', `http://${'a'.repeat(56)}.onion`],
    announce: { enabled: false },
    upstreams: [{ id: 'echo', base_url: 'http://127.0.0.1:9/v1', models }],
    pricing: { btc_usd: 100_000, margin_percent: 10, exchange_fee_percent: 0.5, request_fee_msats: 20 },
  };
}

const list = async (): Promise<Json[]> => (await world.get('/v1/models')).json.data as Json[];

test('B9 /v1/info tells who the node is and which mints it takes', async () => {
  const { status, json } = await world.get('/v1/info');
  expect(status).toBe(200);
  for (const field of ['name', 'description', 'version', 'npub', 'http_url', 'onion_url'])
    expect(json[field]).toBeTypeOf('string');
  expect(json.version).not.toMatch(/^0\.1\./);
  expect(json.npub).toMatch(/^npub1[0-9a-z]{58}$/);
  expect(json.npub).toBe(world.node.npub);
  expect(json.mints).toEqual([world.mint.url.replace(/\/$/, '')]);
  for (const mint of json.mints) expect(mint).not.toMatch(/\/$/);
  expect(json.http_url).toBe('https://ai.example.com');
  expect(json.onion_url).toContain('.onion');
  expect(json.child_key_cost_msats).toBe(0);
  expect(json.units).toEqual([{ mint: world.mint.url, unit: 'sat' }]);
  expect(json.policies).toBeTypeOf('object');
  expect(json.contact).toBeTypeOf('object');
});

test('B10 B11 every model has all that strict parsers ask for: six numbers twice, whole seconds, no null', async () => {
  const data = await list();
  expect(data.map(({ id }) => id)).toEqual(models.map(({ id }) => id));
  for (const model of data) {
    expect(model).toMatchObject({ object: 'model', enabled: true, per_request_limits: null });
    for (const field of ['id', 'name', 'description', 'owned_by']) expect(model[field]).toBeTypeOf('string');
    expect(Number.isInteger(model.created)).toBe(true);
    expect(Number.isInteger(model.context_length) && model.context_length < 2 ** 31).toBe(true);
    expect(Array.isArray(model.alias_ids)).toBe(true);
    expect(Object.keys(model.architecture)).toEqual(
      expect.arrayContaining([
        'modality',
        'input_modalities',
        'output_modalities',
        'tokenizer',
        'instruct_type',
      ]),
    );
    expect(model.top_provider.context_length).toBe(model.context_length);
    expect(Number.isInteger(model.top_provider.max_completion_tokens)).toBe(true);
    for (const prices of [model.pricing, model.sats_pricing]) {
      for (const name of ['prompt', 'completion', 'request', 'image', 'web_search', 'internal_reasoning'])
        expect(prices[name]).toBeTypeOf('number');
      for (const name of ['max_prompt_cost', 'max_completion_cost', 'max_cost'])
        expect(prices[name]).toBeGreaterThan(0);
    }
  }
});

test('B10 prices are per token with all fees, and the largest costs follow from them', async () => {
  const [mini] = await list();
  const { pricing, sats_pricing: sats, context_length, top_provider } = mini;
  expect(sats.prompt).toBeCloseTo((0.15 * 1.1 * 1.005 * 1_000) / 1e6, 6);
  expect(sats.prompt / pricing.prompt).toBeCloseTo(1_000, 6);
  expect(sats.request).toBe(0.02);
  const output = top_provider.max_completion_tokens as number;
  expect(sats.max_completion_cost).toBeCloseTo(sats.completion * output, 2);
  expect(sats.max_cost).toBeCloseTo(
    sats.prompt * (context_length - output) + sats.completion * output + 0.02,
    2,
  );
});

test('B12 the openai SDK lists and retrieves models', async () => {
  const client = new OpenAI({ apiKey: 'none', baseURL: `${world.url}/v1` });
  const ids: string[] = [];
  for await (const model of client.models.list()) ids.push(model.id);
  expect(ids).toContain(MODEL);
  const one = await client.models.retrieve(MODEL);
  expect([one.id, one.object]).toEqual([MODEL, 'model']);
});

test('C10 an id with a slash is found escaped and not, and an alias leads to its model', async () => {
  const data = await list();
  for (const path of [
    `/v1/models/${MODEL}`,
    `/v1/models/${encodeURIComponent(MODEL)}`,
    `/models/${MODEL}/`,
  ]) {
    const { status, json } = await world.get(path);
    expect([path, status]).toEqual([path, 200]);
    expect(json).toEqual(data[1]);
  }
  const alias = await world.get('/v1/models/openai%2Fgpt-4o-mini');
  expect(alias.json.id).toBe('gpt-4o-mini');
  const unknown = await world.get('/v1/models/nobody%2Fknows');
  expect([unknown.status, unknown.json.error.code]).toEqual([404, 'model_not_found']);
});

test('B10 the list has an ETag, and is not sent twice to a client that knows it', async () => {
  const first = await fetch(`${world.url}/v1/models`);
  const etag = first.headers.get('etag') ?? '';
  expect(etag).toMatch(/^"[0-9a-f]+"$/);
  expect(first.headers.get('cache-control')).toBe('public, max-age=60');
  await first.text();
  // A proxy that compresses makes the tag weak; a cache may hold several.
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const answer = await fetch(`${world.url}/v1/models`, { headers: { 'if-none-match': known } });
    expect([known, answer.status, await answer.text()]).toEqual([known, 304, '']);
    expect(answer.headers.get('etag')).toBe(etag);
    expect(answer.headers.get('content-length')).toBeNull();
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
  }
  const other = await fetch(`${world.url}/v1/models`, { headers: { 'if-none-match': '"other"' } });
  expect(other.status).toBe(200);
  await other.text();
});

test('C10 an Anthropic client gets its own shape, and caches keep the two apart', async () => {
  const headers = { 'anthropic-version': '2023-06-01' };
  const answer = await world.get('/v1/models?limit=1000', headers);
  expect(answer.json).toEqual({
    data: expect.any(Array),
    has_more: false,
    first_id: models[0]?.id,
    last_id: models.at(-1)?.id,
  });
  for (const model of answer.json.data as Json[]) {
    expect(Object.keys(model).sort()).toEqual(['created_at', 'display_name', 'id', 'type']);
    expect(model.type).toBe('model');
    expect(new Date(model.created_at as string).getTime()).toBeGreaterThan(0);
  }
  const one = await world.get('/v1/models/gpt-4o-mini', headers);
  expect(one.json).toEqual(answer.json.data[0]);
  for (const variant of [
    answer,
    one,
    await world.get('/v1/models'),
    await world.get('/v1/models/gpt-4o-mini'),
  ])
    expect(variant.headers.get('vary')).toBe('anthropic-version');
  const etag = (await world.get('/v1/models')).headers.get('etag') ?? '';
  expect((await world.get('/v1/models', { ...headers, 'if-none-match': etag })).status).toBe(200);
});

test('B9 B10 public pages ask for no credential, and a bad one does no harm', async () => {
  for (const path of ['/v1/info', '/v1/models', '/livez', '/readyz', '/'])
    expect((await world.get(path, { authorization: 'Bearer junk', 'x-cashu': 'junk' })).status).toBe(200);
});

test('/livez and /readyz say so, uncached', async () => {
  for (const path of ['/livez', '/readyz']) {
    const { status, headers, json } = await world.get(path);
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(json.status === 'live' || json.ready === true).toBe(true);
  }
});
