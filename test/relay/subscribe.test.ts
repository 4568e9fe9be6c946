import { afterEach, describe, expect, test } from 'vitest';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import type { Filter, NodeKey, NostrEvent } from '../../src/relay/relay.ts';
import { freePort } from '../node-kit.ts';
import { entry, hasty, newKey, openings, until } from '../nostr/kit.ts';
import { createRawRelay } from './raw-relay.ts';

const open = openings();
afterEach(open.close);

const PATIENCE_MS = 60_000;
const now = (): number => unixSeconds(systemClock);
const note = (key: NodeKey, content: string, kind = 1, createdAt = now()): NostrEvent =>
  key.sign({ kind, created_at: createdAt, tags: [['p', 'b'.repeat(64)]], content });
const talk = (url: string, more = {}) => entry(url, { roles: ['dm', 'announce'], ...more });

async function raw(on: Parameters<typeof createRawRelay>[0] = {}) {
  const relay = await createRawRelay(on);
  open.onClose(relay.close);
  return relay;
}

/** Contents as they arrive, with the relay that sent them. */
function listener() {
  const heard: { content: string; from: string }[] = [];
  return {
    heard,
    contents: () => heard.map(({ content }) => content),
    onEvent: (event: NostrEvent, from: string) => void heard.push({ content: event.content, from }),
  };
}

describe('story', () => {
  test('stored events, then live ones, from every relay that has one of the roles', async () => {
    const [one, two, other] = [await open.relay(), await open.relay(), await open.relay()];
    const set = open.set([
      entry(one.url, { roles: ['dm', 'announce'] }),
      entry(two.url, { roles: ['rpc', 'announce'] }),
      entry(other.url, { roles: ['announce'] }),
    ]);
    const key = newKey();
    const { heard, contents, onEvent } = listener();
    await set.publishTo(note(key, 'stored'), [one.url]);
    const live = set.subscribe({ filter: () => ({ kinds: [1, 21_059] }), roles: ['dm', 'rpc'], onEvent });
    expect(await live.ready(PATIENCE_MS)).toBe(2);
    expect(heard).toEqual([{ content: 'stored', from: one.url }]);
    await set.publishTo(note(key, 'ephemeral', 21_059), [two.url, other.url]);
    await until(() => heard.length === 2);
    expect(heard[1]).toEqual({ content: 'ephemeral', from: two.url });
    live.close();
    await set.publishTo(note(key, 'afterwards'), [one.url, two.url]);
    await set.query({ kinds: [1] }, 'announce');
    expect(contents()).toEqual(['stored', 'ephemeral']);
  });

  test('two subscriptions share a link, each with its own filter', async () => {
    const relay = await open.relay();
    const set = open.set([talk(relay.url)]);
    const [chat, frames] = [listener(), listener()];
    const subscriptions = [
      set.subscribe({ filter: () => ({ kinds: [1059] }), roles: ['dm'], onEvent: chat.onEvent }),
      set.subscribe({ filter: () => ({ kinds: [21_059] }), roles: ['dm'], onEvent: frames.onEvent }),
    ];
    await Promise.all(subscriptions.map((one) => one.ready(PATIENCE_MS)));
    const key = newKey();
    await set.publishTo(note(key, 'chat', 1059), [relay.url]);
    await set.publishTo(note(key, 'frame', 21_059), [relay.url]);
    await until(() => chat.heard.length === 1 && frames.heard.length === 1);
    expect([chat.contents(), frames.contents()]).toEqual([['chat'], ['frame']]);
    expect(relay.connections()).toBe(1);
  });

  test('publishing to named relays ignores roles and unknown addresses', async () => {
    const [one, two] = [await open.relay(), await open.relay()];
    const set = open.set([entry(one.url, { roles: ['index'] }), talk(two.url)]);
    const event = note(newKey(), 'hello');
    const outcomes = await set.publishTo(event, [one.url, 'wss://nowhere.example']);
    expect(outcomes).toEqual([{ url: one.url, outcome: 'ok' }]);
    expect([one.events().length, two.events().length]).toEqual([1, 0]);
    expect(await set.publishTo(event, [])).toEqual([]);
  });
});

describe('every REQ', () => {
  test('is made anew after each reconnect, so that `since` follows the clock and not what was seen', async () => {
    const relay = await open.relay();
    const set = open.set([talk(relay.url)], { random: hasty });
    const key = newKey();
    const { contents, onEvent } = listener();
    const filters: Filter[] = [];
    const live = set.subscribe({
      filter: () => {
        const filter = { kinds: [1059], since: now() - 259_200 };
        filters.push(filter);
        return filter;
      },
      roles: ['dm'],
      onEvent,
    });
    await live.ready(PATIENCE_MS);
    await set.publishTo(note(key, 'from the future', 1059, now() + 800), [relay.url]);
    await until(() => contents().length === 1);
    // Stored while nobody listened, and dated two days back as gift wraps are.
    relay.plant(note(key, 'backdated', 1059, now() - 172_000));
    relay.drop();
    await until(() => contents().includes('backdated'), 'the event from the time without connection');
    expect(await live.ready(PATIENCE_MS)).toBe(1);
    await set.publishTo(note(key, 'backdated live', 1059, now() - 172_000), [relay.url]);
    await until(() => contents().includes('backdated live'));
    expect(filters.length).toBeGreaterThanOrEqual(2);
    expect(filters.map(({ since }) => (since ?? 0) > now() - 259_200 - 60)).not.toContain(false);
    expect(filters.map((filter) => Object.keys(filter))).not.toContain('limit');
  });

  test('asks for at least one event, because limit:0 never ends on some relays', async () => {
    const relay = await raw({ req: ({ send }, id) => send('EOSE', id) });
    const set = open.set([talk(relay.url)]);
    const subscriptions = [
      set.subscribe({ filter: () => ({ limit: 0 }), roles: ['dm'], onEvent: () => undefined }),
      set.subscribe({ filter: () => ({ kinds: [1] }), roles: ['dm'], onEvent: () => undefined }),
    ];
    await Promise.all(subscriptions.map((one) => one.ready(PATIENCE_MS)));
    expect(relay.asked.map(({ filter }) => filter.limit)).toEqual([1, 500]);
  });

  test('is repeated for what is older than a first answer that the relay cut', async () => {
    const relay = await open.relay();
    const at = now();
    const sample = note(newKey(), '', 1059);
    for (let n = 0; n < 730; n += 1) {
      // Signatures are the reader's business, and 730 of them take a while.
      const id = n.toString(16).padStart(64, '0');
      relay.plant({ ...sample, id, content: `${n}`, created_at: at - n });
    }
    const { contents, onEvent } = listener();
    open
      .set([talk(relay.url)])
      .subscribe({ filter: () => ({ kinds: [1059], since: at - 259_200 }), roles: ['dm'], onEvent });
    await until(() => contents().includes('729'), 'the oldest event');
    expect(new Set(contents()).size).toBe(730);
  });
});

describe('relays that come and go', () => {
  test('one that is down at the start is subscribed to when it comes, and does not hold back the others', async () => {
    const port = await freePort();
    const up = await open.relay();
    const set = open.set([talk(`ws://127.0.0.1:${port}`), talk(up.url)], { random: hasty });
    const { heard, onEvent } = listener();
    const live = set.subscribe({ filter: () => ({ kinds: [1] }), roles: ['dm'], onEvent });
    await until(() => set.status()[1]?.state === 'open');
    expect(await live.ready(200)).toBe(1);
    const late = await open.relay({ port });
    expect(await live.ready(PATIENCE_MS)).toBe(2);
    await set.publishTo(note(newKey(), 'late'), [late.url]);
    await until(() => heard.length === 1);
    expect(heard[0]?.from).toBe(late.url);
  });

  test('of two, the one that drops is seen to be gone and comes back, and the other notices nothing', async () => {
    const one = await open.relay();
    const two = await open.relay();
    const set = open.set([talk(one.url), talk(two.url)], { random: hasty });
    const { contents, onEvent } = listener();
    const live = set.subscribe({ filter: () => ({ kinds: [1] }), roles: ['dm'], onEvent });
    expect(await live.ready(PATIENCE_MS)).toBe(2);
    await one.close();
    await until(() => set.status()[0]?.state !== 'open', 'the loss of one relay');
    expect(set.status()[1]?.state).toBe('open');
    await set.publishTo(note(newKey(), 'meanwhile'), [two.url]);
    await until(() => contents().includes('meanwhile'));
    expect(await live.ready(50)).toBe(1);
    const again = await open.relay({ port: one.port });
    expect(await live.ready(PATIENCE_MS)).toBe(2);
    await set.publishTo(note(newKey(), 'again'), [again.url]);
    await until(() => contents().includes('again'));
    expect(two.accepted()).toBe(1);
  });

  test('closing ends the subscription at the relay and before any reconnect', async () => {
    const relay = await open.relay();
    const set = open.set([talk(relay.url)], { random: hasty });
    const { heard, onEvent } = listener();
    const live = set.subscribe({ filter: () => ({ kinds: [1] }), roles: ['dm'], onEvent });
    await live.ready(PATIENCE_MS);
    live.close();
    const before = relay.accepted();
    relay.drop();
    await until(() => relay.accepted() > before && set.status()[0]?.state === 'open');
    await set.publishTo(note(newKey(), 'unheard'), [relay.url]);
    await set.query({ kinds: [1] }, 'announce');
    expect(heard).toEqual([]);
    expect(await live.ready(PATIENCE_MS)).toBe(0);
  });
});

describe('NIP-42', () => {
  test('a relay that wants to know us first is asked again after AUTH, also after it dropped us', async () => {
    const relay = await open.relay({ auth: true });
    const key = newKey();
    const set = open.set([talk(relay.url, { auth: true })], { key, random: hasty });
    const { contents, onEvent } = listener();
    const live = set.subscribe({ filter: () => ({ kinds: [1] }), roles: ['dm'], onEvent });
    expect(await live.ready(PATIENCE_MS)).toBe(1);
    await set.publishTo(note(key, 'one'), [relay.url]);
    await until(() => contents().length === 1);
    const before = relay.accepted();
    relay.drop();
    await until(() => relay.accepted() > before);
    expect(await live.ready(PATIENCE_MS)).toBe(1);
    await set.publishTo(note(key, 'two'), [relay.url]);
    await until(() => contents().includes('two'));
  });

  test('a subscription that came back after a drop is closed at the relay as well', async () => {
    const known = new WeakSet<object>();
    const relay = await raw({
      connect: ({ send }) => send('AUTH', 'who are you'),
      req: ({ send, socket }, id) =>
        known.has(socket) ? send('EOSE', id) : send('CLOSED', id, 'auth-required: who are you'),
      auth: ({ send, socket }, event) => {
        known.add(socket);
        send('OK', event.id, true, '');
      },
    });
    const set = open.set([talk(relay.url, { auth: true })], { key: newKey(), random: hasty });
    const live = set.subscribe({ filter: () => ({ kinds: [1] }), roles: ['dm'], onEvent: () => undefined });
    expect(await live.ready(PATIENCE_MS)).toBe(1);
    const before = relay.asked.length;
    relay.sockets()[0]?.terminate();
    await until(() => relay.asked.length > before && relay.sockets().some((one) => known.has(one)));
    expect(await live.ready(PATIENCE_MS)).toBe(1);
    live.close();
    await until(() => relay.ended.includes(relay.asked.at(-1)?.id ?? ''), 'CLOSE');
  });

  test('a relay that shows strangers an empty mailbox is asked again once it knows us', async () => {
    const mine = note(newKey(), 'for you', 1059);
    const known = new Set<unknown>();
    const relay = await raw({
      req: ({ send, socket }, id) => {
        if (known.has(socket)) send('EVENT', id, mine);
        send('EOSE', id);
        if (!known.has(socket)) send('AUTH', 'who are you?');
      },
      auth: ({ send, socket }, event) => {
        known.add(socket);
        send('OK', event.id, true, '');
      },
    });
    const { contents, onEvent } = listener();
    const set = open.set([talk(relay.url, { auth: true })], { key: newKey() });
    set.subscribe({ filter: () => ({ kinds: [1059] }), roles: ['dm'], onEvent });
    await until(() => contents().includes('for you'));
    expect(relay.asked).toHaveLength(2);
  });

  test('a relay that is never satisfied is asked a few times, not for ever', async () => {
    const relay = await raw({
      connect: ({ send }) => send('AUTH', 'challenge'),
      req: ({ send }, id) => send('CLOSED', id, 'auth-required: prove it again'),
      auth: ({ send }, event) => send('OK', event.id, true, ''),
    });
    const set = open.set([talk(relay.url, { auth: true })], { key: newKey() });
    set.subscribe({ filter: () => ({ kinds: [1] }), roles: ['dm'], onEvent: () => undefined });
    await until(() => set.status()[0]?.refused !== undefined);
    expect(set.status()[0]?.refused).toMatch(/^auth-required:/);
    expect(relay.asked.length).toBeLessThanOrEqual(5);
  });
});

describe('a reader that fails', () => {
  test('hurts neither its link nor the other readers', async () => {
    const relay = await open.relay();
    const set = open.set([talk(relay.url)]);
    const { contents, onEvent } = listener();
    let calls = 0;
    const broken = set.subscribe({
      filter: () => ({ kinds: [1] }),
      roles: ['dm'],
      onEvent: () => {
        calls += 1;
        throw new Error('broken');
      },
    });
    const rejecting = set.subscribe({
      filter: () => ({ kinds: [1] }),
      roles: ['dm'],
      // eslint-disable-next-line @typescript-eslint/no-misused-promises -- a careless reader does this
      onEvent: () => Promise.reject(new Error('broken too')),
    });
    const silly = set.subscribe({
      filter: () => {
        throw new Error('no filter today');
      },
      roles: ['dm'],
      onEvent,
    });
    const good = set.subscribe({ filter: () => ({ kinds: [1] }), roles: ['dm'], onEvent });
    await Promise.all([broken, rejecting, good].map((one) => one.ready(PATIENCE_MS)));
    const key = newKey();
    for (const text of ['a', 'b']) await set.publishTo(note(key, text), [relay.url]);
    await until(() => contents().length === 2);
    expect(calls).toBe(2);
    expect(await silly.ready(0)).toBe(0);
    expect(set.status()[0]?.state).toBe('open');
  });
});
