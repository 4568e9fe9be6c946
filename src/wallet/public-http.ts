/** Requests to the outside: public addresses only, no redirects, bounded in time and size. */
import * as http from 'node:http';
import * as https from 'node:https';
import type { Clock } from '../base/time.ts';
import { ipLiteral, isPrivateAddress, publicLookup } from '../base/address.ts';

type IncomingMessage = http.IncomingMessage;

/** A whole answer as text. Throws for one that is too large or breaks off. */
export async function readText(response: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bytesMax) throw new Error('answer_too_large');
    chunks.push(chunk);
  }
  // A connection that breaks inside a body ends the stream without an error if no length was promised.
  if (!response.complete) throw new Error('answer_cut_off');
  return Buffer.concat(chunks).toString('utf8');
}

/**
 * JSON of one GET. The connection goes to the very address that was checked. Throws an Error whose message says what
 * went wrong, in our own words and without the URL.
 */
export async function getPublicJson(
  url: URL,
  how: { allowPrivate: boolean; bytesMax: number; timeoutMs: number; clock: Clock; signal: AbortSignal },
): Promise<unknown> {
  const literal = ipLiteral(url);
  if (literal !== undefined && !how.allowPrivate && isPrivateAddress(literal))
    throw new Error('private_address');
  const finished = new AbortController();
  const limit = AbortSignal.any([finished.signal, how.signal]);
  try {
    return await Promise.race([
      ask(url, how, limit),
      how.clock.sleep(how.timeoutMs, limit).then(() => {
        throw new Error('timeout');
      }),
    ]);
  } finally {
    finished.abort();
  }
}

async function ask(
  url: URL,
  how: { allowPrivate: boolean; bytesMax: number },
  signal: AbortSignal,
): Promise<unknown> {
  const transport = url.protocol === 'https:' ? https : http;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = transport.request(
      url,
      {
        agent: false,
        signal,
        lookup: how.allowPrivate ? undefined : publicLookup,
        headers: { accept: 'application/json' },
      },
      resolve,
    );
    request.on('error', reject);
    request.end();
  });
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error('not_ok');
  }
  return JSON.parse(await readText(response, how.bytesMax)) as unknown;
}
