/** Completion: a chat answer that came as one JSON object. */
import { NodeError } from '../base/error.ts';
import {
  isObject,
  objectsIn,
  outputCharacters,
  tokensOfCharacters,
  type JsonObject,
  type Usage,
} from './openai.ts';
import { readUsage } from './usage.ts';

export interface Completion {
  /** Undefined if the upstream reported none that can be believed. */
  usage?: Usage;
  /** No choice holds any text, tool call, reasoning or refusal: nothing to be paid for. */
  empty: boolean;
  /** Output tokens reckoned from the size of the text. */
  estimate: number;
  /** The answer with further top-level keys and further keys of `usage`; all other fields as they came. Once. */
  withFields: (extra: JsonObject, extraUsage: JsonObject) => Buffer;
}

/** Throws NodeError upstream_error for what is not a chat answer. */
export function readCompletion(bytes: Buffer): Completion {
  const answer = parse(bytes);
  if (!isObject(answer)) throw unusable();
  if (answer['error'] && !Array.isArray(answer['choices'])) {
    throw new NodeError(
      'upstream_error',
      'The AI server reported an error instead of an answer. Nothing was charged.',
    );
  }
  const usage = readUsage(answer['usage']);
  const characters = objectsIn(answer['choices']).reduce(
    (sum, choice) => sum + outputCharacters(choice['message']),
    0,
  );
  return {
    ...(usage === undefined ? {} : { usage }),
    empty: characters === 0,
    estimate: tokensOfCharacters(characters),
    withFields: (extra, extraUsage) => {
      // In place: the answer is used for nothing else, and a copy by spread takes twice as long to write out.
      const before = isObject(answer['usage']) ? answer['usage'] : {};
      Object.assign(answer, extra, { usage: Object.assign(before, extraUsage) });
      return Buffer.from(JSON.stringify(answer));
    },
  };
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw unusable();
  }
}

const unusable = (): NodeError =>
  new NodeError(
    'upstream_error',
    'The AI server answered with something that is not JSON. Nothing was charged.',
  );
