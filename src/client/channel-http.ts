/** createHttpChannel: a node's API at its address, paid by a key or token, or signed by the buyer's Nostr key (NIP-98). */
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { ipLiteral, isPrivateAddress, PrivateAddressError, publicLookup } from '../base/address.ts';
import { hex, type Random, sha256Hex, systemRandom } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { buildHttpAuth } from '../protocol/http-auth.ts';
import type { NodeKey } from '../relay/relay.ts';
import { type Channel, ChannelFailure, JSON_BODY, parsed } from './channel.ts';

export type HttpCredential = { bearer: Secret } | { key: NodeKey };

export function createHttpChannel(options: {
  /** Without `/v1`; of the buyer's own choice, or proven by discovery. */
  url: string;
  /** False for an address that somebody announced: then it must be public at every connection. */
  allowPrivate: boolean;
  credential: HttpCredential;
  clock: Clock;
  random?: Random;
}): Channel {
  const { url: base, allowPrivate, credential, clock, random = systemRandom } = options;

  function authorization(url: string, method: string, body: string | undefined): string {
    if ('bearer' in credential) return `Bearer ${credential.bearer.reveal()}`;
    return signedRequest(credential.key, { url, method, body, clock, random });
  }

  return {
    how: 'http',
    ask: async ({ method, path, body, onEvent, signal }) => {
      const url = base + path;
      const text = body === undefined ? undefined : JSON.stringify(body);
      try {
        const headers = {
          accept: 'application/json',
          'accept-encoding': 'identity',
          authorization: authorization(url, method, text),
          ...(text === undefined ? {} : JSON_BODY),
        };
        const answer = await send(url, { method, headers, body: text, allowPrivate, signal });
        const status = answer.statusCode ?? 0;
        const isStream = answer.headers['content-type']?.startsWith('text/event-stream') === true;
        if (!isStream || onEvent === undefined) return { status, json: parsed(await bounded(answer)) };
        await readEvents(answer, onEvent);
        return { status, json: undefined };
      } catch (error) {
        if (signal?.aborted === true) throw new ChannelFailure('The request was given up.', error, true);
        const { host } = new URL(base);
        throw error instanceof PrivateAddressError
          ? new ChannelFailure(`The address ${host} is private and was not contacted.`, error)
          : new ChannelFailure(`The node at ${host} could not be asked.`, error);
      }
    },
  };
}

/** Resolves with the head of the answer. Redirects are not followed. */
function send(
  url: string,
  how: {
    method: string;
    headers: Record<string, string>;
    body: string | undefined;
    allowPrivate: boolean;
    signal: AbortSignal | undefined;
  },
): Promise<IncomingMessage> {
  const { method, headers, body, allowPrivate, signal } = how;
  const literal = ipLiteral(new URL(url));
  if (!allowPrivate && literal !== undefined && isPrivateAddress(literal)) {
    return Promise.reject(new PrivateAddressError());
  }
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, {
      method,
      headers,
      agent: false,
      timeout: LIMITS.upstream.firstByteTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
      ...(allowPrivate ? {} : { lookup: publicLookup }),
    });
    request.once('timeout', () => request.destroy(new Error('timeout')));
    request.once('response', (answer) => {
      const status = answer.statusCode ?? 0;
      if (status < 300 || status > 399) return resolve(answer);
      request.destroy();
      reject(new Error('redirected'));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** `Authorization` of a request that the buyer's key signs (NIP-98), with the hash of its body if it has one. */
export function signedRequest(
  key: NodeKey,
  request: {
    url: string;
    method: string;
    body: string | Uint8Array | undefined;
    clock: Clock;
    random?: Random;
  },
): string {
  const { url, method, body, clock, random = systemRandom } = request;
  const bodyHash = body === undefined || body.length === 0 ? {} : { bodyHash: sha256Hex(body) };
  const nonce = hex(random(16));
  const event = key.sign(
    buildHttpAuth({ url, method, ...bodyHash }, { createdAt: unixSeconds(clock), nonce }),
  );
  return `Nostr ${Buffer.from(JSON.stringify(event)).toString('base64')}`;
}

async function bounded(answer: IncomingMessage): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > LIMITS.upstream.answerBytesMax) throw new Error('answer_too_large');
  }
  return text;
}

async function readEvents(answer: IncomingMessage, onEvent: (data: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    rest += decoder.decode(chunk, { stream: true }).replaceAll('\r', '');
    if (rest.length > LIMITS.upstream.eventBytesMax) throw new Error('event_too_large');
    for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n')) {
      const lines = rest
        .slice(0, end)
        .split('\n')
        .filter((line) => line.startsWith('data:'));
      if (lines.length > 0) onEvent(lines.map((line) => line.slice(5).trimStart()).join('\n'));
      rest = rest.slice(end + 2);
    }
  }
}
