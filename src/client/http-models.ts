/** Models and prices of a node that did not announce them, from its GET /v1/models (sat prices per token). */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import { type Msat, msat } from '../base/money.ts';
import type { AnnouncedModel } from '../protocol/announcement.ts';

const count = z.number().nonnegative().nullish().catch(undefined);

const modelSchema = z.object({
  id: z.string().min(1).max(LIMITS.json.modelIdCharsMax),
  sats_pricing: z.object({ prompt: z.number().nonnegative(), completion: z.number().nonnegative() }),
  context_length: count,
  top_provider: z.object({ max_completion_tokens: count }).nullish().catch(undefined),
  architecture: z
    .object({ input_modalities: z.array(z.string()).max(8), output_modalities: z.array(z.string()).max(8) })
    .partial()
    .nullish()
    .catch(undefined),
});

const listSchema = z.object({ data: z.array(z.unknown()) });

/** Entries without prices in sats are left out, as other clients do. */
export function readModelList(json: unknown): AnnouncedModel[] {
  const list = listSchema.safeParse(json);
  if (!list.success) return [];
  return list.data.data.slice(0, LIMITS.announce.modelsReadMax).flatMap((entry) => {
    const read = modelSchema.safeParse(entry);
    if (!read.success) return [];
    const { id, sats_pricing: price, context_length: ctx, top_provider: top, architecture } = read.data;
    const input = perMillion(price.prompt);
    const output = perMillion(price.completion);
    if (input === undefined || output === undefined) return [];
    const io = letters(architecture?.input_modalities ?? ['text']);
    const made = letters(architecture?.output_modalities ?? ['text']);
    return [
      {
        id,
        in: input,
        out: output,
        ctx: Math.floor(ctx ?? 0),
        maxOut: Math.floor(top?.max_completion_tokens ?? 0),
        io: made === 't' || made === '' ? io : `${io}>${made}`,
      },
    ];
  });
}

/** Sat per token to msat per 1,000,000 tokens, rounded up after the noise of the decimal fraction is cut. */
function perMillion(satPerToken: number): Msat | undefined {
  const exact = Math.ceil(Number((satPerToken * 1e9).toPrecision(12)));
  return exact <= LIMITS.announce.msatMax ? msat(exact) : undefined;
}

const letters = (kinds: readonly string[]): string => kinds.map((kind) => kind[0] ?? '').join('');
