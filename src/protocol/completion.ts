/** Completion: a chat answer that came as one JSON object. */
import { isAscii } from 'node:buffer';
import { NodeError } from '../base/error.ts';
import { appendMembers, commaBefore, findMember } from './json-scan.ts';
import {
  isObject,
  objectsIn,
  outputCharacters,
  tokensOfCharacters,
  type JsonObject,
  type Usage,
} from './openai.ts';
import { readUsage } from './usage.ts';

/** Members of a JSON object, ready to be added to one: their names, and all of them as ASCII text without the braces. */
export interface Members {
  names: readonly string[];
  text: string;
}

export interface Completion {
  /** Undefined if the upstream reported none that can be believed. */
  usage: Usage | undefined;
  /** No choice holds any text, tool call, reasoning or refusal: nothing to be paid for. */
  empty: boolean;
  /** Output tokens reckoned from the size of the text. */
  estimate: number;
  /**
   * The answer with further top-level members and further members of `usage`, in place of what the upstream may have
   * sent under these names; all else as it came. Once.
   */
  withMembers: (extra: Members, extraUsage: Members) => string | Buffer;
}

/** Throws NodeError upstream_error for what is not a chat answer. */
export function readCompletion(bytes: Buffer): Completion {
  const text = bytes.toString('utf8');
  const answer = parse(text);
  if (!isObject(answer)) throw unusable();
  if (answer['error'] && !Array.isArray(answer['choices'])) {
    throw new NodeError(
      'upstream_error',
      'The AI server reported an error instead of an answer. Nothing was charged.',
    );
  }
  const usage = readUsage(answer['usage']);
  let characters = 0;
  for (const choice of objectsIn(answer['choices'])) characters += outputCharacters(choice['message']);
  return {
    usage,
    empty: characters === 0,
    estimate: tokensOfCharacters(characters),
    withMembers: (extra, extraUsage) =>
      spliced(bytes, text, answer, extra, extraUsage) ?? rewritten(answer, extra, extraUsage),
  };
}

/** Added to the text as it came; undefined where a name is taken, or `usage` is not one object. */
function spliced(
  bytes: Buffer,
  text: string,
  answer: JsonObject,
  extra: Members,
  extraUsage: Members,
): string | Buffer | undefined {
  const usage = answer['usage'];
  if (!isObject(usage) || hasAny(answer, extra) || hasAny(usage, extraUsage)) return undefined;
  const range = findMember(text, 'usage');
  if (range === undefined) return undefined;
  const usageEnd = text.lastIndexOf('}', range.to - 1);
  const end = text.lastIndexOf('}');
  const inUsage = commaBefore(text, usageEnd) + extraUsage.text;
  const atEnd = `,${extra.text}}`;
  // Of plain ASCII, places in the text are places in the bytes, which are there already.
  return isAscii(bytes)
    ? splicedBytes(bytes, usageEnd, inUsage, end, atEnd)
    : text.slice(0, usageEnd) + inUsage + text.slice(usageEnd, end) + atEnd;
}

/** One text is put in before the byte at `first`, another in place of all from `second` on. */
function splicedBytes(bytes: Buffer, first: number, one: string, second: number, other: string): Buffer {
  const whole = Buffer.allocUnsafe(second + one.length + other.length);
  whole.set(bytes.subarray(0, first));
  whole.write(one, first, 'latin1');
  whole.set(bytes.subarray(first, second), first + one.length);
  whole.write(other, second + one.length, 'latin1');
  return whole;
}

function rewritten(answer: JsonObject, extra: Members, extraUsage: Members): string {
  const { usage, ...rest } = answer;
  const billed = appendMembers(
    JSON.stringify(without(isObject(usage) ? usage : {}, extraUsage)),
    extraUsage.text,
  );
  return appendMembers(JSON.stringify(without(rest, extra)), `"usage":${billed},${extra.text}`);
}

const hasAny = (object: JsonObject, { names }: Members): boolean => names.some((name) => name in object);

export const without = (object: JsonObject, { names }: Members): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unusable();
  }
}

const unusable = (): NodeError =>
  new NodeError(
    'upstream_error',
    'The AI server answered with something that is not JSON. Nothing was charged.',
  );
