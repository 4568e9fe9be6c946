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

/** Characters of output in a message or delta; 0 means that nothing was delivered. */
export function outputCharacters(message: unknown): number {
  if (!isObject(message)) return 0;
  // Fields that are something the client gets for its money; by name, because a loop over names takes longer.
  return (
    charactersIn(message['content']) +
    charactersIn(message['tool_calls']) +
    charactersIn(message['function_call']) +
    charactersIn(message['reasoning_content']) +
    charactersIn(message['reasoning']) +
    charactersIn(message['reasoning_details']) +
    charactersIn(message['refusal']) +
    charactersIn(message['audio']) +
    charactersIn(message['images'])
  );
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
