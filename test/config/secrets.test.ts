import { inspect } from 'node:util';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { generateNsec } from '../../src/relay/key.ts';
import { MINIMAL, load, problems, temporaryDirectory, write } from './fixture.ts';

const NSEC = generateNsec().reveal();
const KEY = 'sk-canary-0123456789abcdef';
const keyed = (api_key: string) => ({
  ...MINIMAL,
  upstreams: [{ id: 'a', base_url: 'https://a.test/v1', api_key }],
});

test('a reference to a variable or a private file becomes a Secret', async () => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'run', 'key'), `${KEY}\n`);
  write(join(cwd, 'data', 'nsec'), NSEC);
  const fromFile = await load(keyed('file:run/key'), { cwd });
  expect(fromFile.secrets.upstreamKeys.get('a')?.reveal()).toBe(KEY);
  expect(fromFile.secrets.nsec?.reveal()).toBe(NSEC);
  const env = { MY_KEY: KEY, MY_NSEC: NSEC };
  const fromEnv = await load({ ...keyed('env:MY_KEY'), identity: { nsec: 'env:MY_NSEC' } }, { cwd, env });
  expect(fromEnv.secrets.upstreamKeys.get('a')?.reveal()).toBe(KEY);
  expect([fromEnv.secrets.nsec?.reveal(), fromEnv.secrets.nsecFile]).toEqual([NSEC, undefined]);
});

test('a loaded configuration can be printed without showing a secret', async () => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'data', 'nsec'), NSEC);
  const config = await load(keyed('env:MY_KEY'), { cwd, env: { MY_KEY: KEY } });
  const printed =
    inspect(config, { depth: 9 }) + JSON.stringify({ ...config, keys: [...config.secrets.upstreamKeys] });
  expect(printed).not.toContain(KEY);
  expect(printed).not.toContain(NSEC);
});

test('a secret itself is refused, and the refusal does not repeat it', async () => {
  const LITERAL = 'must be env:NAME or file:PATH; a secret itself never stands in the configuration';
  expect(await problems(keyed(KEY))).toEqual([`upstreams[0].api_key: ${LITERAL}`]);
  expect(await problems({ ...MINIMAL, identity: { nsec: 'ab'.repeat(32) } })).toEqual([
    `identity.nsec: ${LITERAL}`,
  ]);
  expect(await problems(MINIMAL, { env: { ROUTSTR_IDENTITY__NSEC: 'ab'.repeat(32) } })).toEqual([
    `identity.nsec: ${LITERAL} (from ROUTSTR_IDENTITY__NSEC)`,
  ]);
});

test('a Nostr secret key in any place is refused without printing it', async () => {
  const found = 'holds a Nostr secret key; put it in a file and write file:PATH';
  for (const [content, path] of [
    [{ ...MINIMAL, name: NSEC }, 'name'],
    [{ ...MINIMAL, identity: { nsec: NSEC } }, 'identity.nsec'],
    [{ ...MINIMAL, contact: { npub: NSEC } }, 'contact.npub'],
    [{ ...MINIMAL, public_urls: [`https://x.test/${NSEC}`] }, 'public_urls[0]'],
    [{ ...MINIMAL, unknown: { deep: [NSEC.toUpperCase()] } }, 'unknown.deep[0]'],
  ] as const) {
    expect(await problems(content)).toEqual([`${path}: ${found}`]);
  }
  expect(await problems({ ...MINIMAL, [NSEC]: 1 })).toEqual(['(file): has a Nostr secret key as a key']);
});

test('a password in a URL is refused without printing it', async () => {
  const message = 'must not carry a user name or password';
  expect(
    await problems({
      relays: [],
      mints: [{ url: 'https://u:hunter2@mint.test' }],
      public_urls: ['https://u:hunter2@ai.test'],
      upstreams: [{ id: 'a', base_url: 'https://u:hunter2@a.test/v1' }],
    }),
  ).toEqual([`mints[0].url: ${message}`, `public_urls[0]: ${message}`, `upstreams[0].base_url: ${message}`]);
});

test('a secret file that others can read is refused', async () => {
  const cwd = temporaryDirectory();
  const file = write(join(cwd, 'data', 'nsec'), NSEC, 0o644);
  expect(await problems(MINIMAL, { cwd })).toEqual([
    `identity.nsec: ${file} can be read by others (mode 0644); run: chmod 600 ${file}`,
  ]);
  const key = write(join(cwd, 'key'), KEY, 0o640);
  write(file, NSEC, 0o400);
  expect(await problems(keyed('file:key'), { cwd })).toEqual([
    `upstreams[0].api_key: ${key} can be read by others (mode 0640); run: chmod 600 ${key}`,
  ]);
});

test('secrets that are absent, empty, too large or of the wrong kind', async () => {
  const cwd = temporaryDirectory();
  expect(await problems(keyed('env:UNSET'), { cwd, env: { UNSET: '' } })).toEqual([
    'upstreams[0].api_key: the environment variable UNSET is not set',
  ]);
  expect(await problems(keyed('file:none'), { cwd })).toEqual([
    `upstreams[0].api_key: there is no file at ${join(cwd, 'none')}`,
  ]);
  write(join(cwd, 'taken'), KEY, 0o600);
  expect(await problems(keyed('file:taken/key'), { cwd })).toEqual([
    `upstreams[0].api_key: ${join(cwd, 'taken', 'key')} cannot be read (ENOTDIR)`,
  ]);
  const file = write(join(cwd, 'key'), '\n');
  expect(await problems(keyed('file:key'), { cwd })).toEqual([`upstreams[0].api_key: ${file} is empty`]);
  write(file, 'x'.repeat(20_000));
  expect(await problems(keyed('file:key'), { cwd })).toEqual([
    `upstreams[0].api_key: ${file} is too large for a secret`,
  ]);
  write(join(cwd, 'data', 'nsec'), 'nsec1notakey');
  expect(await problems(MINIMAL, { cwd })).toEqual([
    'identity.nsec: does not hold a Nostr secret key (nsec1… or 64 hex digits)',
  ]);
  expect(await problems({ ...MINIMAL, identity: { nsec: 'env:UNSET' } }, { cwd })).toEqual([
    'identity.nsec: the environment variable UNSET is not set',
  ]);
});
