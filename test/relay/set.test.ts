import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { afterEach, describe, expect, test } from 'vitest';
import { unixSeconds, systemClock } from '../../src/base/time.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createTestRelay } from '../../src/demo/relay.ts';
import type { NodeKey, NostrEvent, PublishOutcome } from '../../src/relay/relay.ts';
import { createRelaySet } from '../../src/relay/set.ts';
import { freePort } from '../node-kit.ts';
import { entry, hasty, hurried, manualClock, newKey, openings, until } from '../nostr/kit.ts';

const open = openings();
afterEach(open.close);

const note = (key: NodeKey, content = 'hello', createdAt = unixSeconds(systemClock)): NostrEvent =>
  key.sign({ kind: 1, created_at: createdAt, tags: [['t', 'test']], content });
/** A server that answers as it likes. */
async function rawRelay(answer: (socket: WebSocket, text: string) => void): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => answer(socket, data.toString('utf8')));
  });
  open.onClose(
    () =>
      new Promise((resolve) => {
        server.clients.forEach((socket) => socket.terminate());
        server.close(() => resolve());
      }),
  );
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const outcomes = (results: PublishOutcome[]): string[] => results.map(({ outcome }) => outcome);

describe('story', () => {
  test('an event published to two relays is found once, newest first', async () => {
    const [one, two] = [await open.relay(), await open.relay()];
    const set = open.set([one, two]);
    set.start();
    const key = newKey();
    const now = unixSeconds(systemClock);
    expect(outcomes(await set.publish(note(key, 'old', now - 10), 'announce'))).toEqual(['ok', 'ok']);
    expect(outcomes(await set.publish(note(key, 'new', now), 'announce'))).toEqual(['ok', 'ok']);
    const found = await set.query({ kinds: [1], authors: [key.pubkey] }, 'discover');
    expect(found.map(({ content }) => content)).toEqual(['new', 'old']);
    expect(set.status().map(({ state }) => state)).toEqual(['open', 'open']);
  });

  test('publishing the same event again counts as success', async () => {
    const set = open.set([await open.relay()]);
    const event = note(newKey());
    await set.publish(event, 'announce');
    expect(outcomes(await set.publish(event, 'announce'))).toEqual(['duplicate']);
    const both = await Promise.all([set.publish(event, 'announce'), set.publish(event, 'announce')]);
    expect(both.map(outcomes)).toEqual([['duplicate'], ['duplicate']]);
  });

  test('only relays of the role are asked, and of those only the named ones', async () => {
    const [one, two, other] = [await open.relay(), await open.relay(), await open.relay()];
    const set = open.set([one, two, entry(other.url, { roles: ['index'] })]);
    await set.publish(note(newKey()), 'announce', [two.url]);
    expect([one, two, other].map((relay) => relay.events().length)).toEqual([0, 1, 0]);
    expect(await set.publish(note(newKey()), 'dm')).toEqual([]);
  });
});

describe('relays that are down, hang or drop', () => {
  test('a black hole and a dropping relay do not stop the third, and nothing crashes', async () => {
    const [hole, dropping, good] = [await open.relay(), await open.relay(), await open.relay()];
    hole.blackHole();
    const set = open.set([hole, dropping, good], { clock: hurried(20) });
    set.start();
    await until(() => set.status()[1]?.state === 'open');
    dropping.pause();
    const publishing = set.publish(note(newKey()), 'announce');
    await until(() => good.events().length === 1);
    dropping.drop();
    const results = await publishing;
    expect(results[0]?.outcome).toBe('unreachable');
    expect(results[1]?.outcome).toBe('unreachable');
    expect(results[2]?.outcome).toBe('ok');
    expect(await set.query({ kinds: [1] }, 'discover')).toHaveLength(1);
  });

  test('closing while a relay never answers the upgrade ends cleanly', async () => {
    const hole = await open.relay();
    hole.blackHole();
    const set = createRelaySet({ relays: [entry(hole.url)], clock: systemClock, log: silentLogger });
    set.start();
    const publishing = set.publish(note(newKey()), 'announce');
    await until(() => hole.accepted() === 1);
    await set.close();
    expect(outcomes(await publishing)).toEqual(['unreachable']);
    expect(set.status()[0]?.state).toBe('closed');
    expect(outcomes(await set.publish(note(newKey()), 'announce'))).toEqual(['unreachable']);
  });

  test('closing while an answer is awaited does not count as a refusal', async () => {
    const relay = await open.relay();
    const set = open.set([relay]);
    await set.publish(note(newKey()), 'announce');
    relay.pause();
    const publishing = set.publish(note(newKey(), 'unanswered'), 'announce');
    const asking = set.query({ kinds: [1] }, 'discover');
    await new Promise((resolve) => setTimeout(resolve, 20));
    await set.close();
    expect(outcomes(await publishing)).toEqual(['unreachable']);
    expect(await asking).toEqual([]);
    await until(() => relay.connections() === 0);
  });

  test('a relay that resets connections at once is retried, not hammered', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.on('error', () => undefined);
      socket.resetAndDestroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.onClose(() => new Promise((resolve) => void server.close(() => resolve())));
    const set = open.set([entry(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)], {
      clock: hurried(10),
      random: (bytes) => new Uint8Array(bytes).fill(128),
    });
    set.start();
    const key = newKey();
    const events = Array.from({ length: 20 }, (_, n) => note(key, `${n}`));
    await until(() => connections === 3);
    for (const event of events)
      expect(outcomes(await set.publish(event, 'announce'))).toEqual(['unreachable']);
    // Someone who asks may end a back-off early, but not the first second of it.
    expect(connections).toBeLessThanOrEqual(4);
  });

  test('a relay that starts late is found', async () => {
    const port = await freePort();
    const set = open.set([entry(`ws://127.0.0.1:${port}`)], { random: hasty });
    set.start();
    expect(outcomes(await set.publish(note(newKey()), 'announce'))).toEqual(['unreachable']);
    await open.relay({ port });
    await until(() => set.status()[0]?.state === 'open', 'the link to open');
    expect(outcomes(await set.publish(note(newKey()), 'announce'))).toEqual(['ok']);
  });

  test('a link that only publishes is not given up between two heartbeats', async () => {
    const relay = await open.relay();
    const clock = manualClock();
    const set = open.set([relay], { clock });
    expect(outcomes(await set.publish(note(newKey()), 'announce'))).toEqual(['ok']);
    await clock.advance(3_600_000);
    expect(outcomes(await set.publish(note(newKey()), 'announce'))).toEqual(['ok']);
    expect([relay.accepted(), relay.connections()]).toEqual([1, 1]);
  });

  test('after a dropped connection the link comes back, and future or backdated events are still found', async () => {
    const relay = await open.relay();
    const set = open.set([relay], { random: hasty });
    const key = newKey();
    const now = unixSeconds(systemClock);
    await set.publish(note(key, 'future', now + 800), 'announce');
    expect(await set.query({ kinds: [1] }, 'discover')).toHaveLength(1);
    const before = relay.accepted();
    relay.drop();
    await until(() => relay.accepted() > before && set.status()[0]?.state === 'open');
    await set.publish(note(key, 'backdated', now - 5_000), 'announce');
    expect(await set.query({ kinds: [1] }, 'discover')).toHaveLength(2);
  });

  test('a relay that never says OK is a timeout, and leaves no timer behind', async () => {
    const relay = await open.relay();
    relay.silent();
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const set = createRelaySet({ relays: [entry(relay.url)], clock: hurried(40), log: silentLogger });
    expect(outcomes(await set.publish(note(newKey()), 'announce'))).toEqual(['timeout']);
    await set.close();
    await until(() => relay.connections() === 0);
    await until(() => timers() === 0, 'the end of all timers');
  });

  test('a relay that answers queries with silence does not hold back the others', async () => {
    const [mute, good] = [await open.relay(), await open.relay()];
    const set = open.set([mute, good], { clock: hurried(20) });
    await set.publish(note(newKey()), 'announce');
    mute.pause();
    expect(await set.query({ kinds: [1] }, 'discover')).toHaveLength(1);
  });
});

describe('refusals', () => {
  test('a sticky refusal is shown and not asked for again, other kinds still go through', async () => {
    const relay = await open.relay();
    const set = open.set([relay]);
    const key = newKey();
    relay.failNext('blocked: no notes here');
    expect(await set.publish(note(key), 'announce')).toEqual([
      { url: relay.url, outcome: 'refused', reason: 'blocked: no notes here', sticky: true },
    ]);
    expect(set.status()[0]?.refused).toBe('blocked: no notes here');
    expect((await set.publish(note(key, 'again'), 'announce'))[0]?.outcome).toBe('refused');
    expect(relay.events()).toHaveLength(0);
    const profile = key.sign({ kind: 0, created_at: unixSeconds(systemClock), tags: [], content: '{}' });
    expect(outcomes(await set.publish(profile, 'announce'))).toEqual(['ok']);
  });

  test('an invalid event is refused once, not for ever', async () => {
    const relay = await open.relay();
    const set = open.set([relay]);
    relay.failNext('invalid: \u001b[31mred\u0007 herring');
    const [first] = await set.publish(note(newKey()), 'announce');
    expect(first).toMatchObject({ outcome: 'refused', sticky: false, reason: 'invalid: [31mred herring' });
    expect(outcomes(await set.publish(note(newKey()), 'announce'))).toEqual(['ok']);
  });

  test('a relay that says rate-limited is left alone', async () => {
    const relay = await open.relay();
    const set = open.set([relay]);
    relay.failNext('rate-limited: slow down');
    expect(outcomes(await set.publish(note(newKey()), 'announce'))).toEqual(['rate-limited']);
    expect(outcomes(await set.publish(note(newKey()), 'announce'))).toEqual(['rate-limited']);
    expect(relay.events()).toHaveLength(0);
  });

  test('our own bucket keeps publishes below the configured rate', async () => {
    const relay = await open.relay();
    const set = open.set([entry(relay.url, { perMinute: 1, burst: 2 })]);
    const key = newKey();
    const results = [];
    for (let n = 0; n < 3; n += 1)
      results.push(...outcomes(await set.publish(note(key, `${n}`), 'announce')));
    expect(results).toEqual(['ok', 'ok', 'rate-limited']);
    expect(relay.events()).toHaveLength(2);
  });

  test('an event above the size of the relay is not sent', async () => {
    const relay = await open.relay();
    const set = open.set([entry(relay.url, { maxEventBytes: 1_000 })]);
    const [result] = await set.publish(note(newKey(), 'x'.repeat(1_000)), 'announce');
    expect(result).toMatchObject({ outcome: 'refused', sticky: false });
    expect(relay.accepted()).toBe(0);
  });
});

describe('NIP-42', () => {
  test('a relay that wants to know us is answered with our key, also after it dropped us', async () => {
    const relay = await open.relay({ auth: true });
    const key = newKey();
    const set = open.set([entry(relay.url, { auth: true })], { key, random: hasty });
    expect(outcomes(await set.publish(note(key), 'announce'))).toEqual(['ok']);
    expect(await set.query({ kinds: [1] }, 'discover')).toHaveLength(1);
    const before = relay.accepted();
    relay.drop();
    await until(() => relay.accepted() > before && set.status()[0]?.state === 'open');
    expect(await set.query({ kinds: [1] }, 'discover')).toHaveLength(1);
    expect(outcomes(await set.publish(note(key, 'two'), 'announce'))).toEqual(['ok']);
  });

  test('without auth in the configuration our key is not shown', async () => {
    const relay = await open.relay({ auth: true });
    const key = newKey();
    const set = open.set([relay], { key });
    const [result] = await set.publish(note(key), 'announce');
    expect(result).toMatchObject({ outcome: 'refused', sticky: true });
    expect(await set.query({ kinds: [1] }, 'discover')).toEqual([]);
    expect(set.status()[0]?.refused).toMatch(/^auth-required:/);
  });

  test('a rejected answer is a sticky refusal and crashes nothing', async () => {
    const relay = await open.relay({ auth: true });
    const key = newKey();
    relay.failNext('not on the list');
    const set = open.set([entry(relay.url, { auth: true })], { key });
    const [result] = await set.publish(note(key), 'announce');
    expect(result).toMatchObject({ outcome: 'refused', sticky: true, reason: 'restricted: not on the list' });
  });
});

describe('relays that lie', () => {
  test('forged, tampered and upper-case events are not returned', async () => {
    const relay = await open.relay();
    const key = newKey();
    const good = note(key, 'genuine');
    const other = note(key, 'other');
    relay.plant({ ...note(key, 'a'), content: 'TAMPERED' });
    relay.plant({ ...note(key, 'b'), sig: other.sig });
    relay.plant({ ...note(key, 'c'), pubkey: newKey().pubkey });
    const shouted = note(key, 'd');
    relay.plant({ ...shouted, id: shouted.id.toUpperCase() });
    relay.plant(good);
    const set = open.set([relay]);
    const found = await set.query({ kinds: [1] }, 'discover');
    expect(found).toEqual([good]);
  });

  test('a forgery under the id of a genuine event does not hide it', async () => {
    const [liar, honest] = [await open.relay(), await open.relay()];
    const good = note(newKey(), 'genuine');
    liar.plant({ ...good, content: 'forged' });
    honest.plant(good);
    honest.slow(50);
    const found = await open.set([liar, honest]).query({ kinds: [1] }, 'discover');
    expect(found).toEqual([good]);
  });

  test('garbage, foreign subscriptions, floods and notices are survived in silence', async () => {
    const good = note(newKey(), 'genuine');
    const url = await rawRelay((socket, text) => {
      const [verb, id] = JSON.parse(text) as [string, string];
      if (verb !== 'REQ') return;
      socket.send('{"not":"an array"');
      socket.send(Buffer.from([0xff, 0x00]), { binary: true });
      socket.send('[]');
      socket.send('["NOTICE","hello"]');
      socket.send(JSON.stringify(['EVENT', 'never-opened', good]));
      socket.send(JSON.stringify(['EVENT', 'x'.repeat(200), good]));
      socket.send(`${' '.repeat(40)}["EVENT", "elsewhere", ${JSON.stringify(good)}]`);
      socket.send(JSON.stringify(['EVENT', id, { ...good, tags: null }]));
      socket.send(JSON.stringify(['EVENT', id, null]));
      socket.send(JSON.stringify(['OK', 7, 'yes']));
      socket.send(JSON.stringify(['AUTH', 'challenge']));
      for (let n = 0; n < 50; n += 1) socket.send(JSON.stringify(['EVENT', id, good]));
      socket.send(JSON.stringify(['EOSE', id]));
    });
    const printed: unknown[] = [];
    const { warn, debug, error } = console;
    const keep = (...args: unknown[]): void => void printed.push(args);
    Object.assign(console, { warn: keep, debug: keep, error: keep });
    try {
      const set = open.set([entry(url)]);
      expect(await set.query({ kinds: [1] }, 'discover')).toEqual([good]);
    } finally {
      Object.assign(console, { warn, debug, error });
    }
    expect(printed).toEqual([]);
  });

  test('a message above the bound closes the link, not the process', async () => {
    const url = await rawRelay((socket) => socket.send('x'.repeat(1_100_000)));
    const set = open.set([entry(url)], { random: (bytes) => new Uint8Array(bytes).fill(200) });
    expect(await set.query({ kinds: [1] }, 'discover')).toEqual([]);
    await until(() => set.status()[0]?.state === 'waiting');
  });

  test('one flooding relay cannot crowd out an honest one', async () => {
    const [flood, honest] = [await open.relay(), await createTestRelay()];
    open.onClose(honest.close);
    const key = newKey();
    const now = unixSeconds(systemClock);
    for (let n = 0; n < 30; n += 1) flood.plant(note(key, `${n}`, now + n));
    const good = note(newKey(), 'honest', now - 100);
    honest.plant(good);
    const found = await open.set([flood, honest]).query({ kinds: [1], limit: 10 }, 'discover');
    expect(found).toHaveLength(11);
    expect(found.at(-1)).toEqual(good);
  });
});
