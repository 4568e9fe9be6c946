/** OpenAI dialect: only the fields this node reads; everything else passes through untouched. */

/** Tokens by class, normalised. `prompt` includes `cached`. All are whole, 0 or more. */
export interface Usage {
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  /** True if the upstream sent no usage and this was counted from what was delivered. */
  estimated: boolean;
}

export type JsonObject = Record<string, unknown>;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const objectsIn = (value: unknown): JsonObject[] =>
  Array.isArray(value) ? value.filter(isObject) : [];

/** Fields of a message or delta that are something the client gets for its money. */
const OUTPUT_FIELDS = [
  'content',
  'tool_calls',
  'function_call',
  'reasoning_content',
  'reasoning',
  'reasoning_details',
  'refusal',
  'audio',
  'images',
] as const;

/** Characters of output in a message or delta; 0 means that nothing was delivered. */
export function outputCharacters(message: unknown): number {
  if (!isObject(message)) return 0;
  let characters = 0;
  for (const field of OUTPUT_FIELDS) characters += charactersIn(message[field]);
  return characters;
}

/** Nesting is bounded by the size of the answer and JSON.parse; deeper levels than this hold no text. */
const LEVELS_MAX = 16;

function charactersIn(value: unknown, level = 0): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null || level > LEVELS_MAX) return 0;
  let characters = 0;
  for (const item of Object.values(value)) characters += charactersIn(item, level + 1);
  return characters;
}

/** About how many tokens a text of so many characters is; a count for want of a better one. */
export const tokensOfCharacters = (characters: number): number => Math.ceil(characters / 4);
