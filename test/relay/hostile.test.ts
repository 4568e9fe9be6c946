import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { LIMITS } from '../../src/base/limits.ts';
import { type Clock, systemClock, unixSeconds } from '../../src/base/time.ts';
import { createFloodGate } from '../../src/relay/flood.ts';
import type { NostrEvent } from '../../src/relay/relay.ts';
import { entry, hasty, hurried, manualClock, newKey, openings, until } from '../nostr/kit.ts';
import { createRawRelay } from './raw-relay.ts';

const open = openings();
afterEach(open.close);

const PATIENCE_MS = 60_000;
const key = newKey();
const wrap = (content: string): NostrEvent =>
  key.sign({ kind: 1059, created_at: unixSeconds(systemClock), tags: [['p', 'b'.repeat(64)]], content });
const talk = (url: string, more = {}) => entry(url, { roles: ['dm', 'announce'], ...more });
const filter = () => ({ kinds: [1059] });
const roles = ['dm'] as const;

async function raw(on: Parameters<typeof createRawRelay>[0] = {}) {
  const relay = await createRawRelay(on);
  open.onClose(relay.close);
  return relay;
}

describe('a flood', () => {
  // Hardly any allowance is added while the test runs; waits are short all the same.
  const stingy: Clock = {
    now: systemClock.now,
    monotonic: () => systemClock.monotonic() / 1_000,
    sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
  };

  test('is read up to the bound, counted, and does not hold back another relay or the process', async () => {
    const sample = wrap('junk');
    const flood = await raw({
      req: ({ send, socket }, id) => {
        if (socket.bufferedAmount > 0) return;
        for (let n = 0; n < 10_000; n += 1) {
          send('EVENT', id, { ...sample, id: n.toString(16).padStart(64, '0') });
        }
      },
    });
    const honest = await open.relay();
    const set = open.set([talk(flood.url), talk(honest.url)], { clock: stingy });
    const heard = { flood: 0, honest: 0 };
    set.subscribe({
      filter,
      roles,
      onEvent: (_event, from) => void (heard[from === honest.url ? 'honest' : 'flood'] += 1),
    });
    await until(() => (set.status()[0]?.dropped ?? 0) > 0, 'the first dropped message');
    await set.publishTo(wrap('honest'), [honest.url]);
    await until(() => heard.honest === 1);
    await until(() => (set.status()[0]?.dropped ?? 0) >= 7_900, 'the count of what was dropped');
    expect(heard.flood).toBeLessThanOrEqual(LIMITS.relay.floodBurst + 100);
    expect(set.status()[1]?.dropped).toBe(0);
  });

  test('that ebbed makes the link ask again, so that what it crowded out is not lost', async () => {
    const sample = wrap('junk');
    let calm = false;
    const relay = await raw({
      req: ({ send }, id) => {
        if (calm) send('EVENT', id, wrap('stored'));
        else for (let n = 0; n < LIMITS.relay.floodBurst + 500; n += 1) send('EVENT', id, sample);
        send('EOSE', id);
      },
    });
    const clock: Clock = { ...stingy, monotonic: () => systemClock.monotonic() * (calm ? 1 : 1e-6) };
    const set = open.set([talk(relay.url)], { clock });
    const contents = new Set<string>();
    set.subscribe({ filter, roles, onEvent: ({ content }) => void contents.add(content) });
    await until(() => (set.status()[0]?.dropped ?? 0) >= 500);
    calm = true;
    await until(() => contents.has('stored'), 'the second request');
  });

  test('costs its allowance by size, answers have their own, and it comes back with time', async () => {
    const clock = manualClock();
    const gate = createFloodGate(clock);
    const event = Buffer.from(`["EVENT","x",{"content":"${'x'.repeat(160_000)}"}]`);
    const read = (message: Buffer): number => {
      let count = 0;
      while (gate.admit(message) === 'read') count += 1;
      return count;
    };
    expect(read(event)).toBe(
      Math.floor(LIMITS.relay.floodBurst / (event.length / LIMITS.relay.floodUnitBytes)),
    );
    expect(gate.admit(Buffer.from('["OK","id",true,""]'))).toBe('read');
    await clock.advance(1_000);
    expect(read(Buffer.from('["EVENT","x",{}]'))).toBeGreaterThanOrEqual(LIMITS.relay.floodPerSecond);
    expect(gate.dropped()).toBe(2);
  });
});

describe('a relay that lies', () => {
  test('about events: what is malformed or was not asked for does not arrive', async () => {
    const good = wrap('good');
    const relay = await raw({
      req: ({ send }, id) => {
        send('EVENT', id, { ...good, id: good.id.toUpperCase() });
        send('EVENT', id, { ...good, kind: 1 });
        send('EVENT', id, { ...good, pubkey: 'nobody' });
        send('EVENT', id, { ...good, tags: [['p', 7]] });
        send('EVENT', 'live:99', good);
        send('EVENT', id);
        send('EVENT', id, good);
        send('EVENT', id, good);
        send('EOSE', id);
      },
    });
    const set = open.set([talk(relay.url)]);
    const heard: NostrEvent[] = [];
    const live = set.subscribe({ filter, roles, onEvent: (event) => void heard.push(event) });
    await live.ready(PATIENCE_MS);
    // Twice: sorting out duplicates is the reader's business, who knows what it has finished with.
    expect(heard).toEqual([good, good]);
    expect(set.status()[0]?.dropped).toBe(1);
  });

  test('about the end of what is stored: events arrive without it, and repeated ends are harmless', async () => {
    const silent = await raw({ req: ({ send }, id) => send('EVENT', id, wrap('unfinished')) });
    const noisy = await raw({
      req: ({ send }, id) => {
        for (let n = 0; n < 5; n += 1) send('EOSE', id);
        send('EVENT', id, wrap('after the end'));
        send('EOSE', 'live:77');
      },
    });
    const set = open.set([talk(silent.url), talk(noisy.url)]);
    const contents: string[] = [];
    const live = set.subscribe({ filter, roles, onEvent: ({ content }) => void contents.push(content) });
    await until(() => contents.length === 2);
    expect(contents.sort()).toEqual(['after the end', 'unfinished']);
    expect(await live.ready(50)).toBe(1);
  });

  test('about OK: verdicts on other events, and of the wrong shape, are no answer', async () => {
    const liar = await raw({
      event: ({ send }, event) => {
        send('OK', wrap('another').id, true, '');
        send('OK', event.id, 'yes', '');
        send('OK', event.id.toUpperCase(), true, '');
        send('OK');
      },
    });
    const set = open.set([talk(liar.url)], { clock: hurried(20) });
    expect(await set.publishTo(wrap('hello'), [liar.url])).toEqual([
      { url: liar.url, outcome: 'timeout', reason: 'no answer in time' },
    ]);
  });

  test.each([true, false])('not: nobody listens for an ephemeral event (OK %s)', async (ok) => {
    const relay = await raw({
      event: ({ send }, event) => send('OK', event.id, ok, 'mute: no one was listening'),
    });
    const set = open.set([talk(relay.url)]);
    const frame = key.sign({ kind: 21_059, created_at: unixSeconds(systemClock), tags: [], content: '' });
    for (let turn = 0; turn < 2; turn += 1) {
      expect(await set.publishTo(frame, [relay.url])).toEqual([
        { url: relay.url, outcome: 'mute', reason: 'mute: no one was listening' },
      ]);
    }
  });

  test('about who may write: a wrap refused for one reader does not stop the next', async () => {
    let answers = 0;
    const relay = await raw({
      event: ({ send }, event) =>
        (answers += 1) === 1
          ? send('OK', event.id, false, 'restricted: this reader is not a member')
          : send('OK', event.id, true, ''),
    });
    const set = open.set([talk(relay.url)]);
    expect(await set.publishTo(wrap('one'), [relay.url])).toMatchObject([
      { outcome: 'refused', sticky: true },
    ]);
    expect(await set.publishTo(wrap('two'), [relay.url])).toMatchObject([{ outcome: 'ok' }]);
  });
});

describe('a relay that leaves', () => {
  test('right after each welcome is not hammered', async () => {
    let connections = 0;
    const relay = await raw({
      connect: ({ socket }) => {
        connections += 1;
        socket.close();
      },
    });
    const set = open.set([talk(relay.url)], {
      clock: systemClock,
      random: (bytes) => new Uint8Array(bytes).fill(128),
    });
    set.subscribe({ filter, roles, onEvent: () => undefined });
    await until(() => connections === 3);
    for (let n = 0; n < 20; n += 1) await set.publishTo(wrap(`${n}`), [relay.url]);
    expect(connections).toBeLessThanOrEqual(5);
  });

  test('as soon as we said who we are leaves the others alone', async () => {
    const answers: NostrEvent[] = [];
    const relay = await raw({
      connect: ({ send }) => send('AUTH', 'challenge'),
      req: ({ send }, id) => send('CLOSED', id, 'auth-required: first of all'),
      auth: ({ socket }, event) => {
        answers.push(event);
        socket.terminate();
      },
    });
    const honest = await open.relay();
    const set = open.set([talk(relay.url, { auth: true }), talk(honest.url)], { key, random: hasty });
    const contents: string[] = [];
    set.subscribe({ filter, roles, onEvent: ({ content }) => void contents.push(content) });
    await until(() => answers.length >= 3);
    expect(answers.map(({ kind }) => kind)).not.toContain(1059);
    await set.publishTo(wrap('honest'), [honest.url]);
    await until(() => contents.includes('honest'));
  });

  test('after a message that is too large is asked again', async () => {
    const relay = await raw({
      req: ({ send, number, socket }, id) => {
        if (number === 1) socket.send('x'.repeat(LIMITS.relay.payloadBytesMax + 1));
        else send('EVENT', id, wrap('second try'));
      },
    });
    const set = open.set([talk(relay.url)], { random: hasty });
    const contents: string[] = [];
    set.subscribe({ filter, roles, onEvent: ({ content }) => void contents.push(content) });
    await until(() => contents.includes('second try'));
  });
});

test('a relay that answers no ping is taken for dead and dialled again', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', autoPong: false });
  await new Promise((resolve) => server.once('listening', resolve));
  let pings = 0;
  let cut = 0;
  server.on('connection', (socket) => {
    socket.on('ping', () => (pings += 1));
    socket.on('close', () => (cut += 1));
  });
  open.onClose(async () => {
    server.clients.forEach((socket) => socket.terminate());
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  open.set([entry(`ws://127.0.0.1:${port}`)], { clock: hurried(30), random: hasty }).start();
  await until(() => pings > 0 && cut > 0 && server.clients.size > 0, 'the next connection');
});

describe('a relay that keeps us busy', () => {
  test('with challenges gets a few answers', async () => {
    let answers = 0;
    const relay = await raw({
      connect: ({ send }) => {
        for (let n = 0; n < 200; n += 1) send('AUTH', `challenge ${n}`);
      },
      req: ({ send }, id) => send('EOSE', id),
      auth: ({ send }, event) => {
        answers += 1;
        send('OK', event.id, true, '');
      },
    });
    const set = open.set([talk(relay.url, { auth: true })], { key });
    const live = set.subscribe({ filter, roles, onEvent: () => undefined });
    expect(await live.ready(PATIENCE_MS)).toBe(1);
    await set.query({ kinds: [1] }, 'dm');
    expect(answers).toBeLessThanOrEqual(LIMITS.relay.authAttemptsMax);
    expect(relay.asked.length).toBeLessThanOrEqual(LIMITS.relay.authAttemptsMax + 2);
  });

  test('by ending every subscription is asked again with growing pauses', async () => {
    const relay = await raw({ req: ({ send }, id) => send('CLOSED', id, 'error: not today') });
    const set = open.set([talk(relay.url)], {
      clock: hurried(100),
      random: (bytes) => new Uint8Array(bytes).fill(255),
    });
    const started = systemClock.monotonic();
    set.subscribe({ filter, roles, onEvent: () => undefined });
    await until(() => relay.asked.length >= 4);
    // Pauses of about 3, 5 and 9 seconds on a clock that is a hundred times as fast.
    expect(systemClock.monotonic() - started).toBeGreaterThan(140);
  });
});
