import { afterEach, describe, expect, test } from 'vitest';
import { msat } from '../../src/base/money.ts';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock } from '../../src/base/time.ts';
import { createTestModel } from '../../src/demo/model.ts';
import { cost } from '../../src/pricing/cost.ts';
import type { PricingConfig } from '../../src/pricing/model-price.ts';
import type { RateSource } from '../../src/pricing/rate.ts';
import { createCatalogue, type Catalogue, type UpstreamConfig } from '../../src/upstream/catalogue.ts';
import { createOpenAiUpstream } from '../../src/upstream/openai.ts';
import type { ModelConfig } from '../../src/upstream/sold-model.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';

const PRICING: PricingConfig = {
  mode: 'model',
  btc_usd: 100_000,
  exchange_fee_percent: 0,
  margin_percent: 0,
  node_fee_percent: 0,
  request_fee_msats: 0,
  minimum_charge_msats: 0,
};
const GPT: ModelConfig = {
  id: 'gpt',
  upstream_id: 'openai/gpt',
  input_usd_per_million: 1,
  output_usd_per_million: 2,
  context_length: 1_000,
  max_output_tokens: 500,
};

/** At 100,000 USD a bitcoin, a dollar is 1,000,000 msat. */
function createRate(known = true): RateSource & { set: (rate: number | undefined) => void } {
  let rate: number | undefined = known ? 1_000_000 : undefined;
  const listeners = new Set<() => void>();
  return {
    msatPerUsd: () => rate,
    set: (next) => {
      rate = next;
      for (const listener of listeners) listener();
    },
    start: () => undefined,
    close: async () => undefined,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
/** An upstream that is never asked for more than its list. */
const listing = (id: string, answer: unknown = {}): Upstream => ({
  id,
  complete: () => Promise.reject(new Error('not asked')),
  listModels: () => Promise.resolve(answer),
  close: async () => undefined,
});

const open: Catalogue[] = [];
afterEach(() => {
  for (const catalogue of open.splice(0)) catalogue.close();
});
function create(
  sources: { upstream?: Upstream; models?: ModelConfig[] }[],
  more: { pricing?: Partial<PricingConfig>; rate?: RateSource } = {},
): Catalogue {
  const catalogue = createCatalogue({
    upstreams: sources.map(({ upstream, models }, i) => {
      const config: UpstreamConfig = {
        id: `up${i}`,
        type: 'openai',
        base_url: 'http://127.0.0.1:9/v1',
        models,
      };
      return { upstream: upstream ?? listing(config.id), config };
    }),
    pricing: { ...PRICING, ...more.pricing },
    rate: more.rate ?? createRate(),
    clock: systemClock,
    log: silentLogger,
  });
  open.push(catalogue);
  return catalogue;
}
const page = (catalogue: Catalogue) =>
  JSON.parse(catalogue.listBytes().toString()) as { object: string; data: Record<string, unknown>[] };

describe('a configured model', () => {
  test('is found by its id and its full name, with its name at the upstream', () => {
    const catalogue = create([{ models: [{ ...GPT, alias_ids: ['chat'] }] }]);
    for (const id of ['gpt', 'openai/gpt', 'chat']) {
      expect(catalogue.find(id)[0]).toMatchObject({
        modelId: 'gpt',
        upstreamId: 'openai/gpt',
        contextLength: 1_000,
      });
    }
    expect(catalogue.find('nobody')).toEqual([]);
  });

  test('is listed as OpenAI, OpenRouter and Routstr clients read it', () => {
    const { object, data } = page(create([{ models: [GPT] }]));
    expect(object).toBe('list');
    expect(data).toEqual([
      {
        id: 'gpt',
        object: 'model',
        created: expect.any(Number) as number,
        owned_by: 'routstr-node',
        name: 'gpt',
        description: '',
        context_length: 1_000,
        architecture: {
          modality: 'text->text',
          input_modalities: ['text'],
          output_modalities: ['text'],
          tokenizer: 'Other',
          instruct_type: null,
        },
        pricing: {
          prompt: 1e-6,
          completion: 2e-6,
          request: 0,
          image: 0,
          web_search: 0,
          internal_reasoning: 0,
          input_cache_read: 1e-6,
          input_cache_write: 1e-6,
          max_prompt_cost: 0.001,
          max_completion_cost: 0.001,
          max_cost: 0.0015,
        },
        sats_pricing: {
          prompt: 0.001,
          completion: 0.002,
          request: 0,
          image: 0,
          web_search: 0,
          internal_reasoning: 0,
          input_cache_read: 0.001,
          input_cache_write: 0.001,
          max_prompt_cost: 1,
          max_completion_cost: 1,
          max_cost: 1.5,
        },
        top_provider: { context_length: 1_000, max_completion_tokens: 500, is_moderated: false },
        per_request_limits: null,
        alias_ids: ['openai/gpt'],
        canonical_slug: 'openai/gpt',
        enabled: true,
      },
    ]);
  });

  test('keeps what clients take for numbers and whole numbers even where the operator left them out', () => {
    const { id, input_usd_per_million, output_usd_per_million } = GPT;
    const [model] = page(create([{ models: [{ id, input_usd_per_million, output_usd_per_million }] }])).data;
    expect(Number.isInteger(model?.['context_length'])).toBe(true);
    expect(Number.isInteger(model?.['created'])).toBe(true);
    for (const prices of [model?.['pricing'], model?.['sats_pricing']]) {
      for (const value of Object.values(prices as object)) expect(Number.isFinite(value)).toBe(true);
    }
    expect((model?.['sats_pricing'] as { max_cost: number }).max_cost).toBeGreaterThan(0);
  });

  test('is announced in whole msat', () => {
    expect(create([{ models: [GPT] }]).announced()).toEqual([
      { id: 'gpt', in: 1_000_000, out: 2_000_000, ctx: 1_000, maxOut: 500, io: 't' },
    ]);
  });
});

test('the same model at several upstreams: the cheapest is asked first and named to buyers', () => {
  const dear = { ...GPT, output_usd_per_million: 3 };
  const catalogue = create([{ models: [dear] }, { models: [GPT] }]);
  expect(catalogue.find('gpt').map((offer) => offer.upstream.id)).toEqual(['up1', 'up0']);
  expect(catalogue.models()).toHaveLength(1);
  expect(catalogue.models()[0]?.price.out).toBe(2_000_000);
});

test('an alias never takes over the name of another model', () => {
  const catalogue = create([{ models: [GPT, { ...GPT, id: 'other', alias_ids: ['gpt'] }] }]);
  expect(catalogue.find('gpt')[0]?.modelId).toBe('gpt');
});

describe('the exchange rate', () => {
  test('unknown: the model exists without a price and is not listed', () => {
    const rate = createRate(false);
    const catalogue = create([{ models: [GPT] }], { rate });
    expect(catalogue.find('gpt')).toHaveLength(1);
    expect(catalogue.find('gpt')[0]?.price).toBeUndefined();
    expect(page(catalogue).data).toEqual([]);
    expect(catalogue.model('gpt')).toBeUndefined();
  });

  test('changes prices, list and ETag, and tells it', () => {
    const rate = createRate();
    const catalogue = create([{ models: [GPT] }], { rate });
    let told = 0;
    const stop = catalogue.onChange(() => told++);
    const before = catalogue.etag();
    rate.set(2_000_000);
    expect(told).toBe(1);
    expect(catalogue.find('gpt')[0]?.price?.in).toBe(2_000_000);
    expect(catalogue.etag()).not.toBe(before);
    stop();
    rate.set(undefined);
    expect(told).toBe(1);
    expect(catalogue.find('gpt')[0]?.price).toBeUndefined();
  });

  test('standing still makes the list once', () => {
    const catalogue = create([{ models: [GPT] }]);
    expect(catalogue.listBytes()).toBe(catalogue.listBytes());
    expect(catalogue.etag()).toMatch(/^"[0-9a-f]{32}"$/);
    expect(catalogue.find('gpt')).toBe(catalogue.find('gpt'));
  });

  test('does not matter for flat prices', () => {
    const catalogue = create([{ models: [GPT] }], {
      rate: createRate(false),
      pricing: { mode: 'request', request_fee_msats: 5_000 },
    });
    const price = catalogue.find('gpt')[0]?.price;
    const usage = { promptTokens: 9_999, completionTokens: 9_999, cachedTokens: 0, estimated: false };
    expect(price && cost(usage, price)).toEqual({ input: 0, output: 0, base: 5_000, total: 5_000 });
    expect(page(catalogue).data).toHaveLength(1);
  });
});

describe("an upstream's own list", () => {
  test('is sold by bare ids, with its prices', async () => {
    const server = await createTestModel({ models: ['vendor/echo'] });
    const upstream = createOpenAiUpstream({
      id: 'echo',
      baseUrl: `${server.url}/v1`,
      clock: systemClock,
      log: silentLogger,
    });
    const catalogue = create([{ upstream }]);
    let told = 0;
    catalogue.onChange(() => told++);
    await catalogue.start();
    expect(told).toBe(1);
    expect(catalogue.find('echo')[0]).toMatchObject({
      upstreamId: 'vendor/echo',
      contextLength: 32_000,
      maxOutputTokens: 4_096,
      aliasIds: ['vendor/echo'],
      ownedBy: 'echo',
      price: { in: msat(5_000_000), out: msat(15_000_000) },
    });
    expect(catalogue.find('vendor/echo')).toBe(catalogue.find('echo'));
    await upstream.close();
    await server.close();
  });

  const priced = { prompt: '0.000001', completion: '0.000002' };
  test.each([
    ['without prices', {}],
    ['with nothing but zeros', { pricing: { prompt: '0', completion: '0' } }],
    ['with negative prices', { pricing: { prompt: '-1', completion: '-1' } }],
    ['with a price that is missing', { pricing: { prompt: '0.1' } }],
    ['that makes pictures', { architecture: { output_modalities: ['image'] }, pricing: priced }],
    ['with words for prices', { pricing: { prompt: 'cheap', completion: 'dear' } }],
  ])('does not sell a model %s', async (_what, row) => {
    const list = {
      data: [
        { id: 'a/bad', ...row },
        { id: 'good', pricing: priced },
      ],
    };
    const catalogue = create([{ upstream: listing('x', list) }]);
    await catalogue.start();
    expect(catalogue.models().map((model) => model.modelId)).toEqual(['good']);
    expect(catalogue.find('bad')).toEqual([]);
  });

  test('one broken row does not spoil the others', async () => {
    const data = [
      null,
      7,
      {},
      { id: 5 },
      { id: 'x'.repeat(10_000) },
      { id: 'ok', context_length: -1, pricing: priced },
    ];
    const catalogue = create([{ upstream: listing('x', { data }) }]);
    await catalogue.start();
    expect(catalogue.models().map((model) => model.modelId)).toEqual(['ok']);
  });

  test('needs no prices where all tokens cost the same', async () => {
    const catalogue = create([{ upstream: listing('x', { data: [{ id: 'llama' }] }) }], {
      pricing: { mode: 'token', input_usd_per_million: '0.5', output_usd_per_million: 1 },
    });
    await catalogue.start();
    expect(catalogue.find('llama')[0]?.price).toMatchObject({ in: 500_000, out: 1_000_000 });
  });

  test.each([[{}], [[]], ['text'], [null], [{ data: {} }]])(
    '%j is no list, and nothing is sold',
    async (answer) => {
      const catalogue = create([{ upstream: listing('x', answer) }]);
      await catalogue.start();
      expect(catalogue.models()).toEqual([]);
    },
  );

  test('out of reach, the configured models of others are sold all the same', async () => {
    const upstream = { ...listing('x'), listModels: () => Promise.reject(new Error('down')) };
    const catalogue = create([{ upstream }, { models: [GPT] }]);
    await catalogue.start();
    expect(catalogue.models()).toHaveLength(1);
  });
});
