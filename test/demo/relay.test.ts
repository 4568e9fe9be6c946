import { WebSocket } from 'ws';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import type { TestRelay } from '../../src/demo/relay.ts';
import type { NodeKey, NostrEvent } from '../../src/relay/relay.ts';
import { newKey, openings, until } from '../nostr/kit.ts';

const open = openings();
afterEach(open.close);

const now = (): number => unixSeconds(systemClock);

/** A plain NIP-01 client that keeps every frame. */
async function connect(relay: TestRelay) {
  const socket = new WebSocket(relay.url);
  const frames: unknown[][] = [];
  socket.on('error', () => undefined);
  socket.on('message', (data: Buffer) => void frames.push(JSON.parse(data.toString()) as unknown[]));
  await new Promise((resolve) => socket.once('open', resolve));
  open.onClose(async () => socket.terminate());
  const send = (...frame: unknown[]): void => socket.send(JSON.stringify(frame));
  const find = (verb: string, id: string) => frames.find((frame) => frame[0] === verb && frame[1] === id);
  return {
    frames,
    send,
    publish: async (event: NostrEvent): Promise<{ ok: unknown; text: unknown }> => {
      const seen = frames.length;
      send('EVENT', event);
      await until(() => frames.slice(seen).some((frame) => frame[0] === 'OK' && frame[1] === event.id));
      const frame = frames.slice(seen).find((one) => one[0] === 'OK');
      return { ok: frame?.[2], text: frame?.[3] };
    },
    read: async (...filters: unknown[]): Promise<NostrEvent[]> => {
      const id = `r${frames.length}`;
      send('REQ', id, ...filters);
      await until(() => find('EOSE', id) !== undefined || find('CLOSED', id) !== undefined);
      send('CLOSE', id);
      return frames
        .filter((frame) => frame[0] === 'EVENT' && frame[1] === id)
        .map((frame) => frame[2] as NostrEvent);
    },
  };
}

const sign = (key: NodeKey, kind: number, more: { tags?: string[][]; at?: number; content?: string } = {}) =>
  key.sign({ kind, created_at: more.at ?? now(), tags: more.tags ?? [], content: more.content ?? '' });

describe('NIP-01', () => {
  test('of replaceable and addressable events the newest stays, at equal time the lowest id', async () => {
    const client = await connect(await open.relay());
    const key = newKey();
    const at = now();
    await client.publish(sign(key, 0, { at, content: 'old' }));
    await client.publish(sign(key, 0, { at: at + 1, content: 'new' }));
    expect(await client.publish(sign(key, 0, { at: at - 1, content: 'older' }))).toMatchObject({ ok: true });
    expect((await client.read({ kinds: [0] })).map(({ content }) => content)).toEqual(['new']);

    const d = [['d', 'x']];
    const twins = ['a', 'b', 'c'].map((content) => sign(key, 38_421, { at, tags: d, content }));
    for (const twin of twins) await client.publish(twin);
    await client.publish(sign(key, 38_421, { at, tags: [['d', 'y']], content: 'other address' }));
    const lowest = twins.map(({ id }) => id).sort()[0];
    expect((await client.read({ kinds: [38_421], '#d': ['x'] })).map(({ id }) => id)).toEqual([lowest]);
    expect(await client.read({ kinds: [38_421] })).toHaveLength(2);
  });

  test('filters select by id, author, kind, time and tag; limit takes the newest', async () => {
    const client = await connect(await open.relay());
    const [one, two] = [newKey(), newKey()];
    const at = now();
    const events = [
      sign(one, 1, { at: at - 30, tags: [['t', 'a']] }),
      sign(one, 1, { at: at - 20, tags: [['t', 'b']] }),
      sign(two, 2, { at: at - 10, tags: [['t', 'a']] }),
    ];
    for (const event of events) await client.publish(event);
    const ids = async (...filters: unknown[]): Promise<number[]> =>
      (await client.read(...filters)).map(({ id }) => events.findIndex((event) => event.id === id));
    expect(await ids({ authors: [one.pubkey] })).toEqual([1, 0]);
    expect(await ids({ '#t': ['a'] })).toEqual([2, 0]);
    expect(await ids({ since: at - 20, until: at - 20 })).toEqual([1]);
    expect(await ids({ limit: 1 })).toEqual([2]);
    expect(await ids({ limit: 0 })).toEqual([]);
    expect(await ids({ ids: [events[0]?.id] }, { kinds: [2] })).toEqual([2, 0]);
  });

  test('ephemeral events reach subscribers and are not kept', async () => {
    const relay = await open.relay();
    const [reader, writer] = [await connect(relay), await connect(relay)];
    reader.send('REQ', 'live', { kinds: [20_001] });
    await until(() => reader.frames.some((frame) => frame[0] === 'EOSE'));
    await writer.publish(sign(newKey(), 20_001, { content: 'now' }));
    await until(() => reader.frames.some((frame) => frame[0] === 'EVENT' && frame[1] === 'live'));
    expect(relay.events()).toEqual([]);
  });

  test('false ids, false signatures and far future are refused', async () => {
    const client = await connect(await open.relay());
    const event = sign(newKey(), 1);
    expect(await client.publish({ ...event, content: 'x' })).toMatchObject({
      ok: false,
      text: /^invalid: the id/,
    });
    const other = sign(newKey(), 1, { content: 'y' });
    expect(await client.publish({ ...event, sig: other.sig })).toMatchObject({
      ok: false,
      text: /signature/,
    });
    expect(await client.publish(sign(newKey(), 1, { at: now() + 1_000 }))).toMatchObject({ ok: false });
    client.send('HELLO');
    await until(() => client.frames.some((frame) => frame[0] === 'NOTICE'));
  });
});

test('NIP-09: a deletion by address removes all versions up to its time, and only of its author', async () => {
  const client = await connect(await open.relay());
  const [key, stranger] = [newKey(), newKey()];
  const at = now();
  const tags = [['d', 'x']];
  const address = `38421:${key.pubkey}:x`;
  const event = sign(key, 38_421, { at, tags });
  await client.publish(event);
  await client.publish(
    sign(stranger, 5, {
      at: at + 1,
      tags: [
        ['a', address],
        ['e', event.id],
      ],
    }),
  );
  expect(await client.read({ kinds: [38_421] })).toHaveLength(1);
  await client.publish(sign(key, 5, { at: at + 1, tags: [['a', address]] }));
  expect(await client.read({ kinds: [38_421] })).toEqual([]);
  expect(await client.publish(event)).toMatchObject({ ok: false, text: /^blocked:/ });
  expect(await client.publish(sign(key, 38_421, { at: at + 2, tags }))).toMatchObject({ ok: true });
});

test('NIP-11: the same port serves a document over HTTP', async () => {
  const relay = await open.relay({ auth: true });
  const response = await fetch(relay.url.replace('ws:', 'http:'), {
    headers: { accept: 'application/nostr+json' },
  });
  expect(response.headers.get('content-type')).toBe('application/nostr+json');
  expect(await response.json()).toMatchObject({
    supported_nips: [1, 9, 11, 40, 42],
    limitation: { auth_required: true },
  });
});

test('NIP-40: expired events are neither taken nor served', async () => {
  let ahead = 0;
  const clock = { ...systemClock, now: () => Date.now() + ahead };
  const client = await connect(await open.relay({ clock }));
  const key = newKey();
  const expiring = (at: number) => sign(key, 1, { tags: [['expiration', String(at)]] });
  expect(await client.publish(expiring(now() - 1))).toMatchObject({ ok: false });
  await client.publish(expiring(now() + 60));
  expect(await client.read({ kinds: [1] })).toHaveLength(1);
  ahead = 61_000;
  expect(await client.read({ kinds: [1] })).toHaveLength(0);
});

describe('NIP-42', () => {
  test('nothing before the challenge is answered', async () => {
    const relay = await open.relay({ auth: true });
    const client = await connect(relay);
    const key = newKey();
    await until(() => client.frames.length > 0);
    const challenge = String(client.frames[0]?.[1]);
    expect(await client.publish(sign(key, 1))).toMatchObject({ ok: false, text: /^auth-required:/ });
    expect(await client.read({ kinds: [1] })).toEqual([]);
    expect(client.frames.some((frame) => frame[0] === 'CLOSED')).toBe(true);

    const auth = async (tags: string[][]): Promise<unknown> => {
      const event = sign(key, 22_242, { tags });
      client.send('AUTH', event);
      const answer = () => client.frames.find((frame) => frame[0] === 'OK' && frame[1] === event.id);
      await until(() => answer() !== undefined);
      return answer()?.[2];
    };
    expect(
      await auth([
        ['relay', relay.url],
        ['challenge', 'guess'],
      ]),
    ).toBe(false);
    expect(
      await auth([
        ['relay', 'wss://elsewhere.example'],
        ['challenge', challenge],
      ]),
    ).toBe(false);
    expect(
      await auth([
        ['relay', relay.url],
        ['challenge', challenge],
      ]),
    ).toBe(true);
    expect(await client.publish(sign(key, 1))).toMatchObject({ ok: true });
  });
});

describe('fault hooks', () => {
  test('pause holds messages until resume, failNext refuses one, silent says nothing, drop cuts', async () => {
    const relay = await open.relay();
    const client = await connect(relay);
    const key = newKey();
    relay.failNext('rate-limited: slow down');
    expect(await client.publish(sign(key, 1))).toEqual({ ok: false, text: 'rate-limited: slow down' });
    relay.pause();
    const waiting = client.publish(sign(key, 1, { content: 'held' }));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(relay.events()).toEqual([]);
    relay.resume();
    expect(await waiting).toMatchObject({ ok: true });
    relay.silent();
    const before = client.frames.length;
    client.send('EVENT', sign(key, 1, { content: 'unanswered' }));
    await until(() => relay.events().length === 2);
    expect(client.frames.length).toBe(before);
    relay.drop();
    await until(() => relay.connections() === 0);
  });
});
