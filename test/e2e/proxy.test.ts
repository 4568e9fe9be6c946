/** An unmodified OpenAI SDK, the proxy, two hops of a real relay, and a node that has no public address. */
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock } from '../../src/base/time.ts';
import { createBuyerAccount } from '../../src/client/account.ts';
import { createDmChannel } from '../../src/client/channel.ts';
import { discover } from '../../src/client/discover.ts';
import { askOverDm, createDmClient, type DmClient } from '../../src/client/dm.ts';
import { openMessages } from '../../src/messages.ts';
import { createProxy } from '../../src/client/proxy.ts';
import { pubkeyOf } from '../../src/relay/key.ts';
import { createRelaySet } from '../../src/relay/set.ts';
import { entry, newKey } from '../nostr/kit.ts';
import { type TestWorld, MODEL, testWorld, until } from './support.ts';

let world: TestWorld;
const closers: (() => Promise<unknown> | void)[] = [];
const key = newKey();
let client: DmClient;
let baseURL: string;

beforeAll(async () => {
  world = await testWorld({ settings: { public_urls: [] } });
  const relays = createRelaySet({
    relays: [entry(world.relay.url, { roles: ['rpc', 'dm'] })],
    key,
    clock: systemClock,
    log: silentLogger,
  });
  client = createDmClient({ relays, key, peer: pubkeyOf(world.node.npub) ?? '', clock: systemClock });
  const server = createProxy({ client, host: '127.0.0.1', clock: systemClock, log: silentLogger });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  closers.push(
    () => server.closeAllConnections(),
    () => client.close(),
    () => relays.close(),
  );
});
afterAll(async () => {
  for (const close of closers) await close();
  await world.close();
});

const sdk = (apiKey = 'none') => new OpenAI({ apiKey, baseURL });
const ask = (content: string) => ({ model: MODEL, messages: [{ role: 'user' as const, content }] });
const account = () => createBuyerAccount(createDmChannel(client));
const balance = async (): Promise<number> => (await account().balance()) ?? 0;

describe('story', () => {
  test('the node is found by its announcement, without any address, and says where it takes messages', async () => {
    await until('the announcement', () => world.relay.events().some(({ kind }) => kind === 38421));
    const [provider] = await discover({
      relays: [entry(world.relay.url)],
      model: MODEL,
      clock: systemClock,
      log: silentLogger,
    });
    expect(provider).toMatchObject({ npub: world.node.npub, urls: [], bound: false });
    expect(provider?.dm).toContainEqual({ url: world.relay.url, use: 'rpc' });
    expect(provider?.reasons).toContain('reached by encrypted messages to its key');
  });

  test('a token is put on the account of the own key, an SDK asks once and as a stream, the rest comes back', async () => {
    expect(await account().topUp(await world.mint.issue(200))).toBe(200_000);
    const before = await balance();
    const { data, response } = await sdk().chat.completions.create(ask('hello there')).withResponse();
    expect(data.choices[0]?.message.content).toContain('hello there');
    const after = await balance();
    const cost = (data.usage as unknown as { cost_msats: number }).cost_msats;
    expect(before - after).toBe(cost);
    expect(response.headers.get('x-routstr-cost-msats')).toBe(String(cost));

    let text = '';
    let billed = -1;
    const stream = await sdk().chat.completions.create({ ...ask('one two three'), stream: true });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      billed = (chunk.usage as { cost_msats?: number } | null | undefined)?.cost_msats ?? billed;
    }
    expect(text).toContain('one two three');
    expect(after - (await balance())).toBe(billed);

    const rest = await balance();
    const token = await account().refund();
    expect(token).toMatch(/^cashu/);
    expect(await account().topUp(token)).toBe(Math.floor(rest / 1_000) * 1_000);
    expect(world.node.totals().drift).toBe(0);
  });

  test('the list of models, and one of them', async () => {
    const models = await sdk().models.list();
    expect(models.data.map(({ id }) => id)).toContain(MODEL);
    expect((await sdk().models.retrieve(MODEL)).id).toBe(MODEL);
  });

  test('a key or a token as API key pays instead', async () => {
    const apiKey = await world.key(50);
    const before = await balance();
    const { usage } = await sdk(apiKey).chat.completions.create(ask('by key'));
    const cost = (usage as unknown as { cost_msats: number }).cost_msats;
    expect(await world.balance(apiKey)).toBe(50_000 - cost);
    const token = await world.mint.issue(30);
    expect((await sdk(token).chat.completions.create(ask('by token'))).choices).toHaveLength(1);
    expect(await balance()).toBe(before);
  });

  test('a one-shot token: change comes back in the header and is worth what was left', async () => {
    const token = await world.mint.issue(100);
    const one = new OpenAI({
      apiKey: 'unused',
      baseURL,
      defaultHeaders: { 'X-Cashu': token, Authorization: null },
    });
    const { data, response } = await one.chat.completions.create(ask('once')).withResponse();
    const cost = (data.usage as unknown as { cost_msats: number }).cost_msats;
    const change = response.headers.get('x-cashu') ?? '';
    expect(await account().topUp(change)).toBe((100 - Math.ceil(cost / 1_000)) * 1_000);
    expect(world.node.totals().drift).toBe(0);
  });

  test('askOverDm: the events of a stream as an async iterable that returns the bill', async () => {
    const stream = askOverDm(client, {
      method: 'POST',
      path: '/v1/chat/completions',
      body: JSON.stringify({ ...ask('by hand'), stream: true }),
    });
    let events = 0;
    let step = await stream.next();
    for (; step.done !== true; step = await stream.next()) events += 1;
    expect(events).toBeGreaterThan(0);
    expect(step.value).toMatchObject({ status: 200 });
    expect(step.value.cost).toBeGreaterThan(0);
  });
});

test('openMessages: a program needs the npub and a relay, and leaves nothing open', async () => {
  const messages = openMessages({ node: world.node.npub, relays: [world.relay.url] });
  expect(messages.account).toMatch(/^npub1/);
  const topUp = JSON.stringify({ cashu_token: await world.mint.issue(20) });
  const filled = await messages.call({ method: 'POST', path: '/v1/wallet/topup', body: topUp });
  expect(JSON.parse(filled.body.toString())).toMatchObject({ msats: 20_000 });
  let text = '';
  const body = JSON.stringify({ ...ask('from a program'), stream: true });
  for await (const { data } of messages.ask({ method: 'POST', path: '/v1/chat/completions', body }))
    text += data;
  expect(text).toContain('program');
  await messages.close();
  expect(() => openMessages({ node: 'nobody', relays: [world.relay.url] })).toThrow(/npub1/);
});

describe('errors keep status, code and envelope', () => {
  test('an unknown model', async () => {
    await expect(sdk().chat.completions.create({ ...ask('x'), model: 'nothing' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
  });

  test('a key that does not exist', async () => {
    await expect(sdk(`sk-${'0'.repeat(64)}`).chat.completions.create(ask('x'))).rejects.toMatchObject({
      status: 401,
      code: 'invalid_api_key',
    });
  });

  test('too little money, and the stream of it', async () => {
    const poor = await world.key(1);
    const long = ask('word '.repeat(4_000));
    await expect(sdk(poor).chat.completions.create(long)).rejects.toMatchObject({
      status: 402,
      code: 'insufficient_balance',
    });
    await expect(sdk(poor).chat.completions.create({ ...long, stream: true })).rejects.toMatchObject({
      status: 402,
    });
  });

  test('what is not offered over messages', async () => {
    const answer = await fetch(`${baseURL.replace(/\/v1$/, '')}/metrics`);
    expect(answer.status).toBe(404);
  });
});

test('a client that leaves cancels at the node, pays for what was made, and the books balance', async () => {
  const before = await balance();
  world.model.chunkDelay(60);
  const stream = await sdk().chat.completions.create({ ...ask('word '.repeat(60)), stream: true });
  for await (const chunk of stream) {
    if ((chunk.choices[0]?.delta.content ?? '') !== '') break;
  }
  world.model.chunkDelay(0);
  await until('the charge', async () => (await balance()) < before);
  expect(world.node.totals().drift).toBe(0);
});
