import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fakeTerminal } from './terminal.ts';
import { type TestWorld, MODEL, testWorld } from '../e2e/support.ts';
import { temporaryDirectory } from '../config/fixture.ts';
import { freePort } from '../node-kit.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld();
});
afterAll(() => world.close());

const chat = (
  args: readonly string[],
  options: {
    env?: Record<string, string>;
    isTTY?: boolean;
    types?: string;
    person?: boolean;
    dir?: string;
  } = {},
) =>
  fakeTerminal({
    argv: ['chat', ...args, '--buyer-dir', options.dir ?? temporaryDirectory()],
    cwd: temporaryDirectory(),
    isTTY: false,
    ...options,
  });

describe('over HTTP', () => {
  test('one question, paid by a key, as JSON with cost and balance', async () => {
    const key = await world.key(100);
    const io = chat(['--node', world.url, '--model', MODEL, '--once', 'hello', '--api-key', 'env:KEY'], {
      env: { KEY: key },
    });
    expect([await io.done(), io.err()]).toEqual([0, '']);
    const said = JSON.parse(io.out());
    expect(said).toMatchObject({
      node: world.url,
      how: 'http',
      model: MODEL,
      text: expect.stringContaining('hello'),
    });
    expect(said.balance_msats).toBe(100_000 - said.cost_msats);
    expect(await world.balance(key)).toBe(said.balance_msats);
  });

  test('a question from a pipe, paid from the account of the own Nostr key that a token filled', async () => {
    const dir = temporaryDirectory();
    const io = chat(['--node', `${world.url}/v1`, '--topup', 'env:TOKEN'], {
      env: { TOKEN: await world.mint.issue(50) },
      types: 'what is this?\n',
      dir,
    });
    expect([await io.done(), io.err()]).toEqual([0, '']);
    expect(JSON.parse(io.out())).toMatchObject({
      model: MODEL,
      text: expect.stringContaining('what is this?'),
    });
    const again = chat(['--node', world.url, '--once', 'more'], { dir });
    expect(await again.done()).toBe(0);
    const [first, second] = [JSON.parse(io.out()), JSON.parse(again.out())];
    expect(second.balance_msats).toBe(first.balance_msats - second.cost_msats);
    expect(world.node.totals().drift).toBe(0);
  });

  test('a dialogue: commands are not charged, a pasted token is put on the account, turns are remembered', async () => {
    const token = await world.mint.issue(50);
    const io = chat(['--node', world.url], {
      isTTY: true,
      person: true,
      types: [
        '/balance',
        token,
        '/hlep',
        '/models',
        'hello',
        '/model nothing',
        'x',
        '/refund',
        '/quit',
        '',
      ].join('\n'),
    });
    expect(await io.done()).toBe(0);
    expect(io.out()).toMatch(/^0 sat$/m);
    expect(io.out()).toMatch(/^50 sat added, 50 sat there$/m);
    expect(io.out()).toContain('/topup <token>');
    expect(io.out()).toMatch(/\(cost [\d.]+ sat, left [\d.]+ sat\)/);
    expect(io.out()).toContain('model_not_found');
    expect(io.out()).toMatch(/^cashuB\S+$/m);
  });

  test.each([
    [['--node', 'nonsense', '--once', 'x'], 2],
    [['--once', 'x'], 2],
    [['--node', 'URL', '--once', ' '], 2],
    [['--node', 'URL', '--once', 'x', '--api-key', 'sk-in-the-open'], 2],
    [['--node', 'URL', '--once', 'x', '--model', 'nothing'], 5],
    [['--node', 'URL', '--once', 'x', '--api-key', 'env:DEAD'], 4],
    [['--node', 'URL', '--once', 'LONG', '--api-key', 'env:POOR'], 6],
    [['--node', 'CLOSED', '--once', 'x', '--model', MODEL], 3],
  ])('%j ends with %d', async (args, code) => {
    const closed = `http://127.0.0.1:${await freePort()}`;
    const words: Record<string, string> = { URL: world.url, CLOSED: closed, LONG: 'word '.repeat(4_000) };
    const filled = args.map((word) => words[word] ?? word);
    const POOR = await world.key(1);
    const io = chat(filled, { env: { DEAD: `sk-${'0'.repeat(64)}`, POOR } });
    expect([await io.done(), io.out()]).toEqual([code, '']);
    expect(io.err()).not.toContain('sk-in-the-open');
  });
});

describe('over encrypted messages', () => {
  const dm = (dir: string, ...more: string[]) => [
    '--node',
    world.node.npub,
    '--dm',
    '--relay',
    world.relay.url,
    ...more,
    '--buyer-dir',
    dir,
  ];

  test('the account of the own key is filled and pays; nothing but the npub and a relay is needed', async () => {
    const dir = temporaryDirectory();
    const io = fakeTerminal({
      argv: ['chat', ...dm(dir, '--topup', 'env:TOKEN', '--once', 'over the relay')],
      env: { TOKEN: await world.mint.issue(50) },
      isTTY: false,
    });
    expect([await io.done(), io.err()]).toEqual([0, '']);
    const said = JSON.parse(io.out());
    expect(said).toMatchObject({ how: 'dm', text: expect.stringContaining('over the relay') });
    expect(said.balance_msats).toBe(50_000 - said.cost_msats);
    // The same key is the same account over HTTP.
    const again = fakeTerminal({
      argv: ['chat', '--node', world.url, '--once', 'over HTTP', '--buyer-dir', dir],
      isTTY: false,
    });
    expect(await again.done()).toBe(0);
    const second = JSON.parse(again.out());
    expect(second.balance_msats).toBe(said.balance_msats - second.cost_msats);
  });

  test('an account without money ends with 6, an npub that nobody answers for with 2', async () => {
    const poor = fakeTerminal({ argv: ['chat', ...dm(temporaryDirectory(), '--once', 'x')], isTTY: false });
    expect([await poor.done(), poor.out()]).toEqual([6, '']);
    const wrong = fakeTerminal({
      argv: ['chat', '--node', world.url, '--dm', '--once', 'x', '--buyer-dir', temporaryDirectory()],
      isTTY: false,
    });
    expect(await wrong.done()).toBe(2);
  });

  test('a node of which only the npub is known is found over HTTP too, if its address is proven', async () => {
    const dir = temporaryDirectory();
    const args = [
      'chat',
      '--node',
      world.node.npub,
      '--relay',
      world.relay.url,
      '--once',
      'x',
      '--buyer-dir',
      dir,
    ];
    const key = await world.key(20);
    const io = fakeTerminal({
      argv: [...args, '--api-key', 'env:KEY', '--allow-private'],
      env: { KEY: key },
      isTTY: false,
    });
    expect([await io.done(), io.err()]).toEqual([0, '']);
    expect(JSON.parse(io.out())).toMatchObject({ how: 'http' });
  });
});
