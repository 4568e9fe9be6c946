import { mkdirSync, chmodSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Level } from 'level';
import { expect, onTestFinished, test } from 'vitest';
import { EXIT } from '../../src/base/error.ts';
import { silentLogger } from '../../src/base/log.ts';
import { GENESIS_KEY, openValue, sealValue } from '../../src/ledger/database.ts';
import { createNode } from '../../src/node.ts';
import { generateNsec } from '../../src/relay/key.ts';
import { fakeClock } from '../base/clock.ts';
import { fakeTerminal } from '../cli/terminal.ts';
import { MINIMAL, load, problems, temporaryDirectory, write } from '../config/fixture.ts';
import { newPlace } from '../ledger/fixture.ts';

/** `problems` also asserts exit code 78. One line for each problem. */
const one = async (
  content: unknown,
  ...options: Parameters<typeof problems> extends [unknown, ...infer R] ? R : never
) => {
  const lines = await problems(content, ...options);
  expect(lines).toHaveLength(1);
  return lines[0] ?? '';
};
const priced = (over: object) => ({
  ...MINIMAL,
  upstreams: [
    {
      id: 'a',
      base_url: 'https://a.test/v1',
      models: [{ id: 'm', input_usd_per_million: 1, output_usd_per_million: 2, ...over }],
    },
  ],
});
const cli = async (cwd: string, ...argv: string[]) => {
  const io = fakeTerminal({ argv, cwd, isTTY: false });
  return { code: await io.done(), err: io.err() };
};

test('C1 no file, an unknown key, a wrong type: one line that names it', async () => {
  const cwd = temporaryDirectory();
  expect(await one(MINIMAL, { cwd, file: join(cwd, 'none.yaml') })).toContain('none.yaml');
  expect(await one({ ...MINIMAL, lisen: {} })).toMatch(/^lisen: /);
  expect(await one({ ...MINIMAL, listen: { port: '80' } })).toMatch(/^listen\.port: /);
});

test('C2 a bad npub, hex in its place, a secret key in a public field: refused, the value not printed', async () => {
  const nsec = generateNsec().reveal();
  for (const npub of [`npub1${'q'.repeat(58)}`, 'ab'.repeat(32), nsec]) {
    const line = await one({ ...MINIMAL, contact: { npub } });
    expect(line).toMatch(/^contact\.npub: /);
    expect(line).not.toContain(npub);
  }
});

test('C4 a price that is no number, negative, infinite or missing', async () => {
  for (const value of ['x', -1, null]) {
    const lines = await problems(priced({ input_usd_per_million: value }));
    expect(lines.join()).toMatch(/^upstreams\[0\]\.models\[0\]\.input_usd_per_million: /);
  }
  const text = (value: string) => JSON.stringify(priced({ input_usd_per_million: 42 })).replace('42', value);
  for (const value of ['1e309', '.nan'])
    expect(await one(text(value))).toMatch(/input_usd_per_million: must be a finite number$/);
  expect(await one(priced({ output_usd_per_million: undefined }))).toMatch(
    /output_usd_per_million: is required$/,
  );
  const free = await load(priced({ input_usd_per_million: 0, output_usd_per_million: 0 }));
  expect(free.warnings.join()).toContain('given away');
});

test('C5 mints: none is refused, one in the clear too, the same one counts once', async () => {
  expect(await one({ ...MINIMAL, mints: [] })).toMatch(/^mints: /);
  expect(await one({ ...MINIMAL, mints: [{ url: 'http://mint.test' }] })).toMatch(/^mints\[0\]\.url: /);
  const twice = [{ url: 'https://mint.test' }, { url: 'HTTPS://MINT.test:443/' }];
  expect((await load({ ...MINIMAL, mints: twice })).mints).toHaveLength(1);
});

test('C6 relays: no list, too many, one in the clear', async () => {
  expect(await one({ ...MINIMAL, relays: { a: 1 } })).toMatch(/^relays: /);
  const many = Array.from({ length: 500 }, (_, i) => `wss://r${i}.test`);
  expect(await one({ ...MINIMAL, relays: many })).toContain('20');
  expect((await load({ ...MINIMAL, relays: ['ws://relay.test'] })).warnings.join()).toContain(
    'not encrypted',
  );
});

test('C7 a data directory without a ledger: start asks for init', async () => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'node.yaml'), JSON.stringify({ ...MINIMAL, relays: [] }));
  const { code, err } = await cli(cwd, 'start', '--log-level', 'silent');
  expect(code).toBe(EXIT.refused);
  expect(err).toContain('init');
});

test('C8 a data directory that every user can write to', async () => {
  const cwd = temporaryDirectory();
  mkdirSync(join(cwd, 'data'));
  chmodSync(join(cwd, 'data'), 0o777);
  expect(await one(MINIMAL, { cwd })).toMatch(/^data_dir: .*can be written by every user/);
});

test('C9 a file with a secret that every user can read', async () => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'nsec'), generateNsec().reveal(), 0o644);
  expect(await one({ ...MINIMAL, identity: { nsec: 'file:nsec' } }, { cwd })).toMatch(
    /^identity\.nsec: .*chmod/,
  );
});

test('C10 a port that is taken', async () => {
  const taken = createServer();
  await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const cwd = temporaryDirectory();
  write(
    join(cwd, 'node.yaml'),
    JSON.stringify({
      ...MINIMAL,
      mints: [{ url: 'http://127.0.0.1:1', allow_private: true }],
      relays: [],
      listen: { port },
      pricing: { btc_usd: 100_000 },
    }),
  );
  expect((await cli(cwd, 'init', '--yes')).code).toBe(EXIT.ok);
  const { code, err } = await cli(cwd, 'start', '--log-level', 'silent');
  expect(code).toBe(EXIT.unavailable);
  expect(err).toContain(String(port));
});

test('C11 a ledger of a newer version is left alone', async () => {
  const place = await newPlace();
  const db = new Level(join(place.dir, 'db'), { createIfMissing: false, compression: false });
  await db.open();
  const genesis = openValue(GENESIS_KEY, (await db.get(GENESIS_KEY)) ?? '');
  await db.put(GENESIS_KEY, sealValue(GENESIS_KEY, genesis.replace('"version":1', '"version":2')));
  await db.close();
  await expect(place.open()).rejects.toMatchObject({ exitCode: EXIT.refused });
});

test('C12 a clock that shows a time before this release', async () => {
  const config = await load({ ...MINIMAL, relays: [] });
  const node = createNode(config, { log: silentLogger, clock: fakeClock(0) });
  await expect(node.start()).rejects.toMatchObject({ exitCode: EXIT.refused });
});
