/** Chat request: everything the node must know of a body, read once; the bytes themselves stay as they came. */
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { readJsonObject } from './json-body.ts';
import { isObject, objectsIn } from './openai.ts';

export interface ChatRequestFacts {
  model: string;
  stream: boolean;
  /** The client's own `stream_options.include_usage`; undefined if it did not say. */
  includeUsage: boolean | undefined;
  maxTokens: number | undefined;
  maxTokensField: 'max_tokens' | 'max_completion_tokens' | undefined;
  /** `n`: answers asked for at once. */
  choices: number;
  /** A third of all characters of all strings and keys: how Routstr clients estimate a prompt. */
  promptTokens: number;
  /** The same for the bill of an answer whose usage nobody told: a picture counts as its pixels do, not as its base64. */
  readTokens: number;
  /**
   * Body for an upstream: the original bytes if nothing has to change, else the object written anew. The first call
   * lets go of the parsed object, because a body kept alive during a long answer costs more than a second parse.
   */
  bodyFor: (options: BodyOptions) => Buffer;
}

export interface BodyOptions {
  /** Name of the model at the upstream. */
  model: string;
  /** Output limit to be set; absent leaves what the client sent. */
  maxTokens?: number | undefined;
  /** Asks for usage at the end of a stream, whatever the client wished. */
  forceUsage: boolean;
}

type Body = Record<string, unknown>;

/** Throws NodeError: invalid_utf8, invalid_json, json_too_deep, duplicate_keys, invalid_request and the codes of fields. */
export function readChatRequest(bytes: Buffer): ChatRequestFacts {
  let body: Body | undefined = readJsonObject(bytes);
  const model = readModel(body);
  const stream = readStream(body);
  const includeUsage = readIncludeUsage(body);
  const { maxTokens, maxTokensField } = readMaxTokens(body);
  const choices = readChoices(body);
  const length: Length = { characters: 0, encoded: 0 };
  measure(body, undefined, length);
  const stored = (body['store'] ?? false) !== false;
  checkLists(body);
  refusePricedExtras(body);
  const facts: ChatRequestFacts = {
    model,
    stream,
    includeUsage,
    maxTokens,
    maxTokensField,
    choices,
    promptTokens: Math.floor(length.characters / CHARS_PER_TOKEN),
    readTokens: Math.floor((length.characters - length.encoded) / CHARS_PER_TOKEN),
    bodyFor: (options) => {
      const source = body;
      body = undefined;
      const change = changes(facts, stored, options);
      if (change === undefined) return bytes;
      const object = source ?? readJsonObject(bytes);
      return Buffer.from(JSON.stringify(change(object)));
    },
  };
  return facts;
}

/** @param stored the client asks the upstream to keep the conversation, under the operator's account. */
function changes(
  facts: ChatRequestFacts,
  stored: boolean,
  options: BodyOptions,
): ((body: Body) => Body) | undefined {
  const askUsage = options.forceUsage && facts.stream && facts.includeUsage !== true;
  const clamp = options.maxTokens !== undefined && options.maxTokens !== facts.maxTokens;
  if (options.model === facts.model && !askUsage && !clamp && !stored) return undefined;
  return (body) => {
    const changed: Body = { ...body, model: options.model };
    if (stored) changed['store'] = false;
    if (clamp) {
      // Where the client sent both fields they are equal; one of them is enough.
      delete changed['max_completion_tokens'];
      delete changed['max_tokens'];
      changed[facts.maxTokensField ?? 'max_tokens'] = options.maxTokens;
    }
    if (askUsage) {
      changed['stream_options'] = { ...(changed['stream_options'] as Body | undefined), include_usage: true };
    }
    return changed;
  };
}

function readModel(body: Body): string {
  const { model } = body;
  if (model === undefined) {
    throw new NodeError(
      'missing_param',
      'The field "model" is missing. GET /v1/models lists what is sold here.',
      {
        param: 'model',
      },
    );
  }
  if (typeof model !== 'string' || model.length > LIMITS.json.modelIdCharsMax) {
    throw new NodeError(
      'model_not_found',
      'The field "model" must be the id of a model listed by GET /v1/models.',
      {
        param: 'model',
      },
    );
  }
  return model;
}

function readStream(body: Body): boolean {
  const stream = body['stream'] ?? false;
  if (typeof stream !== 'boolean') throw invalid('stream', 'must be true or false');
  return stream;
}

function readIncludeUsage(body: Body): boolean | undefined {
  const options = body['stream_options'] ?? undefined;
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || Array.isArray(options))
    throw invalid('stream_options', 'must be an object');
  const includeUsage = (options as Body)['include_usage'] ?? undefined;
  if (includeUsage !== undefined && typeof includeUsage !== 'boolean') {
    throw invalid('stream_options.include_usage', 'must be true or false');
  }
  return includeUsage;
}

function readMaxTokens(body: Body): Pick<ChatRequestFacts, 'maxTokens' | 'maxTokensField'> {
  const older = readLimit(body, 'max_tokens');
  const newer = readLimit(body, 'max_completion_tokens');
  if (older !== undefined && newer !== undefined && older !== newer) {
    throw new NodeError(
      'invalid_max_tokens',
      'The fields "max_tokens" and "max_completion_tokens" contradict each other. Send one of them.',
      { param: 'max_tokens' },
    );
  }
  if (newer !== undefined) return { maxTokens: newer, maxTokensField: 'max_completion_tokens' };
  return { maxTokens: older, maxTokensField: older === undefined ? undefined : 'max_tokens' };
}

function readLimit(body: Body, field: 'max_tokens' | 'max_completion_tokens'): number | undefined {
  const value = body[field] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
    throw new NodeError('invalid_max_tokens', `The field "${field}" must be a whole number of 1 or more.`, {
      param: field,
    });
  }
  return value;
}

function readChoices(body: Body): number {
  const n = body['n'] ?? 1;
  if (typeof n !== 'number' || !Number.isInteger(n) || n < 1 || n > LIMITS.json.choicesMax) {
    throw unsupported('n', `must be a whole number from 1 to ${LIMITS.json.choicesMax}`);
  }
  return n;
}

function checkLists(body: Body): void {
  if (!Array.isArray(body['messages'])) throw invalid('messages', 'must be an array of messages');
  for (const field of ['messages', 'tools', 'functions']) {
    const list = body[field];
    if (Array.isArray(list) && list.length > LIMITS.json.messagesMax) {
      throw new NodeError(
        'too_many_items',
        `The field "${field}" has more than ${LIMITS.json.messagesMax} items.`,
        {
          param: field,
        },
      );
    }
  }
}

/** Searches that are paid for one by one, and other models in place of the one that has the price. */
const EXTRAS = ['web_search_options', 'search_parameters', 'plugins', 'models'];

/** Of `provider`: whom an aggregator asks decides what it takes. What only protects the client is passed on. */
const CHOICES_OF_PRICE = new Set(['order', 'only', 'ignore', 'sort']);

/** Parameters for which upstreams charge extra, at prices that this node does not sell by. */
function refusePricedExtras(body: Body): void {
  const bestOf = body['best_of'] ?? 1;
  if (bestOf !== 1) throw unsupported('best_of', 'is not sold here; use "n"');
  const tier = body['service_tier'];
  if (tier === 'priority' || tier === 'scale') throw unsupported('service_tier', 'is not sold here');
  for (const field of EXTRAS) {
    const value = body[field] ?? [];
    if (!Array.isArray(value) || value.length > 0) throw unsupported(field, 'is not sold here');
  }
  const routing = isObject(body['provider']) ? Object.keys(body['provider']) : [];
  if (routing.some((key) => CHOICES_OF_PRICE.has(key)))
    throw unsupported('provider', 'is chosen by the node');
  if (objectsIn(body['tools']).some(({ type }) => typeof type === 'string' && /^openrouter:/.test(type))) {
    throw unsupported('tools', 'is sold for functions only');
  }
  const modalities = body['modalities'];
  if (Array.isArray(modalities) && modalities.some((modality) => modality !== 'text')) {
    throw unsupported('modalities', 'is sold for text only');
  }
}

/** What the strings of a body come to. */
interface Length {
  /** Of all strings, keys included. */
  characters: number;
  /** Of them what no model reads: pictures, sounds and files written as base64 beyond what each may count. */
  encoded: number;
}

/** Adds to `length`; finds the one key that must never be merged into an object. */
function measure(value: unknown, name: string | undefined, length: Length): void {
  if (typeof value === 'string') {
    length.characters += value.length;
    if (value.length > MEDIUM_CHARS && isMedium(value, name)) length.encoded += value.length - MEDIUM_CHARS;
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) measure(item, undefined, length);
    return;
  }
  for (const key of Object.keys(value)) {
    if (key === '__proto__') throw new NodeError('invalid_request', 'The key "__proto__" is not accepted.');
    length.characters += key.length;
    measure((value as Body)[key], key, length);
  }
}

const CHARS_PER_TOKEN = 3;
const MEDIUM_CHARS = LIMITS.json.mediumTokens * CHARS_PER_TOKEN;
/** `image_url.url`, `input_audio.data`, `file.file_data`. */
const MEDIUM_FIELDS: readonly (string | undefined)[] = ['url', 'data', 'file_data'];
const isMedium = (text: string, name: string | undefined): boolean =>
  MEDIUM_FIELDS.includes(name) && /^(?:data:|[A-Za-z0-9+/]{64})/.test(text);

const invalid = (param: string, what: string): NodeError =>
  new NodeError('invalid_request', `The field "${param}" ${what}.`, { param });
const unsupported = (param: string, what: string): NodeError =>
  new NodeError('unsupported_parameter', `The field "${param}" ${what}.`, { param });
