/**
 * Merging of a stream: the chunks of a chat answer that came since the last look become as few chunks as say the same,
 * because each of them costs a whole wrap. Bytes of server-sent events go in, texts of events come out.
 */
import { LIMITS } from '../base/limits.ts';

/** One event: its name where it has one, and its data as it would stand in an event stream. */
export interface MergedEvent {
  e?: string;
  d: string;
}

export interface ChunkMerge {
  push: (bytes: Uint8Array) => void;
  /** What has come since the last call. [DONE] is left out: the end is told in another way. */
  take: () => MergedEvent[];
  /** The last event that was a JSON object; usage and cost stand there. */
  last: () => Record<string, unknown> | undefined;
}

type Fields = Record<string, unknown>;
type Chunk = Fields & { choices: (Fields & { index: number; delta: Fields })[] };

export function createChunkMerge(): ChunkMerge {
  const decoder = new TextDecoder();
  let unread = '';
  let waiting: (MergedEvent & { chunk?: Chunk })[] = [];
  let latest: Fields | undefined;

  function add(event: string): void {
    const named = /^event: ?(.*)$/m.exec(event)?.[1];
    const data = event
      .split('\n')
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(5).replace(/^ /, ''));
    if (data.length === 0) return;
    const d = data.join('\n');
    if (d === '[DONE]') return;
    const value = fieldsOf(d);
    latest = value ?? latest;
    const chunk = named === undefined && value !== undefined ? chunkOf(value) : undefined;
    const before = waiting.at(-1);
    if (chunk !== undefined && before?.chunk !== undefined && canFollow(before.chunk, chunk)) {
      append(before.chunk, chunk);
      return;
    }
    waiting.push({ ...(named !== undefined && { e: named }), d, ...(chunk && { chunk }) });
  }

  return {
    push: (bytes) => {
      unread += decoder.decode(bytes, { stream: true });
      for (let end = unread.indexOf('\n\n'); end !== -1; end = unread.indexOf('\n\n')) {
        add(unread.slice(0, end));
        unread = unread.slice(end + 2);
      }
    },
    take: () => {
      const taken = waiting.flatMap(({ e, d, chunk }) =>
        (chunk === undefined ? [d] : split(chunk).map((part) => JSON.stringify(part))).map((text) => ({
          ...(e !== undefined && { e }),
          d: text,
        })),
      );
      waiting = [];
      return taken;
    },
    last: () => latest,
  };
}

function fieldsOf(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Fields)
      : undefined;
  } catch {
    return undefined;
  }
}

/** A chunk that says nothing but text may be merged; usage, errors and calls of tools stay as they are. */
function chunkOf(value: Fields): Chunk | undefined {
  const { choices, usage, error } = value;
  if (!Array.isArray(choices) || choices.length === 0 || (usage ?? error ?? null) !== null) return undefined;
  return (choices as unknown[]).every(isText) ? (value as Chunk) : undefined;
}

function isText(choice: unknown): boolean {
  const { index, delta, logprobs } = (choice ?? {}) as Fields;
  if (typeof index !== 'number' || typeof delta !== 'object' || delta === null || (logprobs ?? null) !== null)
    return false;
  return Object.entries(delta).every(([, value]) => value === null || typeof value === 'string');
}

/** Only what comes later in the same answer: nothing follows a choice that is finished. */
function canFollow(before: Chunk, next: Chunk): boolean {
  if (before['id'] !== next['id'] || size(before) + size(next) > LIMITS.dmi.mergedCharsMax) return false;
  const finished = before.choices.filter(({ finish_reason: reason }) => (reason ?? null) !== null);
  return next.choices.every(({ index }) => !finished.some((choice) => choice.index === index));
}

function append(before: Chunk, next: Chunk): void {
  for (const choice of next.choices) {
    const same = before.choices.find(({ index }) => index === choice.index);
    if (same === undefined) {
      before.choices.push(choice);
      continue;
    }
    for (const [name, value] of Object.entries(choice.delta)) {
      const text = same.delta[name];
      // A role is said once; said again it is no more of the same text.
      if (typeof value === 'string' && typeof text === 'string' && name !== 'role')
        same.delta[name] = text + value;
      else if (value !== null || text === undefined) same.delta[name] = value;
    }
    if ((choice['finish_reason'] ?? null) !== null) same['finish_reason'] = choice['finish_reason'];
  }
}

const size = (chunk: Chunk): number =>
  chunk.choices.reduce(
    (sum, { delta }) =>
      sum +
      Object.values(delta).reduce<number>((n, text) => n + (typeof text === 'string' ? text.length : 0), 0),
    0,
  );

/** A text too long for one frame goes into several chunks; who reads them in a row reads the same. */
function split(chunk: Chunk): Chunk[] {
  const [choice] = chunk.choices;
  const content = choice?.delta['content'];
  if (choice === undefined || chunk.choices.length > 1 || typeof content !== 'string') return [chunk];
  if (content.length <= LIMITS.dmi.mergedCharsMax) return [chunk];
  const parts: Chunk[] = [];
  for (let at = 0; at < content.length;) {
    let end = Math.min(at + LIMITS.dmi.mergedCharsMax, content.length);
    // Between two halves of one character is no place to cut.
    if (end < content.length && /[\ud800-\udbff]/.test(content[end - 1] ?? '')) end -= 1;
    const rest = end === content.length ? {} : { finish_reason: null };
    const delta =
      at === 0 ? { ...choice.delta, content: content.slice(0, end) } : { content: content.slice(at, end) };
    parts.push({ ...chunk, choices: [{ ...choice, ...rest, delta }] });
    at = end;
  }
  return parts;
}
