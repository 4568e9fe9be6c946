/** Imported models: an upstream's own list, in the shape that OpenRouter made common. Outside data: checked row by row. */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import { perMillion } from '../pricing/decimal.ts';
import { soldModel, type SoldModel } from './sold-model.ts';

const decimal = z.union([z.string().max(60), z.number()]);
const optional = <T extends z.ZodType>(type: T) => type.nullish().catch(undefined);
const words = optional(z.array(z.string().max(40)).max(20));

const row = z.object({
  id: z.string().min(1).max(LIMITS.json.modelIdCharsMax),
  canonical_slug: optional(z.string().max(LIMITS.json.modelIdCharsMax)),
  name: optional(z.string().max(200)),
  description: optional(z.string().max(4_000)),
  created: optional(z.int().nonnegative()),
  owned_by: optional(z.string().max(100)),
  context_length: optional(z.int().positive()),
  architecture: optional(z.object({ input_modalities: words, output_modalities: words })),
  pricing: optional(
    z.object({
      prompt: decimal,
      completion: decimal,
      request: optional(decimal),
      input_cache_read: optional(decimal),
    }),
  ),
  top_provider: optional(
    z.object({
      context_length: optional(z.int().positive()),
      max_completion_tokens: optional(z.int().positive()),
    }),
  ),
});
const list = z.object({ data: z.array(z.unknown()).max(LIMITS.upstream.modelsMax) });

/**
 * Rows that are readable and have a price if one is needed. A price of zero in somebody else's list is a missing
 * one: nothing is given away because a field was forgotten. Undefined if it is no list at all.
 */
export function readModelList(
  answer: unknown,
  options: { priceNeeded: boolean; now: number },
): { models: SoldModel[]; skipped: number } | undefined {
  const read = list.safeParse(answer);
  if (!read.success) return undefined;
  const models: SoldModel[] = [];
  const taken = new Set<string>();
  for (const item of read.data.data) {
    const parsed = row.safeParse(item);
    if (!parsed.success || !writesText(parsed.data)) continue;
    const model = fromRow(parsed.data, options.now);
    if (taken.has(model.id) || (options.priceNeeded && model.usd === undefined)) continue;
    taken.add(model.id);
    models.push(model);
  }
  return { models, skipped: read.data.data.length - models.length };
}

/** What makes pictures, sounds or vectors cannot be bought here; who names no modalities is taken for a chat model. */
const writesText = ({ architecture }: Row): boolean =>
  architecture?.output_modalities?.includes('text') !== false;

type Row = z.infer<typeof row>;

/** Clients want bare ids: `openai/gpt-4o` is sold as `gpt-4o`, and found by its full name as well. */
function fromRow(data: Row, now: number): SoldModel {
  const id = data.id.slice(data.id.indexOf('/') + 1) || data.id;
  const full = [data.id, data.canonical_slug ?? undefined].filter(
    (name) => name !== undefined && name !== id,
  );
  const usd = usdOf(data.pricing);
  return soldModel({
    id,
    upstreamId: data.id,
    name: data.name ?? undefined,
    description: data.description ?? undefined,
    contextLength: data.top_provider?.context_length ?? data.context_length ?? undefined,
    maxOutputTokens: data.top_provider?.max_completion_tokens ?? undefined,
    aliasIds: full as string[],
    created: data.created ?? now,
    ownedBy: data.owned_by ?? (data.id.includes('/') ? data.id.split('/')[0] : undefined),
    inputModalities: data.architecture?.input_modalities ?? undefined,
    outputModalities: data.architecture?.output_modalities ?? undefined,
    usd,
  });
}

function usdOf(pricing: Row['pricing']): SoldModel['usd'] {
  if (!pricing || (Number(pricing.prompt) === 0 && Number(pricing.completion) === 0)) return undefined;
  return {
    input: perMillion(pricing.prompt),
    output: perMillion(pricing.completion),
    ...(pricing.input_cache_read ? { cached: perMillion(pricing.input_cache_read) } : {}),
    ...(pricing.request ? { request: pricing.request } : {}),
  };
}
