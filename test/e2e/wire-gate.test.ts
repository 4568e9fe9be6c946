import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestWorld, bearer, testWorld } from './support.ts';
import { type ScriptedModel, jsonAnswer, scriptedModel } from './wire-kit.ts';

/** What clients reckon with before they pay: published numbers only. */
interface Listed {
  id: string;
  context_length: number;
  top_provider: { max_completion_tokens: number };
  sats_pricing: {
    prompt: number;
    completion: number;
    request: number;
    max_cost: number;
    max_completion_cost: number;
  };
}
interface Ask {
  model: string;
  messages: { role: string; content: unknown }[];
  max_tokens?: number;
  tools?: unknown[];
  stream?: boolean;
}

let upstream: ScriptedModel;
let world: TestWorld;
let listed: Listed[];
beforeAll(async () => {
  upstream = await scriptedModel();
  const [source] = upstream.settings['upstreams'] as { base_url: string }[];
  const model = (id: string, input: number, output: number, context: number, most: number) => ({
    id,
    input_usd_per_million: input,
    output_usd_per_million: output,
    context_length: context,
    max_output_tokens: most,
  });
  world = await testWorld({
    mint: { dleq: false },
    settings: {
      upstreams: [
        {
          ...source,
          id: 'raw',
          models: [
            model('cheap', 0.15, 0.6, 128_000, 16_384),
            model('dear', 15, 75, 200_000, 32_000),
            model('whole-context', 2, 2, 8_192, 8_192),
            model('input-only', 0.02, 0, 8_192, 1_024),
          ],
        },
      ],
      pricing: { btc_usd: 97_531, margin_percent: 7, exchange_fee_percent: 0.5, request_fee_msats: 30 },
    },
  });
  listed = (await world.get('/v1/models')).json.data as Listed[];
  upstream.answer(
    jsonAnswer(200, {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1,
      model: 'up',
      choices: [{ index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    }),
  );
});
afterAll(async () => {
  await world.close();
  await upstream.close();
});

const listing = (id: string): Listed => listed.find((model) => model.id === id) as Listed;

/** All characters of all strings and keys: the estimate of the newer client. */
function characters(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.entries(value).reduce(
    (sum, [key, inner]) => sum + (Array.isArray(value) ? 0 : key.length) + characters(inner),
    0,
  );
}

/** The gate of the newer client, in msat: the dearest answer less what this request cannot use of it. */
function newGate(ask: Ask): number {
  const { context_length, top_provider, sats_pricing: sats } = listing(ask.model);
  const budget = Math.max(0, context_length - top_provider.max_completion_tokens);
  const tokens = Math.floor(characters(ask) / 3);
  const unusedPrompt = Math.max(0, budget * sats.prompt * 0.99 - tokens * sats.prompt) * 1_000;
  const unusedOutput =
    ask.max_tokens === undefined
      ? 0
      : Math.max(0, sats.max_completion_cost * 0.99 - ask.max_tokens * sats.completion) * 1_000;
  return Math.max(1, Math.floor(sats.max_cost * 0.99 * 1_000) - unusedPrompt - unusedOutput);
}

/** The estimate of the older client, in sats: indented messages by length, and the output. */
function oldEstimate(ask: Ask): number {
  const { sats_pricing: sats } = listing(ask.model);
  const tokens = Math.ceil(JSON.stringify(ask.messages, null, 2).length / 2.84);
  const output = ask.max_tokens ? sats.completion * ask.max_tokens : sats.max_completion_cost;
  return (sats.prompt * tokens + output) * 1.05;
}

const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.integer({ min: 0, max: 20_000 }).map((length) => 'word '.repeat(length / 5)),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
);
const image = fc.integer({ min: 10, max: 30_000 }).map((length) => ({
  type: 'image_url',
  image_url: { url: `data:image/png;base64,${'A'.repeat(length)}` },
}));
const withImage = fc.tuple(text, image).map(([said, picture]) => [{ type: 'text', text: said }, picture]);
const messagesOf = (content: fc.Arbitrary<unknown>) =>
  fc.array(
    fc.record({ role: fc.constantFrom('system', 'user', 'assistant'), content }, { noNullPrototype: true }),
    { minLength: 1, maxLength: 4 },
  );
const tool = fc.tuple(fc.stringMatching(/^[a-z]{1,12}$/), text).map(([name, description]) => ({
  type: 'function',
  function: { name, description, parameters: { type: 'object', properties: { [name]: { type: 'string' } } } },
}));
const asks = (
  of: 'text' | 'everything',
  models: readonly string[] = ['cheap', 'dear', 'input-only'],
): fc.Arbitrary<Ask> =>
  fc
    .record(
      {
        model: fc.constantFrom(...models),
        messages: of === 'text' ? messagesOf(text) : messagesOf(fc.oneof(text, withImage)),
        max_tokens: fc.integer({ min: 1, max: 40_000 }),
        ...(of === 'text' ? {} : { tools: fc.array(tool, { maxLength: 3 }), stream: fc.constant(false) }),
      },
      { requiredKeys: ['model', 'messages'], noNullPrototype: true },
    )
    .map((ask) => ask as Ask);

/** A key with exactly so many sats asks; the answer must come, and with the output that was asked for. */
async function expectServed(ask: Ask, sats: number): Promise<void> {
  const key = await world.key(Math.max(1, sats));
  const { status, json } = await world.post('/v1/chat/completions', ask, bearer(key));
  expect([status, json.error?.message]).toEqual([200, undefined]);
  const info = (await world.get('/v1/wallet/info', bearer(key))).json;
  expect([info.balance, info.reserved]).toEqual([Math.max(1, sats) * 1_000 - json.cost.total_msats, 0]);
}

test('D32 a balance of the newer client’s gate is never answered with 402: text, tools and images', async () => {
  await fc.assert(
    fc.asyncProperty(asks('everything'), (ask) => expectServed(ask, Math.ceil(newGate(ask) / 1_000))),
    { numRuns: 40, endOnFailure: true },
  );
});

test('D32 a balance of the older client’s estimate is never answered with 402', async () => {
  await fc.assert(
    fc.asyncProperty(asks('text'), (ask) => expectServed(ask, Math.ceil(oldEstimate(ask)))),
    { numRuns: 20, endOnFailure: true },
  );
});

test('D32 where output may fill the whole context, the gate counts no prompt, but clients bring the larger of both', async () => {
  const brings = (ask: Ask): number =>
    Math.min(
      listing(ask.model).sats_pricing.max_cost,
      Math.max(oldEstimate(ask), (newGate(ask) / 1_000) * 1.05),
    );
  await fc.assert(
    fc.asyncProperty(asks('text', ['whole-context']), (ask) => expectServed(ask, Math.ceil(brings(ask)))),
    { numRuns: 15, endOnFailure: true },
  );
});

test('D32 a one-shot token of the estimate pays, and its change is exact', async () => {
  const ask: Ask = {
    model: 'dear',
    messages: [{ role: 'user', content: 'word '.repeat(500) }],
    max_tokens: 100,
  };
  const sats = Math.ceil(newGate(ask) / 1_000);
  const reply = await world.post('/v1/chat/completions', ask, { 'x-cashu': await world.mint.issue(sats) });
  expect(reply.status).toBe(200);
  expect(reply.headers.get('x-cashu')).toMatch(/^cashuB/);
});

test('D33 what is really too little gets 402 with the numbers, and keeps its balance', async () => {
  const key = await world.key(2);
  const ask: Ask = {
    model: 'dear',
    messages: [{ role: 'user', content: 'word '.repeat(5_000) }],
    max_tokens: 10,
  };
  const { status, json, headers } = await world.post('/v1/chat/completions', ask, bearer(key));
  expect([status, json.error.type, json.error.code]).toEqual([
    402,
    'insufficient_quota',
    'insufficient_balance',
  ]);
  const needed = /Insufficient balance: (\d+) mSats required\. 2000 available\. \(reserved: 0\)/.exec(
    json.error.message as string,
  )?.[1];
  expect(json.error.metadata).toMatchObject({
    required_msats: Number(needed),
    available_msats: 2_000,
    reserved_msats: 0,
    max_affordable_tokens: 0,
    accepted_mints: [world.mint.url],
  });
  expect(headers.get('x-should-retry')).toBe('false');
  // Words by which agents would shorten the prompt instead of paying.
  expect(json.error.message).not.toMatch(/context|tokens exceed/i);
  expect(await world.balance(key)).toBe(2_000);
  const token = await world.mint.issue(Math.ceil(Number(needed) / 1_000) - 2);
  await world.post('/v1/wallet/topup', { cashu_token: token }, bearer(key));
  expect((await world.post('/v1/chat/completions', ask, bearer(key))).status).toBe(200);
});
