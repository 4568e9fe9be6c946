/** Schema of what is sold: the AI servers, their models, and how costs become prices. */
import { z } from 'zod';
import { LIMITS } from './base/limits.ts';

const REFERENCE = /^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/;

export const whole = z.int();
const percent = z.number().min(0).max(1000);
const usdPerMillion = z.number().min(0).max(1_000_000_000);

/** A secret is named, never written down: the message must not repeat what stood there. */
export const secretReference = z
  .string()
  .regex(REFERENCE, 'must be env:NAME or file:PATH; a secret itself never stands in the configuration');

const model = z.strictObject({
  id: z
    .string()
    .min(1)
    .max(LIMITS.json.modelIdCharsMax)
    .regex(/^[^\s\p{Cc}]+$/u, 'must not contain blanks or control characters')
    .describe('Name under which buyers ask for it.'),
  upstream_id: z.string().min(1).optional().describe('Name at the upstream. Default: the same as id.'),
  alias_ids: z.array(z.string().min(1)).max(20).optional().describe('Further names for the same model.'),
  name: z.string().max(200).optional().describe('Name for people. Default: the id.'),
  description: z.string().max(2000).optional().describe('Shown in /v1/models.'),
  input_usd_per_million: usdPerMillion.describe(
    'What the upstream takes for 1,000,000 input tokens, in USD.',
  ),
  output_usd_per_million: usdPerMillion.describe('The same for output tokens.'),
  cached_input_usd_per_million: usdPerMillion
    .optional()
    .describe('The same for input tokens served from a cache. Default: the input price.'),
  context_length: whole.min(1).optional().describe('Most tokens of prompt and answer together.'),
  max_output_tokens: whole.min(1).optional().describe('Most tokens of one answer.'),
});

export const upstream = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/i, 'must be a short name of letters, digits, dots and dashes')
    .describe('Name in logs.'),
  type: z
    .enum(['openai', 'openrouter', 'anthropic', 'ollama', 'routstr'])
    .default('openai')
    .describe('Kind of server. All of them are spoken to in the OpenAI dialect.'),
  base_url: z.string().describe('Base URL with the version, e.g. https://api.openai.com/v1.'),
  api_key: secretReference
    .optional()
    .describe('env:NAME or file:PATH. Leave out for servers that want no key.'),
  models: z
    .array(model)
    .min(1)
    .max(5_000)
    .optional()
    .describe("What is sold from here. Leave out to import the upstream's own list with its prices."),
});

export const pricing = z
  .strictObject({
    mode: z
      .enum(['model', 'token', 'request'])
      .default('model')
      .describe('model: each model its own rates; token: one rate for all; request: a flat fee.'),
    input_usd_per_million: usdPerMillion.optional().describe('Rate for all models; only for mode token.'),
    output_usd_per_million: usdPerMillion.optional().describe('Rate for all models; only for mode token.'),
    btc_usd: z
      .union([z.literal('auto'), z.number().positive().max(1_000_000_000)], {
        error: 'must be auto or the price of one bitcoin in USD',
      })
      .default('auto')
      .describe('Price of one bitcoin: auto asks public exchanges, a number fixes it.'),
    exchange_fee_percent: percent.default(0.5).describe('Cover for movements of the exchange rate.'),
    margin_percent: percent.default(10).describe('Margin on what the upstream takes.'),
    node_fee_percent: percent.default(0).describe('Fee of the node operator, on top of the margin.'),
    request_fee_msats: whole.min(0).max(1_000_000_000).default(0).describe('Added to every request.'),
    minimum_charge_msats: whole.min(0).max(1_000_000_000).default(0).describe('Least that a request costs.'),
    child_key_cost_msats: whole.min(0).max(1_000_000_000).default(0).describe('Price of one child key.'),
  })
  .prefault({})
  .describe('How costs become prices. Fees multiply in the order in which they stand here.');
