import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { NODE_TEMPLATE } from '../../src/cli-template.ts';
import { loadConfig } from '../../src/config.ts';
import { settingsJsonSchema } from '../../src/config-schema.ts';
import { MINIMAL, RELAYS, load, problems, temporaryDirectory, write } from './fixture.ts';

const ROOT = resolve(import.meta.dirname, '../..');

test('a file with one mint is a node with defaults for everything else', async () => {
  const cwd = temporaryDirectory();
  const config = await load(MINIMAL, { cwd });
  expect(config).toMatchObject({
    file: join(cwd, 'node.yaml'),
    base_dir: cwd,
    data_dir: join(cwd, 'data'),
    listen: { host: '127.0.0.1', port: 8000 },
    mints: [{ url: 'https://mint.test', unit: 'sat', allow_private: false }],
    pricing: { mode: 'model', btc_usd: 'auto', exchange_fee_percent: 0.5, margin_percent: 10 },
    announce: { enabled: true, heartbeat_seconds: 3600 },
    relayList: RELAYS,
  });
  expect(config.secrets.nsecFile).toBe(join(cwd, 'data', 'nsec'));
  expect(config.secrets.nsec).toBeUndefined();
});

test('the example in the repository is the file that init writes, and it is valid', async () => {
  expect(readFileSync(join(ROOT, 'node.example.yaml'), 'utf8')).toBe(NODE_TEMPLATE);
  const config = await load(NODE_TEMPLATE, {
    env: { OPENAI_API_KEY: 'sk-1' },
    files: { 'relays.json': JSON.stringify(RELAYS) },
  });
  expect(config.warnings).toEqual([]);
  expect(config.upstreams[0]?.models?.[0]).toMatchObject({ id: 'gpt-4o-mini', output_usd_per_million: 0.6 });
});

test('the example shows every top-level key', () => {
  const shown = new Set([...NODE_TEMPLATE.matchAll(/^(?:# )?([a-z_]+):/gm)].map((match) => match[1]));
  expect(shown).toEqual(new Set(Object.keys(settingsJsonSchema().properties ?? {})));
});

test('every key of the schema says what it means', () => {
  const silent: string[] = [];
  const walk = (schema: ReturnType<typeof settingsJsonSchema>, path: string): void => {
    for (const [key, child] of Object.entries(schema.properties ?? {})) {
      if (typeof child['description'] !== 'string') silent.push(`${path}${key}`);
      walk(child, `${path}${key}.`);
      if (child.items) walk(child.items, `${path}${key}[].`);
    }
  };
  walk(settingsJsonSchema(), '');
  expect(silent).toEqual([]);
});

test('flags win over the environment, the environment over the file, the file over defaults', async () => {
  const file = { ...MINIMAL, name: 'file', listen: { port: 1 }, about: 'file' };
  const env = { ROUTSTR_NAME: 'env', ROUTSTR_LISTEN__PORT: '2' };
  const config = await load(file, { env, flags: { 'listen.port': '3' } });
  expect([config.listen.port, config.name, config.about, config.listen.host]).toEqual([
    3,
    'env',
    'file',
    '127.0.0.1',
  ]);
});

test('the environment reaches groups that the file does not have', async () => {
  const env = {
    ROUTSTR_ANNOUNCE__ENABLED: 'false',
    ROUTSTR_PRICING__BTC_USD: '50000.5',
    ROUTSTR_PAYOUT__LIGHTNING_ADDRESS: 'me@host.test',
    ROUTSTR_NAME: '42',
    ROUTSTR_DATA_DIR: '/srv/node',
  };
  const config = await load(MINIMAL, { env });
  expect(config).toMatchObject({
    announce: { enabled: false },
    pricing: { btc_usd: 50000.5 },
    payout: { lightning_address: 'me@host.test', threshold_sats: 10_000 },
    name: '42',
    data_dir: '/srv/node',
  });
});

test('a bad value names the variable or flag it came from', async () => {
  expect(await problems(MINIMAL, { env: { ROUTSTR_LISTEN__PORT: 'http' } })).toEqual([
    'listen.port: must be a finite number (from ROUTSTR_LISTEN__PORT)',
  ]);
  expect(await problems(MINIMAL, { flags: { 'listen.port': '99999' } })).toEqual([
    'listen.port: must be at most 65535 (from --set listen.port)',
  ]);
});

test('a variable or flag that names no key is refused, unless it may belong to another program', async () => {
  expect(await problems(MINIMAL, { env: { ROUTSTR_LISTEN__PROT: '1' } })).toEqual([
    'ROUTSTR_LISTEN__PROT: names no key of the configuration; did you mean ROUTSTR_LISTEN__PORT?',
  ]);
  expect(await problems(MINIMAL, { flags: { 'listen.prot': '1' } })).toEqual([
    '--set listen.prot: unknown key; did you mean "listen.port"?',
  ]);
  const config = await load(MINIMAL, { env: { ROUTSTR_SERVICE_HOST: '10.0.0.1', ROUTSTR_NAMES: 'x' } });
  expect(config.warnings).toContain(
    'ROUTSTR_NAMES: names no key of the configuration; did you mean ROUTSTR_NAME?',
  );
  expect(config.warnings.join()).not.toContain('SERVICE_HOST');
});

test('the file is found by flag, then by variable, then by its name', async () => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'a', 'flag.json'), JSON.stringify({ ...MINIMAL, name: 'flag' }));
  write(join(cwd, 'b', 'variable.yaml'), JSON.stringify({ ...MINIMAL, name: 'variable' }));
  write(join(cwd, 'node.yaml'), JSON.stringify({ ...MINIMAL, name: 'default' }));
  const env = { ROUTSTR_CONFIG: 'b/variable.yaml' };
  expect((await loadConfig({ file: 'a/flag.json', env, cwd })).name).toBe('flag');
  const second = await loadConfig({ env, cwd });
  expect([second.name, second.data_dir]).toEqual(['variable', join(cwd, 'b', 'data')]);
  expect((await loadConfig({ env: {}, cwd })).name).toBe('default');
});

test('addresses are kept in one form and duplicates once', async () => {
  const config = await load({
    ...MINIMAL,
    public_urls: ['https://AI.test/', 'https://ai.test', 'http://abc.onion/'],
    mints: [
      { url: 'https://MINT.test:443/' },
      { url: 'https://mint.test/Bitcoin/' },
      { url: 'https://mint.test' },
      { url: 'https://mint.test', unit: 'msat' },
      { url: 'http://127.0.0.1:3338/', allow_private: true },
    ],
    upstreams: [{ id: 'local', base_url: 'http://10.0.0.5:11434/v1/' }],
  });
  expect(config.public_urls).toEqual(['https://ai.test', 'http://abc.onion']);
  expect(config.mints.map(({ url, unit }) => `${url} ${unit}`)).toEqual([
    'https://mint.test sat',
    'https://mint.test/Bitcoin sat',
    'https://mint.test msat',
    'http://127.0.0.1:3338 sat',
  ]);
  expect(config.upstreams[0]?.base_url).toBe('http://10.0.0.5:11434/v1');
});

test('a group whose lines are all commented out has its defaults', async () => {
  const config = await load(
    'relays: []\nmints:\n  - url: https://mint.test\nlisten:\npricing:\n  # margin\n',
  );
  expect(config.listen.port).toBe(8000);
  expect(config.pricing.margin_percent).toBe(10);
});

test('what is allowed but doubtful becomes a warning', async () => {
  const config = await load({
    relays: [{ url: 'ws://relay.test', roles: ['announce'] }],
    mints: MINIMAL.mints,
    public_urls: ['http://127.0.0.1:8000'],
    upstreams: [
      {
        id: 'free',
        base_url: 'https://free.test/v1',
        models: [{ id: 'm', input_usd_per_million: 0, output_usd_per_million: 0 }],
      },
    ],
  });
  expect(config.warnings).toEqual([
    'public_urls[0]: is a private address: buyers on other machines cannot reach it',
    'upstreams[0].models[0]: both rates are 0, so this model is given away',
    'relays: ws://relay.test is not encrypted (ws://)',
  ]);
  expect((await load(MINIMAL)).warnings).toEqual(['upstreams: none is listed, so nothing is sold']);
});

test('relays may stand in the file or in relays.json beside it', async () => {
  const text = JSON.stringify(['wss://one.test', { url: 'wss://two.test', roles: ['dm'] }]);
  const config = await load({ ...MINIMAL, relays: 'r.json' }, { files: { 'r.json': text } });
  expect(config.relayList.map(({ url }) => url)).toEqual(['wss://one.test', 'wss://two.test']);
});

test('a command that can do without them is told what is missing instead of refused', async () => {
  const file = {
    mints: MINIMAL.mints,
    upstreams: [{ id: 'a', base_url: 'https://a.test/v1', api_key: 'env:NOT_SET' }],
  };
  const cwd = temporaryDirectory();
  const lines = [
    'upstreams[0].api_key: the environment variable NOT_SET is not set',
    `relays: there is no file at ${join(cwd, 'relays.json')}`,
  ];
  expect((await load(file, { cwd, lenient: true })).warnings).toEqual(lines);
  expect(await problems(file, { cwd })).toEqual(lines);
});

test('the JSON Schema accepts what an operator writes and closes every group', () => {
  const schema = settingsJsonSchema();
  expect(schema['required']).toEqual(['mints']);
  expect(schema['additionalProperties']).toBe(false);
  expect(schema.properties?.['listen']?.['additionalProperties']).toBe(false);
  expect(Object.keys(parse(NODE_TEMPLATE) as object).every((key) => key in (schema.properties ?? {}))).toBe(
    true,
  );
});
