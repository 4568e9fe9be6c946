/** Facts of a chat stream: usage, ends, errors and an estimate of the output, gathered event by event. */
import {
  isObject,
  objectsIn,
  outputCharacters,
  tokensOfCharacters,
  type JsonObject,
  type Usage,
} from './openai.ts';
import { readUsage } from './usage.ts';

export interface StreamFacts {
  /** The upstream said that it was finished, by finish_reason or [DONE]; anything else broke off. */
  complete: boolean;
  /** Every choice had its finish_reason. */
  finishSeen: boolean;
  /** Those that had none, as the last chunk ends them; where none began, the first with the role that clients expect. */
  endings: { index: unknown; delta: JsonObject }[];
  doneSeen: boolean;
  /** An error came instead of the rest, and was passed on. */
  errorSeen: boolean;
  /** Nothing that a client pays for was delivered. */
  empty: boolean;
  /** The last usage that can be believed; undefined if the upstream reported none. */
  usage?: Usage;
  /** That usage as the upstream wrote it. */
  rawUsage?: JsonObject;
  /** Output tokens reckoned from what was delivered. */
  estimate: number;
  id?: string;
  created?: number;
  model?: string;
}

/** The value of an event, or undefined if it is not JSON. */
export type ParsedEvent = unknown;

export interface Seen {
  /** Kept back: the usage event, which goes out with the cost as the last one. */
  held: boolean;
  /** Sent in place of the event. */
  replacement?: JsonObject;
  /** Nothing may follow. */
  closes: boolean;
}

export interface ChatFacts {
  /** Events must still be parsed: the first output or the first delta of a choice has not come. */
  learning: () => boolean;
  /** An event with output that was not parsed. */
  count: (bytes: number) => void;
  read: (event: ParsedEvent, bytes: number) => Seen;
  done: () => void;
  delivered: () => boolean;
  end: () => StreamFacts;
}

const PASSED: Seen = { held: false, closes: false };
const HELD: Seen = { held: true, closes: false };

export function createChatFacts(choices: number): ChatFacts {
  const begun = new Set<unknown>();
  const finished = new Set<unknown>();
  const found: Pick<StreamFacts, 'usage' | 'rawUsage' | 'id' | 'created' | 'model'> = {};
  let doneSeen = false;
  let errorSeen = false;
  let outputEvents = 0;
  /** Bytes of the first output event that are not output; what other events have beyond them is taken for output. */
  let envelope = 0;
  let outputBytes = 0;

  function count(bytes: number): void {
    outputEvents++;
    outputBytes += Math.max(0, bytes - envelope);
  }

  function readUsageOf(event: JsonObject): boolean {
    const raw = event['usage'];
    if (!isObject(raw)) return false;
    const usage = readUsage(raw);
    if (usage !== undefined) {
      found.usage = usage;
      found.rawUsage = raw;
    }
    return true;
  }

  function readHead(event: JsonObject): void {
    const { id, created, model } = event;
    if (typeof id === 'string') found.id = id;
    if (typeof created === 'number') found.created = created;
    if (typeof model === 'string') found.model = model;
  }

  /** True if a first delta came without a role and got one: clients refuse a stream that does not open with it. */
  function readChoices(list: readonly JsonObject[], bytes: number): boolean {
    let roleAdded = false;
    let characters = 0;
    for (const choice of list) {
      const index = choice['index'] ?? 0;
      const delta = choice['delta'];
      if (isObject(delta)) {
        if (!begun.has(index) && typeof delta['role'] !== 'string') {
          delta['role'] = 'assistant';
          roleAdded = true;
        }
        begun.add(index);
        characters += outputCharacters(delta);
      }
      if ((choice['finish_reason'] ?? undefined) !== undefined) {
        begun.add(index);
        finished.add(index);
      }
    }
    if (characters > 0) {
      if (outputEvents === 0) envelope = Math.max(0, bytes - characters);
      count(bytes);
    }
    return roleAdded;
  }

  return {
    learning: () => outputEvents === 0 || begun.size < choices,
    count,
    done: () => {
      doneSeen = true;
    },
    delivered: () => outputEvents > 0,
    read: (event, bytes) => {
      if (!isObject(event) || event['error']) {
        errorSeen = true;
        return { held: false, closes: true, replacement: { error: UPSTREAM_ERROR } };
      }
      readHead(event);
      const list = objectsIn(event['choices']);
      const hasUsage = readUsageOf(event);
      if (list.length === 0) return hasUsage ? HELD : PASSED;
      return readChoices(list, bytes) ? { ...PASSED, replacement: event } : PASSED;
    },
    end: () => {
      const open = [...begun].filter((index) => !finished.has(index));
      const finishSeen = begun.size > 0 && open.length === 0;
      return {
        complete: finishSeen || doneSeen,
        finishSeen,
        endings:
          begun.size === 0
            ? [{ index: 0, delta: { role: 'assistant', content: '' } }]
            : open.map((index) => ({ index, delta: {} })),
        doneSeen,
        errorSeen,
        empty: outputEvents === 0,
        estimate: Math.max(outputEvents, tokensOfCharacters(outputBytes)),
        ...found,
      };
    },
  };
}

/** An upstream's own words may name its keys and accounts, so they are not repeated. */
const UPSTREAM_ERROR: JsonObject = {
  message: 'The AI server reported an error in the middle of its answer. Only what was delivered is charged.',
  type: 'upstream_error',
  param: null,
  code: 'upstream_error',
};
