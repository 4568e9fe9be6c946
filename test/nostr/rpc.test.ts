import { deflateRawSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { sha256Hex, systemRandom } from '../../src/base/id.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createSealer } from '../../src/base/seal.ts';
import { type Clock, systemClock } from '../../src/base/time.ts';
import { createTestRelay } from '../../src/demo/relay.ts';
import { createInbox } from '../../src/nostr/inbox.ts';
import type { Ask, HttpAnswer } from '../../src/nostr/rpc-ask.ts';
import type { RecordStore, RequestRecord } from '../../src/nostr/rpc-record.ts';
import { createRpc } from '../../src/nostr/rpc.ts';
import type { DataFrame, ErrorFrame, NodeFrame, ResultFrame } from '../../src/protocol/dmi.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import type { RelayRole } from '../../src/relay/relay.ts';
import { createRelaySet } from '../../src/relay/set.ts';
import { createWrapper } from '../../src/relay/wrap.ts';
import { dmClient, request } from '../e2e/dm-kit.ts';
import { hurried, memoryStore, newKey, until } from './kit.ts';

const CHAT = '/v1/chat/completions';
const CHANGE = 'cashuBchange';

type Asked = Parameters<Ask>[0];

function answer(status: number, json: unknown, headers: Record<string, string> = {}): HttpAnswer {
  async function* body() {
    yield await Promise.resolve(Buffer.from(JSON.stringify(json)));
  }
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: body() };
}

/** Requests over a real relay; what HTTP would say is up to the test. */
async function place(
  ask: Ask,
  { clock = systemClock, roles = ['dm', 'rpc'] }: { clock?: Clock; roles?: RelayRole[] } = {},
) {
  const relay = await createTestRelay();
  const node = newKey();
  const relays = createRelaySet({
    relays: [{ url: relay.url, roles, perMinute: 60_000, burst: 10_000 }],
    key: node,
    clock: systemClock,
    log: silentLogger,
  });
  relays.start();
  const wrapper = createWrapper(node, systemRandom, systemClock);
  const rows = new Map<string, { value: string; until: number }>();
  let isFull = (_key: string, _value: string | null): boolean => false;
  const store: RecordStore = {
    get: (key) => rows.get(key)?.value,
    put: async (key, value, end) => {
      await Promise.resolve();
      if (isFull(key, value)) throw new Error('disk full');
      if (value === null) rows.delete(key);
      else rows.set(key, { value, until: end });
    },
  };
  const sealer = createSealer(new Uint8Array(32).fill(7));
  const open = () => createRpc({ ask, relays, wrapper, store, sealer, clock, log: silentLogger });
  let rpc = open();
  const inbox = createInbox({
    key: node,
    relays,
    wrapper,
    readers: { [KIND.frame]: (letter) => rpc.take(letter) },
    store: memoryStore(),
    clock: systemClock,
    log: silentLogger,
  });
  inbox.start();
  rpc.start();
  await inbox.ready(20_000);
  const client = await dmClient(node.pubkey, [relay.url]);
  onTestFinished(async () => {
    await inbox.stop();
    await rpc.stop();
    await Promise.all([client.close(), relays.close()]);
    await relay.close();
  });
  const recordOf = (id: string) => {
    const row = rows.get(`dmi/req/${client.pubkey}:${id}`);
    return row && { ...(JSON.parse(row.value) as RequestRecord), until: row.until };
  };
  return {
    client,
    running: () => rpc.running(),
    relay,
    recordOf,
    fill: (when: typeof isFull) => void (isFull = when),
    /** The next process, which knows what is on disk. */
    restart: async () => {
      await rpc.stop();
      rpc = open();
      rpc.start();
    },
  };
}

const said = (frames: readonly NodeFrame[]) =>
  frames.filter((frame): frame is ResultFrame | ErrorFrame => frame.t === 'res' || frame.t === 'err');

/** A node whose books cannot be asked until `known`: then the request cost 5 msat, and change waits. */
function interrupted() {
  const state = { known: false };
  const ask: Ask = ({ path }: Asked) => {
    if (path.startsWith(CHAT) || !state.known) return Promise.reject(new Error('it broke off'));
    if (path.startsWith('/v1/generation'))
      return Promise.resolve(answer(200, { data: { status: 'done', cost_msats: 5 } }));
    if (path === '/v1/balance/refund') return Promise.resolve(answer(200, {}, { 'x-cashu': CHANGE }));
    return Promise.resolve(answer(404, {}));
  };
  return { state, ask };
}

test('a request whose end cannot be found out yet is told with its cost and change as soon as it can', async () => {
  const { state, ask } = interrupted();
  const { client, running } = await place(ask);
  const frame = request({ method: 'POST', path: CHAT, body: '{}', auth: { cashu: 'cashuBpaid' } });
  await client.send(frame);
  expect((await client.end(frame.id)).last).toMatchObject({ t: 'err', status: 425, code: 'refund_pending' });
  expect(running()).toBe(0);
  state.known = true;
  await client.send({ t: 'get', id: frame.id });
  await until(() => said(client.about(frame.id)).length === 2, 'what came of it');
  expect(said(client.about(frame.id))[1]).toMatchObject({ t: 'res', change: CHANGE, cost_msat: 5 });
});

test('nor does its client have to ask: change that was not known at first comes by itself, in a stored wrap', async () => {
  const { state, ask } = interrupted();
  const { client } = await place(ask, { clock: hurried(20) });
  const frame = request({ method: 'POST', path: CHAT, body: '{}', auth: { cashu: 'cashuBpaid' } });
  await client.send(frame);
  await client.end(frame.id);
  state.known = true;
  await until(() => said(client.about(frame.id)).length > 1, 'the change');
  expect(said(client.about(frame.id)).at(-1)).toMatchObject({ t: 'res', change: CHANGE, cost_msat: 5 });
  expect(client.got.at(-1)?.kind).toBe(KIND.wrap);
});

test('requests that fail in every way leave room for the next', async () => {
  let works = false;
  const { client } = await place(({ path }) =>
    works && path === '/v1/info' ? Promise.resolve(answer(200, {})) : Promise.reject(new Error('no')),
  );
  for (let i = 0; i <= LIMITS.dmi.perSenderMax; i += 1) {
    const frame = request({ method: 'POST', path: CHAT, body: '{}' });
    await client.send(frame);
    expect((await client.end(frame.id)).last).toMatchObject({ status: 425 });
  }
  works = true;
  expect((await client.ask({ path: '/v1/info' })).last.status).toBe(200);
});

test('an answer that was paid for is told though the disk is full when it is there', async () => {
  const cost = { 'x-routstr-cost-msats': '7' };
  const { client, fill, running } = await place(() => Promise.resolve(answer(200, { text: 'here' }, cost)));
  fill((_key, value) => value?.includes('"done"') === true);
  const { last, bytes } = await client.ask({ path: CHAT, content: '{}' });
  expect(last).toMatchObject({ status: 200, cost_msat: 7 });
  expect(JSON.parse(bytes.toString('utf8'))).toEqual({ text: 'here' });
  expect(running()).toBe(0);
});

const body = JSON.stringify({ text: 'x'.repeat(2_000) });
const parts = { n: 1, bytes: body.length, sha256: sha256Hex(body) };
const part = { t: 'part' as const, i: 0, z: deflateRawSync(body).toString('base64') };

test('a request whose time is over when its last part comes is stale, and its token untouched', async () => {
  let asked = 0;
  let later = 0;
  const clock: Clock = { ...systemClock, now: () => Date.now() + later };
  const { client } = await place(
    () => {
      asked += 1;
      return Promise.resolve(answer(200, {}));
    },
    { clock },
  );
  const frame = request({ method: 'POST', path: CHAT, parts, auth: { cashu: 'cashuBpaid' } });
  await client.send(frame);
  await until(() => client.about(frame.id).some(({ t }) => t === 'acc'), 'it to ask for the part');
  later = 300_000;
  await client.send({ ...part, id: frame.id });
  expect((await client.end(frame.id)).last).toMatchObject({ t: 'err', code: 'stale' });
  expect(asked).toBe(0);
});

test('a request that is cancelled before its parts are there is cancelled, and nothing is begun', async () => {
  let asked = 0;
  const { client } = await place(() => {
    asked += 1;
    return Promise.resolve(answer(200, {}));
  });
  const frame = request({ method: 'POST', path: CHAT, parts });
  await client.send(frame);
  await until(() => client.about(frame.id).some(({ t }) => t === 'acc'), 'it to ask for the part');
  await client.send({ t: 'cancel', id: frame.id });
  expect((await client.end(frame.id)).last).toMatchObject({ t: 'err', status: 499, code: 'cancelled' });
  expect(asked).toBe(0);
});

test('what is free and worth nothing is forgotten after a week, what has value kept until it is acknowledged', async () => {
  const token = { token: 'cashuBrefund' };
  const { client, recordOf } = await place(() => Promise.resolve(answer(200, token)));
  const free = await client.ask({ path: '/v1/info' });
  const worth = await client.ask({ path: '/v1/balance/refund', content: '{}' });
  const days = (id: string): number => ((recordOf(id)?.until ?? 0) - (recordOf(id)?.at ?? 0)) / 86_400;
  await until(() => recordOf(free.id)?.state === 'done' && recordOf(worth.id)?.state === 'done');
  expect([days(free.id), days(worth.id)]).toEqual([7, 30]);
  await client.send({ t: 'ack', id: worth.id });
  await until(() => recordOf(worth.id)?.hasValue === false, 'the acknowledgement');
  expect(recordOf(worth.id)?.sealed).toBeUndefined();
});

const chunk = (content: string): string =>
  `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content } }] })}\n\n`;
const streamed = (): HttpAnswer => {
  async function* events() {
    for (const word of ['one', 'two', 'three']) {
      yield await Promise.resolve(Buffer.from(chunk(word)));
      await systemClock.sleep(300);
    }
  }
  return { status: 200, headers: { 'content-type': 'text/event-stream' }, body: events() };
};
const dataOf = (frames: readonly NodeFrame[]) =>
  frames.filter((frame): frame is DataFrame => frame.t === 'data');
const generation = () => answer(200, { data: { status: 'done', cost_msats: 5 } });

test('where streams are not welcome a stream comes as one answer', async () => {
  const ask: Ask = ({ path }) => Promise.resolve(path === CHAT ? streamed() : generation());
  const { client } = await place(ask, { roles: ['dm'] });
  const { last, bytes, id } = await client.ask({ path: CHAT, content: '{}', stream: {} });
  expect(last).toMatchObject({ t: 'res', status: 200, cost_msat: 5 });
  expect(bytes.toString('utf8')).toBe(['one', 'two', 'three'].map(chunk).join(''));
  expect(dataOf(client.about(id))).toEqual([]);
});

test('frames of a stream are sent again from the number that a client asks for', async () => {
  const { client } = await place(({ path }) => Promise.resolve(path === CHAT ? streamed() : generation()));
  const { id } = await client.ask({ path: CHAT, content: '{}', stream: {} });
  const first = dataOf(client.about(id));
  expect(first.length).toBeGreaterThan(1);
  const before = client.got.length;
  await client.send({ t: 'get', id, from: 1 });
  await until(() => client.got.length >= before + first.length, 'them again');
  const again = client.got.slice(before).map(({ frame }) => frame);
  expect(dataOf(again)).toEqual(first.slice(1));
  expect(again.at(-1)?.t).toBe('res');
});

test('of an answer in parts exactly those that are missing are sent again', async () => {
  const text = Array.from({ length: 1_500 }, (_, i) => sha256Hex(`${i}`)).join('');
  const { client } = await place(() => Promise.resolve(answer(200, { text })));
  const { id, last, bytes: whole } = await client.ask({ path: '/v1/models' });
  expect(JSON.parse(whole.toString('utf8'))).toEqual({ text });
  expect((last as ResultFrame).parts?.n).toBeGreaterThan(2);
  const before = client.got.length;
  await client.send({ t: 'get', id, need_parts: [1] });
  await until(() => client.got.length > before, 'it again');
  await client.send({ t: 'ping', n: 1 });
  await until(() => client.got.some(({ frame }) => frame.t === 'pong'), 'all that was sent');
  const again = client.got.slice(before).map(({ frame }) => frame);
  expect(again.map(({ t }) => t)).toEqual(['part', 'pong']);
  expect(again[0]).toMatchObject({ i: 1 });
});

test('a token in an answer is sent again and again until it is acknowledged, by the next process too', async () => {
  let made = 0;
  const refund = { token: 'cashuBrefund' };
  const ask: Ask = ({ headers }) => {
    expect(headers['idempotency-key']).toMatch(/^dmi:/);
    made += 1;
    return Promise.resolve(answer(200, refund));
  };
  const { client, restart, recordOf } = await place(ask, { clock: hurried(40) });
  const { id } = await client.ask({ path: '/v1/balance/refund', content: '{}' });
  const stored = (): ResultFrame[] =>
    client.got.flatMap(({ frame, kind }) =>
      kind === KIND.wrap && frame.t === 'res' && frame.id === id ? [frame] : [],
    );
  await until(() => stored().length === 1, 'the stored wrap');
  await restart();
  await until(() => stored().length >= 2, 'the wrap of the next process');
  expect(new Set(stored().map((frame) => frame.body))).toEqual(new Set([JSON.stringify(refund)]));
  await client.send({ t: 'ack', id });
  await until(() => recordOf(id)?.hasValue === false, 'the acknowledgement');
  await client.send({ t: 'ping', n: 1 });
  await until(() => client.got.some(({ frame }) => frame.t === 'pong'), 'all that was sent before');
  const [told, asked] = [stored().length, made];
  await restart();
  await client.send({ t: 'get', id });
  await until(() => client.about(id).some((frame) => frame.t === 'err'), 'what is said afterwards');
  expect(client.about(id).find((frame) => frame.t === 'err')).toMatchObject({ code: 'acknowledged' });
  expect([stored().length, made]).toEqual([told, asked]);
});

test('an acknowledgement that comes while the answer is told once more counts', async () => {
  const gate: (() => void)[] = [];
  let isSlow = false;
  const ask: Ask = async () => {
    if (isSlow) await new Promise<void>((resolve) => gate.push(resolve));
    return answer(200, { token: 'cashuBrefund' });
  };
  const { client, restart, recordOf } = await place(ask);
  const { id } = await client.ask({ path: '/v1/balance/refund', content: '{}' });
  await until(() => recordOf(id)?.state === 'done');
  isSlow = true;
  await restart();
  await client.send({ t: 'get', id });
  await until(() => gate.length === 1, 'it to be looked up');
  await client.send({ t: 'ack', id });
  await until(() => recordOf(id)?.hasValue === false, 'the acknowledgement');
  gate[0]?.();
  const refused = (): boolean => client.about(id).some((frame) => frame.t === 'err');
  for (let turn = 0; turn < 300 && !refused(); turn += 1) {
    await client.send({ t: 'get', id });
    await systemClock.sleep(100);
  }
  expect(client.about(id).at(-1)).toMatchObject({ t: 'err', code: 'acknowledged' });
  expect(recordOf(id)?.sealed).toBeUndefined();
});
