/** Refusal: an upstream's answer that is not 2xx, as our client may hear it. */
import { ERRORS, NodeError, type NodeErrorOptions } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { isObject, type JsonObject } from '../protocol/openai.ts';

export interface RefusalHead {
  status: number;
  retryAfter: string | undefined;
  retryAfterMs: string | undefined;
}

/**
 * 401, 402 and 403 are about the operator's own account and never shown: clients would throw their key away or
 * pay again. Only what is about the request itself (400, 404, 413, 422) is told in the upstream's words.
 */
export function refusal(head: RefusalHead, body: Buffer, apiKey: string | undefined, now: number): NodeError {
  const { status } = head;
  switch (status) {
    case 400:
    case 404:
    case 413:
    case 422:
      return rejected(status, body, apiKey);
    case 408:
    case 504:
      return new NodeError('upstream_timeout', 'The AI server did not answer in time. Nothing was charged.');
    case 429:
      return new NodeError('rate_limited', 'The AI server has too many requests now; try again later.', {
        retryAfterMs: retryAfter(head, now) ?? 1_000,
      });
    default:
      return new NodeError('upstream_error', 'The AI server could not answer. Nothing was charged.', {
        metadata: { upstream_status: status },
      });
  }
}

function rejected(status: number, body: Buffer, apiKey: string | undefined): NodeError {
  const fields = errorFields(body);
  const message = readable(fields['message'], apiKey);
  const type = readable(fields['type'], apiKey);
  const code = readable(fields['code'], apiKey);
  const param = readable(fields['param'], apiKey);
  const options: NodeErrorOptions = { status };
  if (type !== undefined && !OWN_TYPES.has(type)) options.wireType = type;
  if (code !== undefined && (!(code in ERRORS) || SHARED_CODES.has(code))) options.wireCode = code;
  if (param !== undefined) options.param = param;
  const text =
    message === undefined || MONEY_TALK.test(message) ? 'The AI server refused this request.' : message;
  return new NodeError('upstream_rejected', text, options);
}

function errorFields(body: Buffer): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return {};
  }
  if (!isObject(value)) return {};
  const { error } = value;
  if (isObject(error)) return error;
  return typeof error === 'string' ? { message: error } : value;
}

/** Bounded, on one line, without anything that looks like a key. */
function readable(value: unknown, apiKey: string | undefined): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  const hidden = apiKey === undefined || apiKey === '' ? value : value.replaceAll(apiKey, '[key]');
  return hidden
    .slice(0, LIMITS.upstream.errorTextCharsMax * 2)
    .replace(KEY_SHAPED, '[key]')
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, LIMITS.upstream.errorTextCharsMax);
}

const KEY_SHAPED = /\b(?:sk|pk|rk|gsk|xai|key|org|proj|Bearer)[-_ ][A-Za-z0-9_*-]{6,}/g;

/** Types by which clients recognise messages about their own money and keys. */
const OWN_TYPES = new Set<string>(
  Object.values(ERRORS)
    .map((row) => row.type)
    .filter((type) => type !== 'invalid_request_error' && type !== 'not_found_error'),
);

/** Codes of our own that say the same when an upstream says them. */
const SHARED_CODES = new Set([
  'context_length_exceeded',
  'model_not_found',
  'unsupported_parameter',
  'invalid_max_tokens',
  'invalid_json',
]);

/** Old clients look for these words and top up, or forget their key. */
const MONEY_TALK = /insufficient (?:balance|credit|quota|funds)|key not found|proofs already spent/i;

function retryAfter(head: RefusalHead, now: number): number | undefined {
  const ms = head.retryAfterMs === undefined ? NaN : Number(head.retryAfterMs);
  if (ms >= 0) return bounded(ms);
  if (head.retryAfter === undefined) return undefined;
  const seconds = Number(head.retryAfter);
  if (!Number.isNaN(seconds)) return seconds >= 0 ? bounded(seconds * 1_000) : undefined;
  const date = Date.parse(head.retryAfter);
  return Number.isNaN(date) ? undefined : bounded(date - now);
}

const bounded = (ms: number): number => Math.min(Math.max(Math.ceil(ms), 0), LIMITS.upstream.retryAfterMaxMs);
