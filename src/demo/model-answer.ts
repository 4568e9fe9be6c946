/** What the echo model says: the last words of the user, as one object or as events of a stream. */
import { isObject, objectsIn, type JsonObject } from '../protocol/openai.ts';

export interface EchoAnswer {
  id: string;
  created: number;
  model: string;
  /** Pieces of the answer; one token each. */
  pieces: string[];
  finish: 'stop' | 'length';
  choices: number;
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
}

const NOTHING_SAID = 'You said nothing.';

export function echo(body: JsonObject, number: number, now: number): EchoAnswer {
  const limit = body['max_completion_tokens'] ?? body['max_tokens'];
  const all = (lastUserText(body) || NOTHING_SAID).match(/\s*\S+/g) ?? [];
  const pieces = typeof limit === 'number' ? all.slice(0, limit) : all;
  const choices = typeof body['n'] === 'number' ? body['n'] : 1;
  const prompt = promptTokens(body);
  const completion = pieces.length * choices;
  return {
    id: `chatcmpl-echo-${number}`,
    created: Math.floor(now / 1_000),
    model: typeof body['model'] === 'string' ? body['model'] : '',
    pieces,
    finish: pieces.length < all.length ? 'length' : 'stop',
    choices,
    usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
  };
}

export function wholeAnswer(answer: EchoAnswer, usage: unknown): JsonObject {
  const { id, created, model } = answer;
  const choices = eachChoice(answer, (index) => ({
    index,
    message: { role: 'assistant', content: answer.pieces.join('') },
    finish_reason: answer.finish,
  }));
  return {
    id,
    object: 'chat.completion',
    created,
    model,
    choices,
    ...(usage === undefined ? {} : { usage }),
  };
}

/** Chunks in order: role, one per piece and choice, finish. */
export function streamChunks(answer: EchoAnswer): JsonObject[] {
  const open = eachChoice(answer, (index) => chunk(answer, index, { role: 'assistant', content: '' }));
  const text = answer.pieces.flatMap((piece) =>
    eachChoice(answer, (index) => chunk(answer, index, { content: piece })),
  );
  const close = eachChoice(answer, (index) => chunk(answer, index, {}, answer.finish));
  return [...open, ...text, ...close];
}

export const usageChunk = (answer: EchoAnswer, usage: unknown): JsonObject => ({
  ...head(answer),
  choices: [],
  usage,
});

const head = ({ id, created, model }: EchoAnswer): JsonObject => ({
  id,
  object: 'chat.completion.chunk',
  created,
  model,
});

const chunk = (
  answer: EchoAnswer,
  index: number,
  delta: JsonObject,
  finish: string | null = null,
): JsonObject => ({
  ...head(answer),
  choices: [{ index, delta, finish_reason: finish }],
});

const eachChoice = (answer: EchoAnswer, make: (index: number) => JsonObject): JsonObject[] =>
  Array.from({ length: answer.choices }, (_, index) => make(index));

const textOf = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : objectsIn(content)
        .map((part) => (typeof part['text'] === 'string' ? part['text'] : ''))
        .join('');

const lastUserText = (body: JsonObject): string =>
  textOf(objectsIn(body['messages']).findLast((message) => message['role'] === 'user')?.['content']);

/** Four characters of the messages are a token. */
const promptTokens = (body: JsonObject): number => {
  const characters = objectsIn(body['messages']).reduce(
    (sum, { content }) => sum + textOf(content).length,
    0,
  );
  return Math.max(1, Math.ceil(characters / 4));
};

export const asObject = (value: unknown): JsonObject => (isObject(value) ? value : {});
