/** JSON body: the bytes of a request as one object, refused where two readers could understand them differently. */
import { isUtf8 } from 'node:buffer';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { scanJson } from './json-scan.ts';

/** Throws NodeError: invalid_utf8, invalid_json, json_too_deep, too_many_items, duplicate_keys, and invalid_request for what is no object. */
export function readJsonObject(bytes: Buffer): Record<string, unknown> {
  // A byte order mark is valid UTF-8 but no JSON; JSON.parse would take it for a syntax error.
  if (!isUtf8(bytes) || (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)) {
    throw new NodeError(
      'invalid_utf8',
      'The request body is not plain UTF-8 text. Send JSON encoded as UTF-8.',
    );
  }
  const text = bytes.toString('utf8');
  const { depth, values, topLevelKeys } = scanJson(text, LIMITS.json);
  if (depth > LIMITS.json.depthMax) {
    throw new NodeError(
      'json_too_deep',
      `The request body is nested deeper than ${LIMITS.json.depthMax} levels.`,
    );
  }
  if (values > LIMITS.json.valuesMax) {
    throw new NodeError(
      'too_many_items',
      `The request body holds more than ${LIMITS.json.valuesMax} values.`,
    );
  }
  const value = parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new NodeError('invalid_request', 'The request body must be a JSON object.');
  }
  if (Object.keys(value).length !== topLevelKeys) {
    throw new NodeError('duplicate_keys', 'The request body names a field twice. Send each field once.');
  }
  return value as Record<string, unknown>;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new NodeError('invalid_json', 'The request body is not valid JSON.');
  }
}
