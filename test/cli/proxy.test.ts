/** `proxy --node`: a local server in front of a whole node, with an unmodified SDK before it. */
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock } from '../../src/base/time.ts';
import { createHttpProxy } from '../../src/client/proxy-http.ts';
import { generateNsec, nodeKey } from '../../src/relay/key.ts';
import { freePort } from '../node-kit.ts';
import { temporaryDirectory } from '../config/fixture.ts';
import { type TestWorld, MODEL, bearer, testWorld } from '../e2e/support.ts';
import { answering, launch } from './run.ts';
import { fakeTerminal } from './terminal.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld();
}, 120_000);
afterAll(() => world.close(), 60_000);

interface Facts {
  url: string;
  how: string;
  node: string;
  account: string;
}

/** The command in this process; it runs until the test ends. */
async function proxy(...args: string[]): Promise<Facts> {
  const dir = temporaryDirectory();
  const argv = ['proxy', '--port', '0', '--buyer-dir', dir, ...args];
  const io = fakeTerminal({ argv, cwd: dir, isTTY: false });
  const done = io.done();
  onTestFinished(async () => {
    io.signal();
    expect(await done).toBe(0);
  }, 30_000);
  let ended: number | undefined;
  void done.then((code) => (ended = code));
  while (io.out() === '') {
    if (ended !== undefined) throw new Error(`ended with ${ended}: ${io.err()}`);
    await new Promise((next) => setTimeout(next, 10));
  }
  return JSON.parse(io.out()) as Facts;
}
const sdk = (url: string, apiKey = 'none') => new OpenAI({ baseURL: url, apiKey, maxRetries: 0 });
const hello = (content = 'hello') => ({ model: MODEL, messages: [{ role: 'user' as const, content }] });
const topUp = async (url: string, sats: number) =>
  fetch(`${url}/wallet/topup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ cashu_token: await world.mint.issue(sats) }),
  });

test(
  'the account of the own Nostr key is filled and pays, whole and streamed',
  { timeout: 120_000 },
  async () => {
    const { url, how, node } = await proxy('--node', `${world.url}/v1`);
    expect([how, node]).toEqual(['http', world.url]);
    expect((await topUp(url, 100)).status).toBe(200);
    const answer = await sdk(url).chat.completions.create(hello());
    expect(answer.choices[0]?.message.content).toContain('hello');
    let text = '';
    for await (const chunk of await sdk(url).chat.completions.create({
      ...hello('streamed words'),
      stream: true,
    }))
      text += chunk.choices[0]?.delta.content ?? '';
    expect(text).toContain('streamed words');
    const info = (await (await fetch(`${url}/wallet/info`)).json()) as {
      balance: number;
      total_requests: number;
    };
    expect(info.total_requests).toBe(2);
    expect(info.balance).toBeLessThan(100_000);
    expect(world.node.totals().drift).toBe(0);
  },
);

test(
  'a key of the request pays instead, X-Cashu brings its change back, and errors are those of the node',
  { timeout: 120_000 },
  async () => {
    const { url } = await proxy('--node', world.url);
    const key = await world.key(50);
    await sdk(url, key).chat.completions.create(hello());
    expect(await world.balance(key)).toBeLessThan(50_000);
    const once = await fetch(`${url}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-cashu': await world.mint.issue(50) },
      body: JSON.stringify(hello()),
    });
    expect([once.status, once.headers.get('x-cashu')]).toEqual([200, expect.stringMatching(/^cashuB/)]);
    expect(once.headers.get('access-control-allow-origin')).toBeNull();
    const poor = await sdk(url)
      .chat.completions.create(hello())
      .catch((error: unknown) => error);
    expect(poor).toMatchObject({ status: 402 });
  },
);

test(
  'an answer costs at most what was allowed, whatever the program asks for',
  { timeout: 120_000 },
  async () => {
    const { url } = await proxy('--node', world.url, '--max-sats', '1');
    await topUp(url, 1_000);
    const long = 'word '.repeat(20_000);
    const free = await world.post('/v1/chat/completions', hello(long), bearer(await world.key(1_000)));
    expect(free.status).toBe(200);
    const before = ((await (await fetch(`${url}/wallet/info`)).json()) as { balance: number }).balance;
    const refused = await fetch(`${url}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-max-cost-msats': '999999999' },
      body: JSON.stringify(hello(long)),
    });
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(((await (await fetch(`${url}/wallet/info`)).json()) as { balance: number }).balance).toBe(before);
  },
);

test(
  'in a process of its own, a node of which only the npub is known is found by its announcement',
  { timeout: 120_000 },
  async () => {
    const cwd = temporaryDirectory();
    const args = [
      'proxy',
      '--node',
      world.node.npub,
      '--relay',
      world.relay.url,
      '--port',
      '0',
      '--buyer-dir',
      cwd,
    ];
    const running = launch([...args, '--allow-private'], { cwd });
    const facts = JSON.parse(await running.firstLine) as Facts;
    expect(facts).toMatchObject({ how: 'http', node: world.url });
    expect(((await (await fetch(`${facts.url}/models`)).json()) as { data: unknown[] }).data).toHaveLength(2);
    running.child.kill('SIGTERM');
    expect((await running.finished).code).toBe(0);
  },
);

test(
  'pages of other sites and whole addresses are refused, and nothing of them reaches the node',
  { timeout: 60_000 },
  async () => {
    const { url } = await proxy('--node', world.url);
    const foreign = await fetch(`${url}/models`, { headers: { origin: 'https://evil.test' } });
    expect(foreign.status).toBe(403);
    const { port } = new URL(url);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      httpRequest({ port, host: '127.0.0.1', path: 'http://evil.test/v1/models' }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(400);
  },
);

test(
  'a node that is away or sends elsewhere is an error that says whether it may have charged',
  { timeout: 60_000 },
  async () => {
    const away = await proxy('--node', `http://127.0.0.1:${await freePort()}`);
    const none = await fetch(`${away.url}/chat/completions`, { method: 'POST', body: '{}' });
    expect([none.status, none.headers.get('x-should-retry')]).toEqual([503, 'true']);
    const elsewhere = await proxy('--node', `http://127.0.0.1:${await answering(302, {})}`);
    expect((await fetch(`${elsewhere.url}/models`)).status).toBe(502);
  },
);

test('an answer that breaks off breaks off here too', { timeout: 60_000 }, async () => {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: {"half":true}\n\n', () => response.destroy());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const { url } = await proxy('--node', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const broken = await fetch(`${url}/chat/completions`, { method: 'POST', body: '{}' });
  expect(broken.status).toBe(200);
  await expect(broken.text()).rejects.toThrow();
});

test('an announced address that leads to a private network is not contacted', async () => {
  const server = createHttpProxy({
    url: world.url.replace('127.0.0.1', 'localhost'),
    allowPrivate: false,
    key: nodeKey(generateNsec()),
    host: '127.0.0.1',
    clock: systemClock,
    log: silentLogger,
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/models`;
  const answer = await fetch(url);
  expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('is private')]);
});

test.each([
  [['--node', 'nonsense'], 2],
  [[], 2],
  [['--node', 'http://127.0.0.1:1', '--dm', 'npub1x'], 2],
])('usage: proxy %j ends with %d', async (args, code) => {
  const dir = temporaryDirectory();
  const io = fakeTerminal({ argv: ['proxy', '--buyer-dir', dir, ...args], cwd: dir, isTTY: false });
  expect([await io.done(), io.out()]).toEqual([code, '']);
});
