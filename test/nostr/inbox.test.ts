import { type AddressInfo, createServer } from 'node:net';
import * as nip59 from 'nostr-tools/nip59';
import { finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import * as nip44 from 'nostr-tools/nip44';
import { onTestFinished, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/id.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Secret } from '../../src/base/secret.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { type Clock, systemClock } from '../../src/base/time.ts';
import { createTestRelay } from '../../src/demo/relay.ts';
import { type Letter, createInbox } from '../../src/nostr/inbox.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { nodeKey } from '../../src/relay/key.ts';
import type { NostrEvent, RelayRole, RelaySet } from '../../src/relay/relay.ts';
import { loadFastSchnorr } from '../../src/relay/schnorr.ts';
import { createRelaySet } from '../../src/relay/set.ts';
import { createWrapper, openWrap, rumorId } from '../../src/relay/wrap.ts';
import { manualClock, until } from './kit.ts';

await loadFastSchnorr();
const now = (): number => Math.floor(Date.now() / 1000);
const memory = () => {
  const rows = new Map<string, string>();
  return {
    get: (key: string) => rows.get(key),
    put: async (key: string, value: string) => void rows.set(key, value),
    rows,
  };
};
const person = () => {
  const secret = generateSecretKey();
  return { secret, key: nodeKey(new Secret(Buffer.from(secret).toString('hex'))) };
};

/** A node's inbox on real relays, and a client who can put any event there. */
async function place(
  options: { relays?: number; store?: ReturnType<typeof memory>; node?: ReturnType<typeof person> } = {},
) {
  const servers = await Promise.all(Array.from({ length: options.relays ?? 1 }, () => createTestRelay()));
  onTestFinished(async () => void (await Promise.all(servers.map((server) => server.close()))));
  const { node = person(), store = memory() } = options;
  const client = person();
  const entry = (roles: RelayRole[]) =>
    servers.map(({ url }) => ({ url, roles, perMinute: 6_000, burst: 1_000 }));
  const setOf = (key: typeof node.key, roles: RelayRole[]) => {
    const set = createRelaySet({ relays: entry(roles), key, clock: systemClock, log: silentLogger });
    set.start();
    onTestFinished(() => set.close());
    return set;
  };
  const relays = setOf(node.key, ['dm', 'rpc']);
  const letters: Letter[] = [];
  const open = async (over: { relays?: RelaySet; clock?: Clock } = {}) => {
    const inbox = createInbox({
      key: node.key,
      relays: over.relays ?? relays,
      wrapper: createWrapper(node.key, systemRandom, systemClock),
      readers: {
        [KIND.frame]: (letter) => void letters.push(letter),
        14: () => Promise.reject(new Error('no')),
      },
      store,
      clock: over.clock ?? systemClock,
      log: silentLogger,
    });
    inbox.start();
    await inbox.ready(20_000);
    onTestFinished(() => inbox.stop());
    return inbox;
  };
  const mine = setOf(client.key, ['dm', 'rpc']);
  const wrapper = createWrapper(client.key, systemRandom, systemClock);
  const wrap = (content: string, kind: 1059 | 21059 = KIND.ephemeralWrap, rumorKind: number = KIND.frame) =>
    wrapper.wrap({ kind: rumorKind, content }, node.key.pubkey, { kind });
  const send = (event: NostrEvent, ...to: number[]) =>
    mine.publishTo(
      event,
      (to.length === 0 ? [0] : to).map((i) => servers[i]?.url ?? ''),
    );
  return { servers, node, client, letters, open, wrap, send, mine, store, relays };
}

test('a letter arrives once, over however many relays, and the answer goes back on those', async () => {
  const { servers, node, client, letters, open, wrap, send, mine } = await place({ relays: 2 });
  const inbox = await open();
  const answers: string[] = [];
  const sub = mine.subscribe({
    filter: () => ({ kinds: [1059, 21059], '#p': [client.key.pubkey] }),
    roles: ['dm'],
    onEvent: (event, from) => {
      const opened = openWrap(event, client.key);
      if ('rumor' in opened)
        answers.push(`${opened.rumor.content} of ${opened.sender.slice(0, 4)} from ${from}`);
    },
  });
  await sub.ready(20_000);
  const event = wrap('hello');
  await send(event, 0, 1);
  await until(() => letters[0]?.from.length === 2, 'both relays delivered it');
  expect(letters).toHaveLength(1);
  expect(letters[0]).toMatchObject({ sender: client.key.pubkey, stored: false, rumor: { content: 'hello' } });
  expect(inbox.counts()).toEqual({ opened: 1, duplicate: 1 });
  const outcomes = await letters[0]?.reply({ kind: KIND.frame, content: 'back' }, { kind: KIND.wrap });
  expect(outcomes?.map(({ outcome }) => outcome)).toEqual(['ok', 'ok']);
  const name = node.key.pubkey.slice(0, 4);
  await until(() => answers.length === 2, 'the answers');
  expect(answers.sort()).toEqual(servers.map(({ url }) => `back of ${name} from ${url}`).sort());
});

test('relays that a stranger names are not visited: the answer goes where the letter came from, and nowhere else', async () => {
  const { servers, node, client, letters, open, send, mine } = await place({ relays: 2 });
  let visitors = 0;
  const trap = createServer((socket) => {
    visitors += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => void trap.close(() => resolve())));
  const lure = `ws://127.0.0.1:${(trap.address() as AddressInfo).port}`;
  const urls = servers.map(({ url }) => url);
  const lists = [
    { kind: KIND.messageRelays, tags: [['relay', lure]] },
    { kind: KIND.relayList, tags: [['r', lure]] },
  ];
  for (const { kind, tags } of lists)
    await mine.publishTo(client.key.sign({ kind, created_at: now(), tags, content: '' }), urls);
  await open();
  const to = node.key.pubkey;
  const tags = [
    ['p', to, lure],
    ['relay', lure],
    ['e', 'a'.repeat(64), lure],
  ];
  const letter = createWrapper(client.key, systemRandom, systemClock).wrap(
    { kind: KIND.frame, content: lure, tags },
    to,
    { kind: KIND.wrap },
  );
  await send(letter, 0);
  await until(() => letters.length === 1, 'the letter');
  for (const kind of [KIND.wrap, KIND.ephemeralWrap] as const)
    expect(await letters[0]?.reply({ kind: KIND.frame, content: 'back' }, { kind })).toEqual([
      { url: urls[0], outcome: 'ok' },
    ]);
  const answers = servers.map((server) =>
    server.events().filter(({ pubkey }) => pubkey !== client.key.pubkey),
  );
  expect(answers.map((events) => events.filter(({ kind }) => kind === KIND.wrap).length)).toEqual([2, 0]);
  expect(visitors).toBe(0);
});

test('what strangers make up is dropped and counted by its reason', async () => {
  const { node, client, letters, open, wrap, send } = await place();
  const inbox = await open();
  const to = node.key.pubkey;
  const eve = person();
  const fresh = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
  const sealed = (
    rumor: object,
    by: Uint8Array,
    change: (seal: NostrEvent) => object = (s) => s,
    at = now(),
  ) => {
    const seal = finalizeEvent(
      {
        kind: 13,
        created_at: at,
        tags: [],
        content: nip44.encrypt(JSON.stringify(rumor), nip44.getConversationKey(by, to)),
      },
      by,
    );
    const once = generateSecretKey();
    const content = nip44.encrypt(JSON.stringify(change(fresh(seal))), nip44.getConversationKey(once, to));
    return (kind: number, created_at = now()) =>
      fresh(finalizeEvent({ kind, created_at, tags: [['p', to]], content }, once));
  };
  const rumor = { kind: KIND.frame, created_at: now(), tags: [], content: 'x', pubkey: client.key.pubkey };
  const good = wrap('good');
  for (const event of [
    sealed(rumor, eve.secret)(KIND.wrap),
    sealed(rumor, client.secret, (seal) => ({ ...seal, content: `${seal.content.slice(0, -4)}AAA=` }))(
      KIND.wrap,
    ),
    sealed({ ...rumor, id: 'a'.repeat(64) }, client.secret)(KIND.wrap),
    sealed(rumor, client.secret)(KIND.ephemeralWrap, now() - 700),
    sealed(rumor, client.secret)(KIND.ephemeralWrap, now() + 890),
    { ...good, sig: `${good.sig.slice(0, -2)}00` },
    { ...wrap('a'), content: good.content },
    { ...wrap('b'), tags: [['p', eve.key.pubkey]] },
    wrap('kind', KIND.wrap, 1),
    wrap('thrown', KIND.wrap, 14),
    fresh(
      finalizeEvent(
        { kind: KIND.wrap, created_at: now(), tags: [['p', to]], content: 'A'.repeat(300) },
        eve.secret,
      ),
    ),
    good,
    good,
  ])
    await send(event);
  await until(() => inbox.counts()['duplicate'] === 1, 'the last one');
  await until(() => letters.length === 1, 'the one good letter');
  expect(letters[0]?.rumor.content).toBe('good');
  // Two of them did not get past the relay, whose ids they broke, and one is older than what is asked for.
  const dropped = { author: 1, seal: 1, 'rumor-id': 1, signature: 1, 'rumor-kind': 1, decrypt: 1, future: 1 };
  expect(inbox.counts()).toEqual({ ...dropped, duplicate: 1, opened: 2 });
});

test('a forged twin that comes first does not hide the letter', async () => {
  const { servers, letters, open, wrap, send } = await place({ relays: 2 });
  const event = wrap('mine', KIND.wrap);
  // A relay that lies sends what it likes, also under the id of another event.
  servers[0]?.plant({ ...event, sig: '0'.repeat(128) });
  servers[0]?.plant({ ...event, content: 'garbage' });
  const inbox = await open();
  await until(() => (inbox.counts()['id'] ?? 0) + (inbox.counts()['signature'] ?? 0) > 0, 'the forgery');
  await send(event, 1);
  await until(() => letters.length === 1, 'the letter');
});

test('a letter that was opened is not opened again by the next process, however often relays send it', async () => {
  const store = memory();
  const node = person();
  const { letters, open, wrap, send } = await place({ store, node });
  const first = await open();
  for (let i = 0; i < 20; i++) await send(wrap(`${i}`, KIND.wrap));
  await until(() => letters.length === 20, 'all letters');
  await first.stop();
  const flushed = await place({ store, node });
  expect(flushed.letters).toEqual([]);
  const second = await open();
  await until(() => second.counts()['duplicate'] === 20, 'stored wraps sent again');
  expect(letters).toHaveLength(20);
});

test('a stored letter that is two days old is read, and an older one is not', async () => {
  const { node, client, letters, open, send } = await place();
  const inbox = await open();
  const dated = (age: number) => {
    const rumor = nip59.createRumor(
      { kind: KIND.frame, content: `${age}`, created_at: now() - age },
      client.secret,
    );
    const seal = nip59.createSeal(rumor, client.secret, node.key.pubkey);
    const once = generateSecretKey();
    const key = nip44.getConversationKey(once, node.key.pubkey);
    const content = nip44.encrypt(JSON.stringify(seal), key);
    expect(getPublicKey(once)).toHaveLength(64);
    return finalizeEvent(
      { kind: KIND.wrap, created_at: now() - age, tags: [['p', node.key.pubkey]], content },
      once,
    );
  };
  await send(dated(172_800));
  await send(dated(3 * 86_400 + 60));
  await send(dated(60));
  await until(() => letters.length === 2, 'two letters');
  expect(letters.map(({ rumor }) => rumor.content)).toEqual(['172800', '60']);
  expect(inbox.counts()['opened']).toBe(2);
});

test('a process that stood still while it opened a letter reads the next ones', async () => {
  const node = person();
  let stalls = 1;
  const stalling = {
    ...node.key,
    decrypt: (...args: Parameters<typeof node.key.decrypt>) => {
      // As a signal or a busy machine stops it: longer than all opening of a second may take.
      if (stalls-- > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
      return node.key.decrypt(...args);
    },
  };
  const { letters, open, wrap, send } = await place({ node: { ...node, key: stalling } });
  await open();
  for (const text of ['first', 'second', 'third']) await send(wrap(text));
  await until(() => letters.length === 3, 'the letters behind the slow one');
});

test('a stored letter that a flood crowded out is read when the flood has ebbed', async () => {
  const clock = manualClock();
  const { servers, relays, node, letters, open, wrap, send } = await place();
  const from = servers[0]?.url ?? '';
  const floods: (() => void)[] = [];
  const junk = (i: number): NostrEvent => {
    const tags = [['p', node.key.pubkey]];
    const rest = { pubkey: 'f'.repeat(64), created_at: now(), kind: KIND.wrap, tags, content: `${i}` };
    return { ...rest, id: rumorId(rest), sig: '0'.repeat(128) };
  };
  const inbox = await open({
    clock,
    relays: {
      ...relays,
      subscribe: (wanted) => {
        floods.push(() => {
          for (let i = 0; i < LIMITS.inbox.relayBurst; i++) wanted.onEvent(junk(i), from);
        });
        return relays.subscribe(wanted);
      },
    },
  });
  floods[0]?.();
  await send(wrap('mine', KIND.wrap));
  await until(() => inbox.counts()['relay-budget'] === 1, 'the letter to find no room');
  for (let second = 0; second < 600 && letters.length === 0; second++) await clock.advance(1_000);
  await until(() => letters.length === 1, 'the letter');
  expect(letters[0]?.rumor.content).toBe('mine');
});
