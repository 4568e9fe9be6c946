/** Usage: token counts as the various upstreams report them, believed only where they can be true. */
import { LIMITS } from '../base/limits.ts';
import { isObject, type JsonObject, type Usage } from './openai.ts';

/**
 * Undefined if the object reports no usable counts: then the delivered text is counted instead. Explicit zeros are
 * counts. Names: OpenAI (`prompt_tokens`, includes the cached ones), Responses (`input_tokens`, likewise) and
 * Anthropic (`input_tokens`, cached ones on top).
 */
export function readUsage(raw: unknown): Usage | undefined {
  if (!isObject(raw)) return undefined;
  const promptTokens = readPrompt(raw);
  if (promptTokens === undefined) return undefined;
  const completionTokens = readCompletionTokens(raw, promptTokens);
  if (completionTokens === undefined) return undefined;
  const cachedTokens = Math.min(readCached(raw), promptTokens);
  return { promptTokens, cachedTokens, completionTokens, estimated: false };
}

function readPrompt(raw: JsonObject): number | undefined {
  const prompt = raw['prompt_tokens'] ?? undefined;
  if (prompt !== undefined) return asCount(prompt);
  const input = asCount(raw['input_tokens']);
  if (input === undefined) return undefined;
  const besides =
    (asCount(raw['cache_read_input_tokens']) ?? 0) + (asCount(raw['cache_creation_input_tokens']) ?? 0);
  return asCount(input + besides);
}

function readCompletionTokens(raw: JsonObject, promptTokens: number): number | undefined {
  const completion = raw['completion_tokens'] ?? raw['output_tokens'] ?? undefined;
  if (completion !== undefined) return asCount(completion);
  // Embeddings and the like report a total only.
  const total = asCount(raw['total_tokens']);
  return total === undefined ? undefined : asCount(total - promptTokens);
}

function readCached(raw: JsonObject): number {
  const details = raw['prompt_tokens_details'] ?? raw['input_tokens_details'];
  return (
    asCount(raw['cache_read_input_tokens']) ??
    (isObject(details) ? asCount(details['cached_tokens']) : undefined) ??
    asCount(raw['prompt_cache_hit_tokens']) ??
    0
  );
}

/** Whole, not negative, and not more than any model can handle. */
const asCount = (value: unknown): number | undefined =>
  typeof value === 'number' &&
  Number.isInteger(value) &&
  value >= 0 &&
  value <= LIMITS.upstream.usageTokensMax
    ? value + 0
    : undefined;
