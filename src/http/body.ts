/** Request bodies: bounded, read once, refused before reading where the headers already tell. */
import type { IncomingMessage } from 'node:http';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { readJsonObject } from '../protocol/json-body.ts';
import { arrivingOf } from './context.ts';

const JSON_MEDIA = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;
const OTHER_CHARSET = /charset\s*=\s*"?(?!utf-?8\b)[\w-]+/i;

/** Bytes of a JSON body. Throws payload_too_large, unsupported_media_type, unsupported_encoding, bad_request. */
export function readJsonBytes(req: IncomingMessage): Promise<Buffer> {
  const type = req.headers['content-type'];
  if (type === undefined || !JSON_MEDIA.test(type) || OTHER_CHARSET.test(type)) {
    throw new NodeError(
      'unsupported_media_type',
      'Send the body as Content-Type: application/json in UTF-8.',
    );
  }
  return readBytes(req);
}

/**
 * Body of a balance route: old clients send `Content-Type: application/json` and nothing else, so an empty body
 * counts as {}. All else is read as strictly as a paid request.
 */
export async function readOptionalObject(req: IncomingMessage): Promise<Record<string, unknown>> {
  const bytes = await readBytes(req);
  if (bytes.length === 0) return {};
  if (!JSON_MEDIA.test(req.headers['content-type'] ?? '')) {
    throw new NodeError(
      'unsupported_media_type',
      'Send the body as Content-Type: application/json in UTF-8.',
    );
  }
  return readJsonObject(bytes);
}

/** Set only on requests whose body had to be known before their handler. */
const KEPT = Symbol('body');
type Keeping = IncomingMessage & { [KEPT]?: Buffer };

/** Reads the body ahead of the handler, which gets it by the functions above. Throws as they do. */
export async function keepBytes(req: Keeping): Promise<Buffer> {
  return (req[KEPT] = await readBytes(req));
}

function readBytes(req: Keeping): Promise<Buffer> {
  const kept = req[KEPT];
  if (kept !== undefined) return Promise.resolve(kept);
  const { jsonBytesMax: limit, arrivingBytesMax, arrivingBytesFree } = LIMITS.http;
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new NodeError('unsupported_encoding', 'Compressed bodies are not accepted; send plain JSON.');
  }
  if (Number(req.headers['content-length'] ?? 0) > limit) throw tooLarge();
  const arriving = arrivingOf(req);
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    let refused = false;
    let complete = false;
    const leave = (): void => {
      if (arriving && !refused) arriving.bytes -= length;
    };
    /** The rest is read and dropped, so that the client gets to see the refusal. */
    const refuse = (error: NodeError): void => {
      leave();
      refused = true;
      parts.length = 0;
      reject(error);
    };
    req.on('data', (part: Buffer) => {
      if (refused) return;
      length += part.length;
      if (arriving) arriving.bytes += part.length;
      if (length > limit) refuse(tooLarge());
      else if (length > arrivingBytesFree && arriving && arriving.bytes > arrivingBytesMax) refuse(crowded());
      else parts.push(part);
    });
    req.on('end', () => {
      leave();
      complete = true;
      resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts));
    });
    req.on('error', () => reject(incomplete()));
    // Every request closes; an error costs a stack trace, so it is made only for one that ended early.
    req.on('close', () => {
      if (complete) return;
      leave();
      reject(incomplete());
    });
  });
}

const tooLarge = (): NodeError =>
  new NodeError('payload_too_large', `The body is larger than ${LIMITS.http.jsonBytesMax} bytes.`);
const crowded = (): NodeError =>
  new NodeError('overloaded', 'Too many large bodies arrive at this moment; try again.', {
    retryAfterMs: 1_000,
  });
const incomplete = (): NodeError =>
  new NodeError('bad_request', 'The body ended early; nothing was charged.');
