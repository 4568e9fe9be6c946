import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/id.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { systemClock } from '../../src/base/time.ts';
import { createDmStream } from '../../src/client/dm-stream.ts';
import { askOverDm, DmFailure, type DmChunk } from '../../src/client/dm.ts';
import type { ClientFrame, DataFrame, NodeFrame } from '../../src/protocol/dmi.ts';
import { packBody } from '../../src/protocol/dmi-body.ts';
import { createWrapper } from '../../src/relay/wrap.ts';
import { createRawRelay } from '../relay/raw-relay.ts';
import { freePort } from '../node-kit.ts';
import { hurried, newKey, openings, until } from '../nostr/kit.ts';
import { dmClient, scriptedNode } from './dm-kit.ts';

const open = openings();
afterEach(open.close);

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const words = ['one ', 'two ', 'three ', 'four '];
const data = (id: string, seq: number): DataFrame => ({ t: 'data', id, seq, d: words[seq] ?? '' });
const result = (id: string, more: Partial<Extract<NodeFrame, { t: 'res' }>> = {}): NodeFrame => ({
  t: 'res',
  id,
  status: 200,
  h: { 'content-type': 'application/json' },
  body: '{"ok":true}',
  cost_msat: 7,
  bal_msat: 93,
  ...more,
});
const whole = (id: string): NodeFrame =>
  result(id, { body: undefined, last: words.length, sha256: sha256(words.join('')) });

const get = { method: 'GET', path: '/v1/info' } as const;
const chat = { method: 'POST', path: '/v1/chat/completions', body: '{"model":"m"}' } as const;

async function textOf(chunks: AsyncIterable<DmChunk>): Promise<string> {
  let text = '';
  for await (const { data: one } of chunks) text += one;
  return text;
}

describe('story', () => {
  test('one request, one answer, with its cost and the balance after it', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'req') send(result(frame.id));
    });
    const client = dmClient(open, [relay], node.key);
    const call = await client.ask({ ...chat, auth: { bearer: 'sk-1' }, headers: { accept: '*/*' } });
    expect(await call.answer).toMatchObject({ status: 200, cost: 7, balance: 93, id: call.id });
    expect((await call.answer).body.toString()).toBe('{"ok":true}');
    expect(await textOf(call.chunks)).toBe('');
    expect(node.frames).toMatchObject([
      { t: 'req', v: 1, id: call.id, method: 'POST', body: '{"model":"m"}', auth: { bearer: 'sk-1' } },
    ]);
    expect(node.kinds).toEqual([21059]);
  });

  test('a stream is an async iterable of events that returns the end of the answer', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t !== 'req') return;
      send({ t: 'acc', id: frame.id });
      words.forEach((_word, seq) => send(data(frame.id, seq)));
      send(whole(frame.id));
    });
    const stream = askOverDm(dmClient(open, [relay], node.key), chat);
    let text = '';
    let step = await stream.next();
    for (; step.done !== true; step = await stream.next()) text += step.value.data;
    expect(text).toBe('one two three four ');
    expect(step.value).toMatchObject({ status: 200, cost: 7 });
    expect(node.frames[0]).toMatchObject({ stream: {} });
  });

  test('a refusal is an answer, with the body that HTTP would have', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t !== 'req') return;
      const { id } = frame;
      send({
        t: 'err',
        id,
        status: 402,
        code: 'insufficient_balance',
        message: 'Insufficient',
        need_msat: 9,
      });
    });
    const { answer } = await dmClient(open, [relay], node.key).ask(chat);
    expect((await answer).status).toBe(402);
    expect(JSON.parse((await answer).body.toString())).toMatchObject({
      error: { code: 'insufficient_balance', message: 'Insufficient', metadata: { required_msats: 9 } },
    });
  });

  test('change is acknowledged when it is in safe hands, not before', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'req') send(result(frame.id, { change: 'cashuBchange' }));
    });
    const call = await dmClient(open, [relay], node.key).ask({ ...chat, auth: { cashu: 'cashuBx' } });
    expect(await call.answer).toMatchObject({ change: 'cashuBchange' });
    expect(node.frames.map(({ t }) => t)).toEqual(['req']);
    await call.taken();
    await until(() => node.frames.length === 2);
    expect(node.frames[1]).toEqual({ t: 'ack', id: call.id });
    expect(node.kinds).toEqual([1059, 1059]);
  });

  test('a ping measures the way there and back', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'ping') send({ t: 'pong', n: frame.n });
    });
    expect(await dmClient(open, [relay], node.key).ping()).toBeGreaterThan(0);
    expect(await dmClient(open, [relay], newKey(), { clock: hurried(20) }).ping()).toBeUndefined();
  });
});

describe('what gets lost', () => {
  test.each<[string, number[]]>([
    ['in reverse', [3, 2, 1, 0]],
    ['doubled', [0, 0, 1, 1, 2, 3, 3]],
    ['shuffled', [2, 0, 3, 1]],
  ])('frames that come %s are put in order', async (_name, order) => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t !== 'req') return;
      send(whole(frame.id));
      for (const seq of order) send(data(frame.id, seq));
    });
    expect(await textOf(askOverDm(dmClient(open, [relay], node.key), chat))).toBe(words.join(''));
    expect(node.frames.filter(({ t }) => t === 'get')).toEqual([]);
  });

  test('a gap is asked for from its first number on', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'req') {
        [0, 3].forEach((seq) => send(data(frame.id, seq)));
        send(whole(frame.id));
      } else if (frame.t === 'get') {
        for (let seq = frame.from ?? 99; seq < 3; seq += 1) send(data(frame.id, seq));
      }
    });
    expect(await textOf(askOverDm(dmClient(open, [relay], node.key), chat))).toBe(words.join(''));
    expect(node.frames[1]).toMatchObject({ t: 'get', from: 1 });
  });

  test('frames without text only say that the node is there, whether or not they have a number of their own', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t !== 'req') return;
      const { id } = frame;
      send({ t: 'data', id, seq: 0 });
      send({ t: 'data', id, seq: 0, d: 'a' });
      send({ t: 'data', id, seq: 1 });
      send({ t: 'data', id, seq: 2, d: 'b' });
      send({ t: 'data', id, seq: 3, d: '' });
      send(result(id, { body: undefined, last: 4, sha256: sha256('ab') }));
    });
    expect(await textOf(askOverDm(dmClient(open, [relay], node.key), chat))).toBe('ab');
  });

  test('a long body goes out in parts, and those that were lost go again', async () => {
    const relay = await open.relay();
    const body = Array.from(systemRandom(60_000), (byte) => byte.toString(36)).join('');
    const got = new Map<number, number>();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'req') send({ t: 'acc', id: frame.id, need_parts: [1] });
      if (frame.t !== 'part') return;
      got.set(frame.i, (got.get(frame.i) ?? 0) + 1);
      if (got.get(1) === 2) send(result(frame.id));
    });
    const { answer } = await dmClient(open, [relay], node.key).ask({ ...chat, body });
    expect((await answer).status).toBe(200);
    expect(node.frames[0]).toMatchObject({ parts: { sha256: sha256(body), bytes: body.length } });
    expect(got.get(0)).toBe(1);
  });

  test('a long answer comes in parts; missing ones are asked for, and the digest is checked', async () => {
    const relay = await open.relay();
    const body = Array.from(systemRandom(60_000), (byte) => byte.toString(36)).join('');
    const { fields, parts } = await packBody(Buffer.from(body));
    let lie = false;
    const node = await scriptedNode(open, [relay], (frame, send) => {
      const { id } = frame as { id: string };
      if (frame.t === 'req') {
        const announced = fields.parts ?? { n: 0, bytes: 0, sha256: '' };
        const stated = lie ? { ...announced, sha256: sha256('else') } : announced;
        // The first part overtakes the frame that announces it; the others are lost.
        send({ ...parts[0], t: 'part', i: 0, z: parts[0]?.z ?? '', id });
        send(result(id, { body: undefined, parts: stated }));
      } else if (frame.t === 'get') {
        for (const i of frame.need_parts ?? []) send({ t: 'part', id, i, z: parts[i]?.z ?? '' });
      }
    });
    const client = dmClient(open, [relay], node.key);
    expect((await (await client.ask(get)).answer).body.toString()).toBe(body);
    expect(node.frames[1]).toMatchObject({ t: 'get', need_parts: parts.slice(1).map(({ i }) => i) });
    lie = true;
    await expect((await client.ask(get)).answer).rejects.toMatchObject({ kind: 'damaged', ambiguous: true });
  });

  test('a stream whose digest is another is not taken for the answer', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t !== 'req') return;
      send(data(frame.id, 0));
      send(result(frame.id, { body: undefined, last: 1, sha256: sha256('else') }));
    });
    await expect(textOf(askOverDm(dmClient(open, [relay], node.key), chat))).rejects.toMatchObject({
      kind: 'damaged',
    });
  });

  test('a long silence is asked about, and as long as the node says that it works on it, it is waited for', async () => {
    const relay = await open.relay();
    let asked = 0;
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'get') asked += 1;
      if (frame.t === 'req' || asked < 4) send({ t: 'acc', id: (frame as { id: string }).id });
      else send(result((frame as { id: string }).id));
    });
    const { answer } = await dmClient(open, [relay], node.key, { clock: hurried(20) }).ask(chat);
    expect((await answer).status).toBe(200);
    expect(asked).toBe(4);
  });

  test('a node that never sends the rest is given up', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'req') send(whole(frame.id));
    });
    const clock = hurried(40);
    const client = dmClient(open, [relay], node.key, { clock });
    await expect(textOf(askOverDm(client, chat))).rejects.toMatchObject({ kind: 'timeout', ambiguous: true });
    expect(node.frames.filter(({ t }) => t === 'get').length).toBeLessThanOrEqual(6);
  });
});

describe('a node that sends without end', () => {
  const frame = (seq: number, d?: string): DataFrame => ({
    t: 'data',
    id: 'a'.repeat(32),
    seq,
    ...(d !== undefined && { d }),
  });
  const taken = (stream: ReturnType<typeof createDmStream>, d?: string): number => {
    let count = 0;
    while (stream.take(frame(count + 1, d)) && count < 100_000) count += 1;
    return count;
  };

  test('fills memory up to a bound, and the frame that is waited for is still taken', async () => {
    const stream = createDmStream();
    expect(taken(stream, 'x'.repeat(26_000)) * 26_000).toBeLessThanOrEqual(LIMITS.ask.aheadBytesMax);
    expect(stream.missing()).toBe(0);
    expect(stream.take(frame(0, 'first'))).toBe(true);
    expect(await stream.next()).toEqual({ data: 'first' });
    expect((await stream.next())?.data).toHaveLength(26_000);
    // What was read made room.
    expect(stream.take(frame(90_000, 'x'.repeat(20_000)))).toBe(true);
  });

  test('so do frames without text', () => {
    expect(taken(createDmStream())).toBeLessThanOrEqual(LIMITS.ask.aheadMax);
  });
});

describe('relays', () => {
  test('one that takes no wrap that is dated back gets ecash with the time of now', async () => {
    const ages: number[] = [];
    const strict = await createRawRelay({
      req: ({ send }, id) => send('EOSE', id),
      event: ({ send }, event) => {
        const age = Date.now() / 1000 - event.created_at;
        ages.push(age);
        send('OK', event.id, age < 900, age < 900 ? '' : 'invalid: created_at is too old');
      },
    });
    open.onClose(strict.close);
    const random = (count: number): Uint8Array =>
      count === 4 ? new Uint8Array(4).fill(128) : systemRandom(count);
    const client = dmClient(open, [strict.url], newKey(), { random });
    await client.ask({ ...chat, auth: { cashu: 'cashuBpaid' } });
    await until(() => ages.length >= 2, 'it to come twice');
    expect(ages[0]).toBeGreaterThan(80_000);
    expect(ages[1]).toBeLessThan(900);
  });

  test('nothing is sent before a relay delivers to us, and of two relays one may be dead', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'req') send(result(frame.id));
    });
    const dead = `ws://127.0.0.1:${await freePort()}`;
    const client = dmClient(open, [dead, relay], node.key);
    expect((await (await client.ask(get)).answer).status).toBe(200);
    const nowhere = dmClient(open, [dead], node.key, { clock: hurried(40) });
    await expect(nowhere.ask(get)).rejects.toMatchObject({ kind: 'no_relay', ambiguous: false });
  });

  test('the same request goes out by two relays, with one id, and both answers count once', async () => {
    const [a, b] = [await open.relay(), await open.relay()];
    const node = await scriptedNode(open, [a, b], (frame, send) => {
      if (frame.t !== 'req') return;
      words.forEach((_word, seq) => send(data(frame.id, seq)));
      send(whole(frame.id));
    });
    expect(await textOf(askOverDm(dmClient(open, [a, b], node.key), chat))).toBe(words.join(''));
  });

  test('silence: the same id again, three times, in wraps that relays keep; then it says that the outcome is open', async () => {
    const relays = [await open.relay(), await open.relay(), await open.relay()];
    const node = await scriptedNode(open, relays, () => undefined);
    const client = dmClient(open, relays, node.key, { clock: hurried(40) });
    const { answer } = await client.ask(chat);
    await expect(answer).rejects.toMatchObject({ kind: 'timeout', ambiguous: true });
    await until(() => node.frames.length === 3);
    expect(new Set(node.frames.map((frame) => (frame as { id: string }).id)).size).toBe(1);
    expect(node.kinds).toEqual([21059, 1059, 1059]);
  });

  test('an answer to the second try counts', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (node.frames.length === 2 && frame.t === 'req') send(result(frame.id));
    });
    const { answer } = await dmClient(open, [relay], node.key, { clock: hurried(20) }).ask(chat);
    expect((await answer).status).toBe(200);
  });

  test('relays that refuse everything: the node never saw it, so nothing is open', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], () => undefined);
    const client = dmClient(open, [relay], node.key, { clock: hurried(20) });
    for (let n = 0; n < 3; n += 1) relay.failNext('blocked: no');
    const { answer } = await client.ask(chat);
    await expect(answer).rejects.toMatchObject({ kind: 'unreachable', ambiguous: false });
    expect(node.frames).toEqual([]);
  });
});

describe('giving up', () => {
  test('aborting cancels at the node', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'req') send(data(frame.id, 0));
    });
    const stop = new AbortController();
    const call = await dmClient(open, [relay], node.key).ask({ ...chat, stream: true, signal: stop.signal });
    expect((await call.chunks.next()).value).toEqual({ data: 'one ' });
    stop.abort();
    await expect(call.answer).rejects.toMatchObject({ kind: 'cancelled' });
    await expect(call.chunks.next()).rejects.toBeInstanceOf(DmFailure);
    await until(() => node.frames.some(({ t }) => t === 'cancel'));
  });

  test('so does leaving the loop', async () => {
    const relay = await open.relay();
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t === 'req') send(data(frame.id, 0));
    });
    for await (const chunk of askOverDm(dmClient(open, [relay], node.key), chat)) {
      expect(chunk.data).toBe('one ');
      break;
    }
    await until(() => node.frames.some(({ t }) => t === 'cancel'));
  });
});

describe('strangers', () => {
  test('answers of another key, of another kind, and copies with a broken signature do not count', async () => {
    const relay = await open.relay();
    const me = newKey();
    const stranger = createWrapper(newKey(), systemRandom, systemClock);
    const replies: ClientFrame[] = [];
    const node = await scriptedNode(open, [relay], (frame, send) => {
      if (frame.t !== 'req') return;
      replies.push(frame);
      const lie = JSON.stringify(result(frame.id, { body: '"stolen"' }));
      relay.inject(stranger.wrap({ kind: 28421, content: lie }, me.pubkey, { kind: 21059 }));
      const own = createWrapper(node.key, systemRandom, systemClock);
      relay.inject(own.wrap({ kind: 14, content: lie }, me.pubkey, { kind: 21059 }));
      const genuine = own.wrap({ kind: 28421, content: JSON.stringify(result(frame.id)) }, me.pubkey, {
        kind: 21059,
      });
      relay.inject({ ...genuine, sig: genuine.sig.replace(/^../, '00') });
      relay.inject(genuine);
      void send;
    });
    const { answer } = await dmClient(open, [relay], node.key, { key: me }).ask(get);
    expect((await answer).body.toString()).toBe('{"ok":true}');
  });
});
