import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Provider } from '../../src/client/provider.ts';
import { createTestRelay } from '../../src/demo/relay.ts';
import type { AuditReport } from '../../src/node-audit.ts';
import { freePort } from '../node-kit.ts';
import { temporaryDirectory, write } from '../config/fixture.ts';
import { errorOf, launch, run } from './run.ts';
import { fakeTerminal } from './terminal.ts';

/** A node of its own that sells one model; its mint and its upstream are away. */
async function makeNode(relay: string, over: object = {}): Promise<string> {
  const cwd = temporaryDirectory();
  const away = `http://127.0.0.1:${await freePort()}`;
  const port = await freePort();
  const model = { id: 'echo', input_usd_per_million: 1, output_usd_per_million: 2, context_length: 8192 };
  write(
    join(cwd, 'node.yaml'),
    JSON.stringify({
      name: 'Test node',
      listen: { port },
      public_urls: [`http://127.0.0.1:${port}`],
      relays: [{ url: relay, roles: ['announce', 'discover'] }],
      mints: [{ url: away, allow_private: true }],
      upstreams: [{ id: 'a', base_url: `${away}/v1`, models: [model] }],
      pricing: { btc_usd: 100_000 },
      ...over,
    }),
  );
  expect(await fakeTerminal({ argv: ['init', '--yes'], cwd }).done()).toBe(0);
  return cwd;
}

async function emptyRelay() {
  const relay = await createTestRelay();
  onTestFinished(() => relay.close());
  return relay;
}

/** Runs a command as a program would and reads its JSON. */
async function ask<T>(argv: readonly string[], cwd: string): Promise<{ code: number; json: T }> {
  const io = fakeTerminal({ argv, cwd, isTTY: false });
  const code = await io.done();
  if (io.out() === '') throw new Error(`ended with ${code}: ${io.err()}`);
  return { code, json: JSON.parse(io.out()) as T };
}

test('a node starts, says so in one line, is found by a buyer, keeps its ledger to itself and stops on SIGTERM', async () => {
  const relay = await emptyRelay();
  const cwd = await makeNode(relay.url);
  const node = launch(['start'], { cwd });
  const ready = JSON.parse(await node.firstLine) as {
    event: string;
    url: string;
    npub: string;
    data_dir: string;
  };
  expect(ready).toEqual({
    event: 'node.ready',
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as unknown,
    npub: expect.stringMatching(/^npub1/) as unknown,
    data_dir: join(cwd, 'data'),
  });
  expect((await fetch(`${ready.url}/readyz`)).status).toBe(200);
  expect((await ask(['health'], cwd)).code).toBe(0);
  expect((await ask<{ id: string }[]>(['models'], cwd)).json.map(({ id }) => id)).toEqual(['echo']);

  const audit = await run(['audit', '--offline', '--json'], { cwd });
  expect([audit.code, errorOf(audit).code]).toEqual([73, 'ledger_in_use']);

  while (!relay.events().some(({ kind }) => kind === 38421))
    await new Promise((done) => setTimeout(done, 10));
  const found = await ask<Provider[]>(
    ['discover', '--relay', relay.url, '--allow-private', '--model', 'echo'],
    '/',
  );
  expect(found.code).toBe(0);
  expect(found.json).toMatchObject([
    { npub: ready.npub, urls: [ready.url], bound: true, models: [{ id: 'echo' }] },
  ]);
  const dear = await ask<Provider[]>(
    ['discover', '--relay', relay.url, '--allow-private', '--max-price', '1'],
    '/',
  );
  expect(dear).toEqual({ code: 0, json: [] });

  node.child.kill('SIGTERM');
  const { code, stdout } = await node.finished;
  expect(code).toBe(0);
  expect(stdout.trim().split('\n')).toHaveLength(1);
  const left = relay.events().filter(({ kind }) => kind === 38421);
  expect(left.map(({ tags }) => tags.find(([name]) => name === 'status')?.[1])).toEqual(['offline']);
});

test('audit of a new node: everything is zero and the books balance', async () => {
  const cwd = await makeNode('ws://127.0.0.1:1');
  const { code, json } = await ask<AuditReport>(['audit', '--offline'], cwd);
  expect(code).toBe(0);
  expect(json).toMatchObject({ drift_msat: 0, equity_msat: 0, open_holds: 0, unfinished_operations: 0 });
  expect(json.mints).toBeUndefined();
  const online = await ask<AuditReport>(['audit'], cwd);
  expect(online.code).toBe(0);
  expect(online.json.mints).toHaveLength(1);
});

test('a node that was never made does not start', async () => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'node.yaml'), JSON.stringify({ relays: [], mints: [{ url: 'https://mint.test' }] }));
  for (const argv of [
    ['start', '--log-level', 'silent'],
    ['audit', '--offline'],
  ]) {
    const io = fakeTerminal({ argv, cwd, isTTY: false });
    expect(await io.done()).toBe(78);
    expect(io.err()).toContain('init');
  }
});

test('a port that is taken is named', async () => {
  const relay = await emptyRelay();
  const cwd = await makeNode(relay.url, { listen: { port: relay.port }, public_urls: [] });
  const io = fakeTerminal({ argv: ['start', '--log-level', 'silent'], cwd, isTTY: false });
  expect(await io.done()).toBe(69);
  expect(io.err()).toContain(String(relay.port));
});

test('the announcement can be shown, published once and retracted', async () => {
  const relay = await emptyRelay();
  const cwd = await makeNode(relay.url);
  const shown = await ask<{ kind: number; tags: string[][] }>(['announce', 'show'], cwd);
  expect([shown.code, shown.json.kind]).toEqual([0, 38421]);
  expect(relay.events()).toEqual([]);

  const published = await ask<unknown>(['announce', 'publish'], cwd);
  expect(published.code).toBe(0);
  expect(published.json).toContainEqual({ url: relay.url, outcome: 'ok' });
  expect(relay.events().map(({ kind }) => kind)).toContain(38421);

  expect((await ask(['announce', 'retract'], cwd)).code).toBe(0);
  expect(relay.events().map(({ kind }) => kind)).not.toContain(38421);
});

test('announcing where no relay answers is unreachable', async () => {
  const cwd = await makeNode(`ws://127.0.0.1:${await freePort()}`);
  const io = fakeTerminal({ argv: ['announce', 'publish'], cwd, isTTY: false });
  expect(await io.done()).toBe(3);
  expect(io.err()).toContain('"code":"unreachable"');
});

test('discover on a relay without nodes is an empty list, not a failure', async () => {
  const relay = await emptyRelay();
  const result = await run(['discover', '--relay', relay.url, '--json'], { cwd: temporaryDirectory() });
  expect(result).toEqual({ code: 0, stdout: '[]\n', stderr: '' });
  const file = write(join(temporaryDirectory(), 'r.json'), JSON.stringify([relay.url]));
  const io = fakeTerminal({ argv: ['discover', '--relays', file] });
  expect(await io.done()).toBe(0);
  expect(io.out()).toBe('No node was found.\n');
});

test('discover where no relay answers is unreachable, and no empty list', async () => {
  const relay = `ws://127.0.0.1:${await freePort()}`;
  const result = await run(['discover', '--relay', relay, '--json'], { cwd: temporaryDirectory() });
  expect([result.code, result.stdout]).toEqual([3, '']);
  expect(errorOf(result)).toEqual({ code: 'unreachable', message: 'no relay answered' });
  const io = fakeTerminal({ argv: ['discover', '--relay', relay] });
  expect([await io.done(), io.out()]).toEqual([3, '']);
  expect(io.err()).toContain('no relay answered');
});

test('discover where one of two relays answers says what that one knows', async () => {
  const [there, away] = [(await emptyRelay()).url, `ws://127.0.0.1:${await freePort()}`];
  const io = fakeTerminal({ argv: ['discover', '--relay', away, '--relay', there], isTTY: false });
  expect([await io.done(), io.out()]).toEqual([0, '[]\n']);
});

test('relays that make no sense are refused', async () => {
  const io = fakeTerminal({ argv: ['discover', '--relay', 'https://no.test'], isTTY: false });
  expect(await io.done()).toBe(78);
  expect(io.err()).toContain('--relay: ');
});
