import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { generateNsec } from '../../src/relay/key.ts';
import { VERSION } from '../../src/version.ts';
import { freePort } from '../node-kit.ts';
import { MINIMAL, temporaryDirectory, write } from '../config/fixture.ts';
import { fakeTerminal } from './terminal.ts';
import { answering, errorOf, run } from './run.ts';

const COMMANDS = [
  'init',
  'start',
  'doctor',
  'keys',
  'audit',
  'health',
  'models',
  'announce',
  'config',
  'discover',
  'demo',
];

test('the version is that of the package', async () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../package.json'), 'utf8');
  expect(VERSION).toBe((JSON.parse(text) as { version: string }).version);
  expect(await run(['--version'], { cwd: temporaryDirectory() })).toEqual({
    code: 0,
    stdout: `${VERSION}\n`,
    stderr: '',
  });
});

test('help lists the commands that exist', async () => {
  const io = fakeTerminal({ argv: ['--help'] });
  expect(await io.done()).toBe(0);
  const listed = [...io.out().matchAll(/^ {2}(\w+)/gm)].map((match) => match[1]);
  expect(listed.filter((word) => word !== 'help')).toEqual(expect.arrayContaining(COMMANDS));
});

test('an unknown command is a usage error in a child process, as JSON', async () => {
  const result = await run(['strat'], { cwd: temporaryDirectory() });
  expect([result.code, result.stdout]).toEqual([2, '']);
  expect(errorOf(result)).toEqual({
    code: 'usage',
    message: "unknown command 'strat'\n(Did you mean start?)",
  });
});

test.each([
  [[], 'no command given; see --help'],
  [['start', '--confg', 'x'], "unknown option '--confg'"],
  [['config'], 'no command given; see --help'],
  [['demo', '--port', 'x'], 'expected a whole number from 0 to 65535'],
  [['config', 'check', '--set', 'port'], 'expected path=value, e.g. listen.port=9000'],
  [['discover', '--max-price', '-1'], 'expected sats per 1,000,000 tokens'],
  [['start', 'too', 'many'], 'too many arguments'],
])('usage error: %j', async (argv, message) => {
  const io = fakeTerminal({ argv, isTTY: false });
  expect(await io.done()).toBe(2);
  const { error } = JSON.parse(io.err()) as { error: { code: string; message: string } };
  expect(error.code).toBe('usage');
  expect(error.message).toContain(message);
  expect(io.out()).toBe('');
});

test('a configuration that is refused ends with 78 and one line per problem', async () => {
  const cwd = temporaryDirectory();
  const none = await run(['start'], { cwd });
  const file = join(cwd, 'node.yaml');
  expect([none.code, errorOf(none)]).toEqual([
    78,
    { code: 'refused', message: `config: no file at ${file}; run: routstr-node init --config ${file}` },
  ]);
  write(file, JSON.stringify({ ...MINIMAL, lisen: 1, name: 7 }));
  const io = fakeTerminal({ argv: ['config', 'check'], cwd });
  expect(await io.done()).toBe(78);
  expect(io.err()).toBe('error: name: must be text\nlisen: unknown key; did you mean "listen"?\n');
});

test('config check says ok, config print shows what is in effect, and neither shows a secret', async () => {
  const cwd = temporaryDirectory();
  const nsec = generateNsec().reveal();
  write(join(cwd, 'data', 'nsec'), nsec);
  const upstreams = [{ id: 'a', base_url: 'https://a.test/v1', api_key: 'env:A_KEY' }];
  write(join(cwd, 'my.json'), JSON.stringify({ ...MINIMAL, upstreams }));
  const common = ['--config', 'my.json', '--set', 'listen.port=9001', '--set', 'name=Mine'];
  const env = { A_KEY: 'sk-canary', ROUTSTR_ABOUT: 'from env' };

  const check = await run(['config', 'check', ...common], { cwd, env });
  expect(check).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(check.stdout)).toEqual({ ok: true, file: join(cwd, 'my.json'), warnings: [] });

  for (const isTTY of [true, false]) {
    const io = fakeTerminal({ argv: ['config', 'print', ...common], cwd, env, isTTY });
    expect(await io.done()).toBe(0);
    expect(io.out()).not.toContain('sk-canary');
    expect(io.out()).not.toContain(nsec);
    expect(parse(io.out())).toMatchObject({
      name: 'Mine',
      about: 'from env',
      listen: { port: 9001, host: '127.0.0.1' },
      upstreams: [{ api_key: 'env:A_KEY' }],
      relays: MINIMAL.relays,
    });
  }
});

test('config schema is a JSON Schema', async () => {
  const io = fakeTerminal({ argv: ['config', 'schema'], isTTY: false });
  expect(await io.done()).toBe(0);
  expect(JSON.parse(io.out())).toMatchObject({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    properties: { listen: { properties: { port: { default: 8000 } } } },
  });
});

test('health is 0 for a node that is ready and 3 for one that is not or is not there', async () => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'node.yaml'), JSON.stringify(MINIMAL));
  const health = async (port: number) => {
    const io = fakeTerminal({ argv: ['health', '--set', `listen.port=${port}`], cwd, isTTY: false });
    return [await io.done(), io.out() + io.err()] as const;
  };
  const ready = await answering(200, { ready: true });
  expect(await health(ready)).toEqual([0, `{"ready":true,"url":"http://127.0.0.1:${ready}/readyz"}\n`]);
  expect((await health(await answering(503, { ready: false })))[0]).toBe(3);
  const [code, text] = await health(await freePort());
  expect(code).toBe(3);
  expect(text).toContain('"code":"unreachable"');
});

test('models shows what the node sells: JSON for programs, a table for people', async () => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'node.yaml'), JSON.stringify(MINIMAL));
  const data = [
    {
      id: 'echo\u001b[31m',
      context_length: 8192,
      pricing: { prompt: 1.5e-7, completion: 6e-7 },
      sats_pricing: { prompt: 0.00015, completion: 0.0006 },
    },
  ];
  const argv = ['models', '--set', `listen.port=${await answering(200, { object: 'list', data })}`];
  const piped = fakeTerminal({ argv, cwd, isTTY: false });
  expect(await piped.done()).toBe(0);
  expect(JSON.parse(piped.out())).toEqual(data);
  const seen = fakeTerminal({ argv, cwd });
  expect(await seen.done()).toBe(0);
  expect(seen.out()).toMatch(/^MODEL .*\necho·\[31m +8192 +150 +600 +0\.15 +0\.6\n$/);
});
