import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { type Clock, systemClock } from '../../src/base/time.ts';
import { createProxy } from '../../src/client/proxy.ts';
import type { ClientFrame, NodeFrame, RequestFrame } from '../../src/protocol/dmi.ts';
import { freePort } from '../node-kit.ts';
import { hurried, newKey, openings, until } from '../nostr/kit.ts';
import { dmClient, scriptedNode } from './dm-kit.ts';

const open = openings();
afterEach(open.close);

type Send = (frame: NodeFrame) => void;

/** A proxy in front of a node that answers as told. */
async function proxied(
  answer: (request: RequestFrame, send: Send) => void,
  options: { host?: string; clock?: Clock; others?: (frame: ClientFrame) => void } = {},
) {
  const { host = '127.0.0.1', clock = systemClock } = options;
  const relay = await open.relay();
  const node = await scriptedNode(open, [relay], (frame, send) => {
    if (frame.t === 'req') answer(frame, send);
  });
  const outcomes: boolean[] = [];
  const server = createProxy({
    client: dmClient(open, [relay], node.key, { clock }),
    host,
    onOutcome: ({ ok }) => void outcomes.push(ok),
    clock,
    log: silentLogger,
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.onClose(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, node, relay, outcomes };
}

const ok = (id: string, body: unknown = { ok: true }): NodeFrame => ({
  t: 'res',
  id,
  status: 200,
  h: { 'content-type': 'application/json', 'x-routstr-cost-msats': '7', connection: 'close' },
  body: JSON.stringify(body),
  cost_msat: 7,
});
const chunk = (id: string, seq: number, content: string): NodeFrame => ({
  t: 'data',
  id,
  seq,
  d: JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  }),
});
const sdk = (url: string, more: ConstructorParameters<typeof OpenAI>[0] = {}) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', ...more });
const hello = { model: 'm', messages: [{ role: 'user' as const, content: 'hello' }] };

describe('story', () => {
  test('an unmodified SDK gets its answer, its headers and the cost', async () => {
    const { url, node, outcomes } = await proxied(({ id }, send) => {
      send(ok(id, { id: 'x', choices: [{ message: { role: 'assistant', content: 'hi' } }] }));
    });
    const { data, response } = await sdk(url).chat.completions.create(hello).withResponse();
    expect(data.choices[0]?.message.content).toBe('hi');
    expect(response.headers.get('x-routstr-cost-msats')).toBe('7');
    expect(node.frames[0]).toMatchObject({
      path: '/v1/chat/completions',
      h: { 'content-type': 'application/json' },
    });
    expect(node.frames[0]).not.toHaveProperty('auth');
    expect(node.frames[0]).not.toHaveProperty('stream');
    await until(() => outcomes.length === 1);
    expect(outcomes).toEqual([true]);
  });

  test('a stream arrives event by event and ends as SDKs expect', async () => {
    const { url, node } = await proxied(({ id }, send) => {
      ['a', 'b', 'c'].forEach((text, seq) => send(chunk(id, seq, text)));
      send({ t: 'res', id, status: 200, last: 3, cost_msat: 7 });
    });
    let text = '';
    for await (const event of await sdk(url).chat.completions.create({ ...hello, stream: true })) {
      text += event.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe('abc');
    expect(node.frames[0]).toMatchObject({ stream: {} });
    const raw = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ ...hello, stream: true }),
    });
    expect((await raw.text()).endsWith('data: [DONE]\n\n')).toBe(true);
  });

  test.each([
    [{ authorization: `Bearer sk-${'a'.repeat(64)}` }, { bearer: `sk-${'a'.repeat(64)}` }],
    [{ authorization: 'Bearer cashuBabc' }, { bearer: 'cashuBabc' }],
    [{ 'x-api-key': `sk-${'b'.repeat(64)}` }, { bearer: `sk-${'b'.repeat(64)}` }],
    [{ 'x-cashu': 'cashuBabc', authorization: 'Bearer x' }, { cashu: 'cashuBabc' }],
    // A key of another service is not given to the node.
    [{ authorization: 'Bearer sk-proj-of-somebody-else' }, undefined],
  ])('%j pays as %j', async (headers, auth) => {
    const { url, node } = await proxied(({ id }, send) => send(ok(id)));
    await fetch(`${url}/v1/models`, { headers });
    expect((node.frames[0] as RequestFrame).auth).toEqual(auth);
    expect(JSON.stringify(node.frames[0])).not.toContain('sk-proj');
  });

  test('a repeated Idempotency-Key is a repeated request: the node sees one id', async () => {
    const { url, node } = await proxied(({ id }, send) => send(ok(id)));
    for (const key of ['a', 'a', 'b'])
      await fetch(`${url}/v1/models`, { headers: { 'idempotency-key': key } });
    const [first, second, third] = node.frames.map((frame) => (frame as RequestFrame).id);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
  });

  test('change comes back in the header and is acknowledged once it was read', async () => {
    const { url, node } = await proxied(({ id }, send) =>
      send({ ...ok(id), change: 'cashuBrest' } as NodeFrame),
    );
    const answer = await fetch(`${url}/v1/models`, { headers: { 'x-cashu': 'cashuBabc' } });
    expect(answer.headers.get('x-cashu')).toBe('cashuBrest');
    await answer.text();
    await until(() => node.frames.some(({ t }) => t === 'ack'));
  });

  test('a client that leaves cancels', async () => {
    const { url, node, outcomes } = await proxied(({ id }, send) => send(chunk(id, 0, 'a')));
    const stream = await sdk(url).chat.completions.create({ ...hello, stream: true });
    for await (const event of stream) {
      expect(event.choices[0]?.delta.content).toBe('a');
      break;
    }
    await until(() => node.frames.some(({ t }) => t === 'cancel'));
    expect(outcomes).not.toContain(false);
  });
});

describe('failures', () => {
  test('a refusal keeps status and envelope', async () => {
    const { url } = await proxied(({ id }, send) =>
      send({ t: 'err', id, status: 402, code: 'insufficient_balance', message: 'Insufficient credits' }),
    );
    await expect(sdk(url).chat.completions.create(hello)).rejects.toMatchObject({
      status: 402,
      code: 'insufficient_balance',
    });
  });

  test('silence is 504, and the SDK is told not to try again by itself', async () => {
    const { url, node, outcomes } = await proxied(() => undefined, { clock: hurried(100) });
    await expect(sdk(url).chat.completions.create(hello)).rejects.toMatchObject({
      status: 504,
      code: 'upstream_timeout',
    });
    const ids = node.frames.map((frame) => (frame as RequestFrame).id);
    expect(new Set(ids).size).toBe(1);
    expect(outcomes).toEqual([false]);
  });

  test('no relay: 503, nothing was sent, so trying again is safe', async () => {
    const client = dmClient(open, [`ws://127.0.0.1:${await freePort()}`], newKey(), { clock: hurried(100) });
    const server = createProxy({ client, host: '127.0.0.1', clock: systemClock, log: silentLogger });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.onClose(async () => void server.close());
    const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/models`);
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([503, 'true']);
    expect(await answer.json()).toMatchObject({ error: { code: 'upstream_unavailable' } });
  });

  test('a stream that breaks off ends with an error, never as if it were whole', async () => {
    const { url } = await proxied(({ id }, send) => send(chunk(id, 0, 'a')), { clock: hurried(100) });
    const read = async (): Promise<string> => {
      let text = '';
      for await (const event of await sdk(url).chat.completions.create({ ...hello, stream: true })) {
        text += event.choices[0]?.delta.content ?? '';
      }
      return text;
    };
    await expect(read()).rejects.toThrow(/silent|lost/);
  });

  test('a body that no message carries is 413', async () => {
    const { url } = await proxied(() => undefined);
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: 'x'.repeat(9 << 20),
    }).catch(() => undefined);
    // The connection may be closed before the whole body was sent.
    expect([413, undefined]).toContain(answer?.status);
  });
});

describe('pages in the browser', () => {
  const ask = (url: string, headers: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) => {
      httpRequest(`${url}/v1/models`, { headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });

  test.each([
    [{}, 200],
    [{ origin: 'http://localhost:3000' }, 200],
    [{ origin: 'https://evil.example' }, 403],
    [{ origin: 'null' }, 403],
    [{ 'sec-fetch-site': 'cross-site' }, 403],
    [{ host: 'rebound.example' }, 403],
    [{ host: 'localhost:1' }, 200],
  ])('%j gets %d', async (headers, status) => {
    const { url, node } = await proxied(({ id }, send) => send(ok(id)));
    expect(await ask(url, headers)).toBe(status);
    expect(node.frames).toHaveLength(status === 200 ? 1 : 0);
  });

  test('a proxy that others can reach does not spend the account of its own key', async () => {
    const { url, node } = await proxied(({ id }, send) => send(ok(id)), { host: '0.0.0.0' });
    expect(await ask(url, {})).toBe(401);
    expect(await ask(url, { authorization: `Bearer sk-${'a'.repeat(64)}` })).toBe(200);
    expect(node.frames).toHaveLength(1);
  });
});
