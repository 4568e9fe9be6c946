/** createFetchJson: GET of a stranger's JSON with every bound: time, size, no redirects, no private addresses. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { ipLiteral, isPrivateAddress, PrivateAddressError, publicLookup } from '../base/address.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export type FetchOutcome =
  | { outcome: 'ok'; json: unknown; ms: number }
  /** `reason` is a sentence for a person, without text of the other side. */
  | { outcome: 'failed'; reason: string };

/** Never rejects. */
export type FetchJson = (url: string, signal?: AbortSignal) => Promise<FetchOutcome>;

export function createFetchJson(options: {
  clock: Clock;
  /** Contact loopback, private and link-local addresses too. */
  allowPrivate?: boolean;
  timeoutMs?: number;
}): FetchJson {
  const { clock, allowPrivate = false, timeoutMs = LIMITS.discover.probeTimeoutMs } = options;
  return async (address, signal) => {
    const url = new URL(address);
    const refusal = refuse(url, allowPrivate);
    if (refusal !== undefined) return failed(refusal);
    const started = clock.monotonic();
    const done = new AbortController();
    const stop = new AbortController();
    const abort = (): void => stop.abort();
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
    void clock.sleep(timeoutMs, done.signal).then(abort);
    const body = await getBody(url, allowPrivate, stop.signal);
    done.abort();
    signal?.removeEventListener('abort', abort);
    if ('reason' in body) return failed(body.reason);
    const json = parsed(body.text);
    if (json === undefined) return failed('the answer is not JSON');
    return { outcome: 'ok', json, ms: Math.round(clock.monotonic() - started) };
  };
}

const failed = (reason: string): FetchOutcome => ({ outcome: 'failed', reason });

/** Names are checked once more when they are resolved. */
function refuse(url: URL, allowPrivate: boolean): string | undefined {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'the address is not http or https';
  if (url.hostname.endsWith('.onion')) return 'onion addresses are not contacted without Tor';
  const literal = ipLiteral(url);
  if (!allowPrivate && literal !== undefined && isPrivateAddress(literal)) return PRIVATE;
  return undefined;
}

const PRIVATE = 'the address is private and was not contacted';

function getBody(
  url: URL,
  allowPrivate: boolean,
  signal: AbortSignal,
): Promise<{ text: string } | { reason: string }> {
  return new Promise((resolve) => {
    const get = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = get(url, {
      method: 'GET',
      agent: false,
      signal,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'routstr-node' },
      ...(allowPrivate ? {} : { lookup: publicLookup }),
    });
    request.once('response', (response) => {
      void readBody(response).then((body) => {
        resolve(body);
        request.destroy();
      });
    });
    request.on('error', (error) => {
      if (error instanceof PrivateAddressError) resolve({ reason: PRIVATE });
      else resolve({ reason: signal.aborted ? 'no answer in time' : 'the address could not be reached' });
    });
    request.end();
  });
}

async function readBody(response: IncomingMessage): Promise<{ text: string } | { reason: string }> {
  const status = response.statusCode ?? 0;
  if (status >= 300 && status < 400) return { reason: 'the address redirects elsewhere' };
  if (status !== 200) return { reason: `the address answered with status ${status}` };
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > LIMITS.discover.bodyBytesMax) return { reason: 'the answer is too large' };
      chunks.push(chunk);
    }
  } catch {
    return { reason: 'the answer broke off or did not end in time' };
  }
  return { text: Buffer.concat(chunks).toString('utf8') };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
