import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MINIMAL, RELAYS, load, problems, temporaryDirectory } from './fixture.ts';

const model = { id: 'm', input_usd_per_million: 1, output_usd_per_million: 2 };
const upstream = { id: 'a', base_url: 'https://a.test/v1', models: [model] };
const withModel = (over: object) => ({
  ...MINIMAL,
  upstreams: [{ ...upstream, models: [{ ...model, ...over }] }],
});

test('no configuration: says where it was looked for and what to do', async () => {
  const cwd = temporaryDirectory();
  const file = join(cwd, 'other.yaml');
  expect(await problems(MINIMAL, { cwd, file })).toEqual([
    `config: no file at ${file}; run: routstr-node init --config ${file}`,
  ]);
  mkdirSync(file);
  expect(await problems(MINIMAL, { cwd, file })).toEqual([`config: ${file} is not a file`]);
});

test('a configuration that cannot be read is not taken for one that is missing', async () => {
  const cwd = temporaryDirectory();
  writeFileSync(join(cwd, 'taken'), '');
  const file = join(cwd, 'taken', 'node.yaml');
  expect(await problems(MINIMAL, { cwd, file })).toEqual([`config: ${file} cannot be read (ENOTDIR)`]);
});

test('a list of relays that cannot be read is not taken for one that is missing', async () => {
  const cwd = temporaryDirectory();
  writeFileSync(join(cwd, 'taken'), '');
  expect(await problems({ ...MINIMAL, relays: 'taken/relays.json' }, { cwd })).toEqual([
    `relays: ${join(cwd, 'taken', 'relays.json')} cannot be read (ENOTDIR)`,
  ]);
});

test.skipIf(process.getuid?.() === 0)('a configuration of another user', async () => {
  const cwd = temporaryDirectory();
  const file = join(cwd, 'other.yaml');
  writeFileSync(file, JSON.stringify(MINIMAL), { mode: 0o000 });
  expect(await problems(MINIMAL, { cwd, file })).toEqual([`config: ${file} cannot be read by this user`]);
});

test.each<[string, unknown, string[]]>([
  ['an empty file', '', ['mints: is required']],
  ['a list', '[1]', ['(file): must be a group of keys']],
  ['an unknown key', { ...MINIMAL, lisen: {} }, ['lisen: unknown key; did you mean "listen"?']],
  [
    'an unknown key in a list of groups',
    withModel({ ouput_usd_per_million: 1 }),
    ['upstreams[0].models[0].ouput_usd_per_million: unknown key; did you mean "output_usd_per_million"?'],
  ],
  ['a key like no other', { ...MINIMAL, xyzzy: 1 }, ['xyzzy: unknown key']],
  ['a wrong type', { ...MINIMAL, listen: { port: '80' } }, ['listen.port: must be a finite number']],
  ['a port beyond the last', { ...MINIMAL, listen: { port: 70000 } }, ['listen.port: must be at most 65535']],
  ['half a port', { ...MINIMAL, listen: { port: 80.5 } }, ['listen.port: must be a whole number']],
  [
    'an unknown mode',
    { ...MINIMAL, pricing: { mode: 'modell' } },
    ['pricing.mode: must be one of: model, token, request'],
  ],
  [
    'a wrong rate',
    { ...MINIMAL, pricing: { btc_usd: 'market' } },
    ['pricing.btc_usd: must be auto or the price of one bitcoin in USD'],
  ],
  [
    'one rate for all without the rate',
    { ...MINIMAL, pricing: { mode: 'token', input_usd_per_million: 1 } },
    ['pricing.output_usd_per_million: is required when pricing.mode is token'],
  ],
  [
    'a flat price of nothing',
    { ...MINIMAL, pricing: { mode: 'request' } },
    ['pricing.request_fee_msats: must be above 0 when pricing.mode is request'],
  ],
  [
    'a price that is no number',
    withModel({ input_usd_per_million: 'x' }),
    [priceOf('input', 'must be a finite number')],
  ],
  ['a negative price', withModel({ input_usd_per_million: -1 }), [priceOf('input', 'must be at least 0')]],
  ['a missing price', withModel({ output_usd_per_million: undefined }), [priceOf('output', 'is required')]],
  [
    'the same model twice',
    { ...MINIMAL, upstreams: [{ ...upstream, models: [model, model] }] },
    ['upstreams[0].models[1].id: stands twice in this upstream'],
  ],
  [
    'the same upstream twice',
    { ...MINIMAL, upstreams: [upstream, upstream] },
    ['upstreams[1].id: stands twice; every upstream needs its own id'],
  ],
  ['no mints', { ...MINIMAL, mints: [] }, ['mints: needs at least one entry']],
  [
    'a mint on http',
    { ...MINIMAL, mints: [{ url: 'http://mint.test' }] },
    ['mints[0].url: must be https; add allow_private: true for a mint of your own on http'],
  ],
  [
    'a mint on a private address',
    { ...MINIMAL, mints: [{ url: 'https://[::ffff:10.0.0.1]/' }, { url: 'https://192.168.0.9' }] },
    [0, 1].map(
      (i) => `mints[${i}].url: is a private address; add allow_private: true if this mint is your own`,
    ),
  ],
  [
    'a mint that is no URL',
    { ...MINIMAL, mints: [{ url: 'mint' }] },
    ['mints[0].url: is not a URL; expected https://host[/path]'],
  ],
  [
    'another scheme',
    { ...MINIMAL, mints: [{ url: 'file:///etc/passwd' }] },
    ['mints[0].url: must begin with https:// or http://'],
  ],
  [
    'a public URL with /v1',
    { ...MINIMAL, public_urls: ['https://ai.test/v1/'] },
    ['public_urls[0]: must be given without /v1; buyers add it themselves'],
  ],
  [
    'a public URL in the clear',
    { ...MINIMAL, public_urls: ['http://ai.test'] },
    ['public_urls[0]: must be https: keys and tokens would cross the network in the clear'],
  ],
  [
    'an npub that is none',
    { ...MINIMAL, contact: { npub: 'a'.repeat(64) } },
    ['contact.npub: must be a public key, npub1…'],
  ],
  [
    'an npub with a slip',
    { ...MINIMAL, contact: { npub: `npub1${'q'.repeat(58)}` } },
    ['contact.npub: has a slip of the pen: its checksum does not fit'],
  ],
  [
    'relays that are no list',
    { ...MINIMAL, relays: { a: 1 } },
    ['relays: must be the path of a JSON file or a list of relays'],
  ],
  [
    'several problems at once',
    { name: '', listen: { port: -1 }, colour: 'red' },
    [
      'name: must not be empty',
      'listen.port: must be at least 0',
      'mints: is required',
      'colour: unknown key',
    ],
  ],
])('%s', async (_name, content, lines) => {
  expect(await problems(content)).toEqual(lines);
});

function priceOf(side: string, message: string): string {
  return `upstreams[0].models[0].${side}_usd_per_million: ${message}`;
}

test.each(['.nan', '.inf', '1e309', '-.inf'])('a price of %s is not finite', async (value) => {
  const text = `relays: []
mints: [{ url: https://mint.test }]
upstreams: [{ id: a, base_url: https://a.test/v1, models: [{ id: m, input_usd_per_million: ${value}, output_usd_per_million: 1 }] }]`;
  expect(await problems(text)).toEqual([priceOf('input', 'must be a finite number')]);
});

test('relays.json: not JSON, not a list, a wrong entry, too many', async () => {
  const cwd = temporaryDirectory();
  const of = (text: string) => problems({ ...MINIMAL, relays: 'r.json' }, { cwd, files: { 'r.json': text } });
  expect(await of('[')).toEqual([`relays: ${join(cwd, 'r.json')} is not JSON`]);
  for (const text of [
    '{}',
    '[{"url":"https://no.test","roles":["dm"]}]',
    '[{"url":"wss://a.test","roles":["x"]}]',
  ]) {
    const lines = await of(text);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^relays: /);
  }
  const many = JSON.stringify(Array.from({ length: 500 }, (_, i) => `wss://r${i}.test`));
  expect((await of(many)).join()).toContain('20');
});

test('YAML that cannot be read is refused by line, without quoting it', async () => {
  const cwd = temporaryDirectory();
  const lines = await problems('name: a\nname: b\nlisten: {port: "sk-secret-value\n', { cwd });
  expect(lines[0]).toBe(`${join(cwd, 'node.yaml')}:2:1: the same key twice`);
  expect(lines.join('\n')).not.toContain('sk-secret-value');
});

test('an avalanche of aliases is refused', async () => {
  const rows = Array.from(
    { length: 9 },
    (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}, *a${i}, *a${i}]`,
  );
  const lines = await problems(['a0: &a0 [x, x]', ...rows].join('\n'));
  expect(lines.join()).toMatch(/too many or unresolved aliases$/);
});

test('a file too large for a configuration is not read', async () => {
  expect((await problems(`# ${'x'.repeat(1_048_577)}`)).join()).toMatch(/larger than 1048576 bytes$/);
});

test('a data directory open to every user is refused', async () => {
  const cwd = temporaryDirectory();
  mkdirSync(join(cwd, 'data'));
  chmodSync(join(cwd, 'data'), 0o777);
  expect(await problems(MINIMAL, { cwd })).toEqual([
    `data_dir: ${join(cwd, 'data')} can be written by every user; run: chmod 700 ${join(cwd, 'data')}`,
  ]);
  chmodSync(join(cwd, 'data'), 0o700);
  expect((await load(MINIMAL, { cwd })).data_dir).toBe(join(cwd, 'data'));
  writeFileSync(join(cwd, 'plain'), '');
  expect(await problems({ ...MINIMAL, relays: RELAYS, data_dir: 'plain' }, { cwd })).toEqual([
    `identity.nsec: ${join(cwd, 'plain', 'nsec')} cannot be read (ENOTDIR)`,
    `data_dir: ${join(cwd, 'plain')} is not a directory`,
  ]);
});
