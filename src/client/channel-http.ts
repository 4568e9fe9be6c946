/** createHttpChannel: a node's API at its address, paid by a key or token, or signed by the buyer's Nostr key (NIP-98). */
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
  credential: HttpCredential;
  clock: Clock;
  random?: Random;
}): Channel {
  const { url: base, credential, clock, random = systemRandom } = options;

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
        const response = await fetch(url, {
          method,
          redirect: 'error',
          headers: {
            accept: 'application/json',
            authorization: authorization(url, method, text),
            ...(text === undefined ? {} : JSON_BODY),
          },
          ...(text === undefined ? {} : { body: text }),
          signal: signal ?? null,
        });
        const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
        if (!isStream || onEvent === undefined || response.body === null) {
          return { status: response.status, json: parsed(await bounded(response)) };
        }
        await readEvents(response.body, onEvent);
        return { status: response.status, json: undefined };
      } catch (error) {
        if (signal?.aborted === true) throw error;
        throw new ChannelFailure(`The node at ${new URL(base).host} could not be asked.`, error);
      }
    },
  };
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

async function bounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > LIMITS.upstream.answerBytesMax) throw new Error('answer_too_large');
  }
  return text;
}

async function readEvents(body: ReadableStream<Uint8Array>, onEvent: (data: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
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
