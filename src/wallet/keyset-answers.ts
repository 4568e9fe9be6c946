/** What a mint says about its keysets (NUT-01, NUT-02), read through schemas; anything unusable is "unreachable". */
import { z } from 'zod';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { MintAnswer } from './mint-http.ts';
import { canonicalKeysetId } from './mint-url.ts';

const id = z.string().min(1).max(128).transform(canonicalKeysetId);
const keysetList = z.object({
  keysets: z
    .array(
      z.object({
        id,
        unit: z.string().max(64),
        active: z.boolean(),
        input_fee_ppk: z.int().nonnegative().nullish(),
        final_expiry: z.int().nonnegative().nullish(),
      }),
    )
    .max(LIMITS.mint.keysetsMax),
});
const keysList = z.object({
  keysets: z
    .array(z.object({ id, unit: z.string().max(64), keys: z.record(z.string().max(20), z.string().max(66)) }))
    .max(LIMITS.mint.keysetsMax),
});

/** Throws NodeError, as the other one. */
export const readKeysetList = (answer: MintAnswer) => parse(keysetList, bodyOf(answer)).keysets;

/** Keys by keyset id. */
export const readKeys = (answer: MintAnswer): Map<string, Record<string, string>> =>
  new Map(parse(keysList, bodyOf(answer)).keysets.map((entry) => [entry.id, entry.keys]));

const unreachable = (retryAfterMs: number, cause?: unknown): NodeError =>
  new NodeError('mint_unreachable', 'The mint does not answer. The token is untouched; retry it later.', {
    retryAfterMs,
    cause,
  });

function bodyOf(answer: MintAnswer): unknown {
  switch (answer.kind) {
    case 'ok':
      return answer.body;
    case 'limited':
      throw new NodeError(
        'mint_rate_limited',
        'The mint asks for a pause. The token is untouched; retry it.',
        {
          retryAfterMs: answer.retryAfterMs,
        },
      );
    case 'closed':
      throw unreachable(answer.retryAfterMs);
    case 'refused':
    case 'failed':
      throw unreachable(LIMITS.mint.rateLimitedMs);
  }
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (!result.success) throw unreachable(LIMITS.mint.rateLimitedMs, result.error);
  return result.data;
}
