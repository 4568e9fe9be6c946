/** Signed requests without a network: the clock, the addresses and the memory of used events. */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { sha256Hex } from '../../src/base/id.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { unixSeconds } from '../../src/base/time.ts';
import { senderOf } from '../../src/http/context.ts';
import { createSignedRequests } from '../../src/http/signed.ts';
import {
  type HttpAuth,
  type HttpFacts,
  buildHttpAuth,
  httpAuthProblem,
} from '../../src/protocol/http-auth.ts';
import { verifyEvent } from '../../src/relay/event.ts';
import { type FakeClock, fakeClock } from '../base/clock.ts';
import { asHeader, authEvent, newSecret } from '../e2e/signed.ts';

const SECRET = newSecret();
const PUBLIC = 'https://ai.example.com';
const PATH = '/v1/wallet/info?x=%20';

interface Given {
  event: unknown;
  host?: string;
  method?: string;
  body?: string;
  localAddress?: string;
  remote?: string;
}

function requestOf({ event, host = 'ai.example.com', method = 'GET', body = '', ...rest }: Given) {
  const socket = { localAddress: rest.localAddress ?? '10.0.0.7', localPort: 8000 };
  const headers = { host, ...asHeader(event) };
  const fields = { headers, method, url: PATH, rawHeaders: [], socket, ip: rest.remote ?? '203.0.113.9' };
  return Object.assign(
    Readable.from(body === '' ? [] : [Buffer.from(body)]),
    fields,
  ) as unknown as IncomingMessage;
}

function gate(options: { publicUrls?: string[]; clock?: FakeClock; trusting?: boolean; most?: number } = {}) {
  const { publicUrls = [PUBLIC], clock = fakeClock(), trusting = false, most = 10 } = options;
  const verify = trusting ? (event: unknown) => event as HttpAuth : verifyEvent;
  const signed = createSignedRequests({ verify, publicUrls, clock, most });
  /** The key that the request speaks for, or the code of the refusal. */
  const ask = async (given: Given): Promise<string | undefined> => {
    const req = requestOf(given);
    await signed.take(req);
    try {
      return senderOf(req);
    } catch (error) {
      if (error instanceof NodeError) return error.code;
      throw error;
    }
  };
  return { ask, clock };
}

const eventFor = (clock: FakeClock, url = PUBLIC + PATH, method = 'GET', body?: string) =>
  authEvent(SECRET, { url, method, ...(body === undefined ? {} : { body }) }, (template) => ({
    ...template,
    created_at: unixSeconds(clock),
  }));

test('a signed request speaks for its key, however often its handler asks, and once only', async () => {
  const { ask, clock } = gate();
  const event = eventFor(clock);
  expect(await ask({ event })).toBe(event.pubkey);
  expect(await ask({ event })).toBe('replayed');
  const req = requestOf({ event: eventFor(clock, PUBLIC + PATH, 'POST', 'x'), method: 'POST', body: 'x' });
  await createSignedRequests({ verify: verifyEvent, publicUrls: [PUBLIC], clock }).take(req);
  expect([senderOf(req), senderOf(req)]).toEqual([event.pubkey, event.pubkey]);
});

test('an event cannot be used again while its time is in the window, and is forgotten afterwards', async () => {
  const { ask, clock } = gate({ trusting: true });
  const event = eventFor(clock);
  await ask({ event });
  await clock.advance((LIMITS.httpAuth.windowSeconds - 1) * 1000);
  expect(await ask({ event })).toBe('replayed');
  await clock.advance(1_000);
  expect(await ask({ event })).toBe('unauthorized');
  await clock.advance(LIMITS.httpAuth.rememberSeconds * 1000);
  const later = { ...event, created_at: unixSeconds(clock) };
  expect(await ask({ event: later })).toBe(event.pubkey);
});

test('what was signed before this process began is refused, because an earlier one may have seen it', async () => {
  const clock = fakeClock();
  const event = eventFor(clock);
  await clock.advance(2_000);
  expect(await gate({ clock }).ask({ event })).toBe('unauthorized');
});

test('a memory full of used events refuses everybody instead of forgetting one', async () => {
  const { ask, clock } = gate({ trusting: true });
  const event = eventFor(clock);
  const idOf = (i: number): string => i.toString(16).padStart(64, '0');
  expect(await ask({ event })).toBe(event.pubkey);
  for (let i = 1; i < 10; i++) await ask({ event: { ...event, id: idOf(i) } });
  expect(await ask({ event: { ...event, id: idOf(10) } })).toBe('overloaded');
  expect(await ask({ event })).toBe('replayed');
});

test('Host names this node only where the socket confirms it', async () => {
  const clock = fakeClock();
  const asked = (publicUrls: string[], host: string, localAddress: string) =>
    gate({ publicUrls, clock }).ask({ event: eventFor(clock, `http://${host}${PATH}`), host, localAddress });
  const { pubkey } = eventFor(clock);
  expect(await asked([PUBLIC], '127.0.0.1:8000', '127.0.0.1')).toBe(pubkey);
  expect(await asked([PUBLIC], 'localhost:8000', '::ffff:127.0.0.1')).toBe(pubkey);
  expect(await asked([PUBLIC], '[::1]:8000', '::1')).toBe(pubkey);
  expect(await asked([], '10.0.0.7:8000', '10.0.0.7')).toBe(pubkey);
  expect(await asked([PUBLIC], '10.0.0.7:8000', '10.0.0.7')).toBe('unauthorized');
  expect(await asked([PUBLIC], '127.0.0.1:8000', '10.0.0.7')).toBe('unauthorized');
  expect(await asked([PUBLIC], '127.0.0.1:8001', '127.0.0.1')).toBe('unauthorized');
  expect(await asked([], 'evil.example', '10.0.0.7')).toBe('unauthorized');
  expect(await asked([], 'evil.example:8000', '127.0.0.1')).toBe('unauthorized');
});

test('a network whose events keep being refused is shut out for a while, others are not', async () => {
  const { ask, clock } = gate();
  const event = { ...eventFor(clock), sig: '0'.repeat(128) };
  const codes: unknown[] = [];
  for (let i = 0; i <= LIMITS.junk.sourceBurst; i++) codes.push(await ask({ event, remote: '8.8.8.8' }));
  expect(codes.at(0)).toBe('unauthorized');
  expect(codes.at(-1)).toBe('rate_limited');
  expect(await ask({ event: eventFor(clock), remote: '9.9.9.9' })).toBe(event.pubkey);
});

test('every part of a signed event decides: one wrong part is enough', () => {
  const now = 1_760_000_000;
  const facts: HttpFacts = { urls: [PUBLIC], method: 'POST', bodyHash: () => sha256Hex('x'), now };
  const template = buildHttpAuth(
    { url: PUBLIC, method: 'POST', bodyHash: sha256Hex('x') },
    { createdAt: now, nonce: 'n' },
  );
  const auth: HttpAuth = { id: '', pubkey: '', sig: '', ...template };
  expect(httpAuthProblem(auth, facts)).toBeUndefined();
  const [u = [], method = [], payload = []] = auth.tags;
  const wrong: Partial<HttpAuth>[] = [
    { kind: 27234 },
    { created_at: now - 60 },
    { created_at: now + 60 },
    { tags: [method, payload] },
    { tags: [u, payload] },
    { tags: [u, method] },
    { tags: [u, u, method, payload] },
    { tags: [u, method, method, payload] },
    { tags: [u, method, payload, payload] },
    { tags: [['u'], method, payload] },
    { tags: [u, method, ['payload', sha256Hex('y')]] },
    { tags: [u, method, ['payload', sha256Hex('x').toUpperCase()]] },
  ];
  for (const part of wrong) expect(httpAuthProblem({ ...auth, ...part }, facts)).toBeTypeOf('string');
  for (const created of [now - 59, now + 59])
    expect(httpAuthProblem({ ...auth, created_at: created }, facts)).toBeUndefined();
  const empty: HttpFacts = { ...facts, bodyHash: () => sha256Hex('') };
  expect(httpAuthProblem({ ...auth, tags: [u, method] }, empty)).toBeUndefined();
  expect(httpAuthProblem(auth, empty)).toBeTypeOf('string');
});
