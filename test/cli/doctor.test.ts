/** `doctor` on whole nodes, running, stopped and broken in every way that keeps them from serving. */
import { chmod, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { type Clock, systemClock } from '../../src/base/time.ts';
import { createTestRelay } from '../../src/demo/relay.ts';
import type { Check } from '../../src/doctor-check.ts';
import { examineRelays } from '../../src/doctor-relays.ts';
import { examineRate } from '../../src/doctor-upstreams.ts';
import { openLedger } from '../../src/ledger/level.ts';
import { ledgerDir, seedFile } from '../../src/node-data.ts';
import { createMnemonic } from '../../src/wallet/seed.ts';
import { freePort } from '../node-kit.ts';
import { load, temporaryDirectory, write } from '../config/fixture.ts';
import { type TestWorld, testWorld } from '../e2e/support.ts';
import { answering, run } from './run.ts';
import { fakeTerminal } from './terminal.ts';

interface Report {
  ok: boolean;
  exit_code: number;
  checks: Check[];
}

async function examined(file: string, ...more: string[]): Promise<Report & { code: number; text: string }> {
  const io = fakeTerminal({ argv: ['doctor', '--config', file, ...more], isTTY: false });
  const code = await io.done();
  if (io.out() === '') throw new Error(`ended with ${code}: ${io.err()}`);
  const report = JSON.parse(io.out()) as Report;
  expect([report.exit_code, report.ok]).toEqual([code, code === 0]);
  return { ...report, code, text: io.out() };
}

const about = ({ checks }: Report, name: Check['check']): Check[] =>
  checks.filter(({ check }) => check === name);
const failed = ({ checks }: Report): string[] =>
  checks.filter(({ state }) => state === 'fail').map(({ check }) => check);

describe('a node that was stopped', { timeout: 120_000 }, () => {
  let world: TestWorld;
  let file: string;
  beforeAll(async () => {
    world = await testWorld();
    await world.node.stop();
    file = world.config.file;
  }, 120_000);
  afterAll(() => world.close());
  let settings: object;
  beforeAll(async () => {
    settings = JSON.parse(await readFile(file, 'utf8')) as object;
  });
  /** The same node with some settings of its own. */
  const variant = (over: object): string =>
    write(
      join(world.config.base_dir, `variant-${Math.random()}.yaml`),
      JSON.stringify({ ...settings, ...over }),
    );

  test('everything is in order: exit 0, and every line says what is true', async () => {
    const report = await examined(file);
    expect([report.code, failed(report)]).toEqual([0, []]);
    expect(about(report, 'key')[0]?.says).toContain(world.node.npub);
    expect(about(report, 'ledger')[0]?.says).toMatch(/entries verified, drift 0 msat$/);
    expect(about(report, 'space')).toMatchObject([{ says: expect.stringContaining('8 MiB are kept back') }]);
    expect(about(report, 'mint')).toMatchObject([
      {
        subject: world.mint.url,
        state: 'ok',
        says: expect.stringMatching(/unit sat, keyset 0\w+, input fee \d+ ppk$/),
      },
    ]);
    expect(about(report, 'upstream')).toMatchObject([{ state: 'ok', says: 'answers and has all 2 models' }]);
    expect(about(report, 'models')).toMatchObject([{ says: '2 models are for sale' }]);
    expect(about(report, 'relay')).toMatchObject([{ subject: world.relay.url, state: 'ok' }]);
    expect(about(report, 'announcement')).toMatchObject([
      { state: 'warn', says: expect.stringContaining('only one relay') },
    ]);
    expect(about(report, 'clock')).toMatchObject([
      { state: 'ok', says: expect.stringContaining('the relay') },
    ]);
    expect(about(report, 'admin')).toMatchObject([{ state: 'ok' }]);
    expect(about(report, 'public_url')).toMatchObject([
      { state: 'ok', says: expect.stringContaining('is the listener') },
    ]);
    const secrets = [
      await readFile(seedFile(world.config), 'utf8'),
      await readFile(join(world.config.data_dir, 'nsec'), 'utf8'),
    ];
    for (const secret of secrets) expect(report.text).not.toContain(secret.trim());
  });

  test('in a process of its own it prints JSON into a pipe, lines for people on a terminal', async () => {
    const done = await run(['doctor', '--config', file], { cwd: '/' });
    expect([done.code, done.stderr]).toEqual([0, '']);
    expect(JSON.parse(done.stdout)).toMatchObject({ ok: true });
    const io = fakeTerminal({ argv: ['doctor', '--config', file] });
    expect(await io.done()).toBe(0);
    expect(io.out()).toMatch(/^ok +ledger +\S+: \d+ entries verified/m);
    expect(io.out()).toMatch(/\nThe node can start and serve\.\n$/);
  });

  test('a mint, an AI server and a relay that are away: exit 3, and the line says what to do', async () => {
    const away = `http://127.0.0.1:${await freePort()}`;
    const mint = await examined(variant({ mints: [{ url: away, allow_private: true }] }));
    expect([mint.code, failed(mint)]).toEqual([3, ['mint']]);
    expect(about(mint, 'mint')).toMatchObject([
      { subject: away, says: 'nothing listens there', next: expect.stringContaining('correct its url') },
    ]);
    const [first] = world.config.upstreams;
    const upstream = await examined(variant({ upstreams: [{ ...first, base_url: `${away}/v1` }] }));
    expect([upstream.code, failed(upstream)]).toEqual([3, ['upstream']]);
    const relays = [{ url: away.replace('http', 'ws'), roles: ['announce', 'rpc'] }];
    const relay = await examined(variant({ relays }));
    expect([relay.code, failed(relay)]).toEqual([3, ['announcement']]);
    expect(about(relay, 'clock')).toMatchObject([{ state: 'warn' }]);
  });

  test('a mint that has no keyset in the unit, and an address where there is no mint', async () => {
    const unit = await examined(
      variant({ mints: [{ url: world.mint.url, unit: 'msat', allow_private: true }] }),
    );
    expect([unit.code, failed(unit)]).toEqual([1, ['mint']]);
    const port = await answering(404, { detail: 'Not Found' });
    const none = await examined(
      variant({ mints: [{ url: `http://127.0.0.1:${port}`, allow_private: true }] }),
    );
    expect(none.code).toBe(3);
    expect(about(none, 'mint')[0]?.says).toBe('it answers with status 404');
  });

  test('an AI server that refuses the key ends with 4; one that lacks a model is only a warning', async () => {
    const [first] = world.config.upstreams;
    const port = await answering(401, { error: { message: 'no' } });
    const refused = await examined(
      variant({ upstreams: [{ ...first, base_url: `http://127.0.0.1:${port}/v1` }] }),
    );
    expect([refused.code, failed(refused)]).toEqual([4, ['upstream']]);
    const models = [{ id: 'other', input_usd_per_million: 1, output_usd_per_million: 1 }];
    const other = await examined(variant({ upstreams: [{ ...first, models }] }));
    expect(other.code).toBe(0);
    expect(about(other, 'upstream')).toMatchObject([
      { state: 'warn', says: 'answers; not in its list: other' },
    ]);
    const without = await answering(404, {});
    const none = await examined(
      variant({ upstreams: [{ ...first, base_url: `http://127.0.0.1:${without}/v1` }] }),
    );
    expect([none.code, about(none, 'upstream')[0]?.state]).toEqual([0, 'warn']);
    const nothing = await examined(variant({ upstreams: [] }));
    expect([nothing.code, failed(nothing)]).toEqual([1, ['models']]);
  });

  test('a list that is imported must have prices', async () => {
    const list = (pricing?: object) =>
      answering(200, { object: 'list', data: [{ id: 'a', ...(pricing && { pricing }) }] });
    const from = async (port: number) =>
      examined(variant({ upstreams: [{ id: 'x', base_url: `http://127.0.0.1:${port}/v1` }] }));
    expect((await from(await list({ prompt: '0.000001', completion: '0.000002' }))).code).toBe(0);
    const none = await from(await list());
    expect([none.code, failed(none)]).toEqual([1, ['upstream']]);
  });

  test('what start would refuse is told in its words, and the rest is looked at all the same', async () => {
    const [first] = world.config.upstreams;
    const report = await examined(variant({ upstreams: [{ ...first, api_key: 'env:NOT_SET' }] }));
    expect([report.code, failed(report)]).toEqual([78, ['config']]);
    expect(about(report, 'config')[0]?.says).toContain('NOT_SET');
    expect(about(report, 'mint')[0]?.state).toBe('ok');
    expect(about(report, 'upstream')).toMatchObject([
      { state: 'warn', says: expect.stringContaining('key is missing') },
    ]);
    const broken = await examined(variant({ lisen: 1 }));
    expect([broken.code, broken.checks.length]).toEqual([78, 1]);
  });

  test('an address that another program has ends with 69, a public one of another node with 1', async () => {
    const npub = `npub1${'q'.repeat(58)}`;
    const port = await answering(200, { npub, ready: true });
    const taken = await examined(variant({ listen: { port } }));
    expect([taken.code, failed(taken)]).toEqual([69, ['listener']]);
    const foreign = await examined(variant({ public_urls: [`http://127.0.0.1:${port}`] }));
    expect([foreign.code, failed(foreign)]).toEqual([1, ['public_url']]);
    const proxy = await answering(502, {});
    const ahead = await examined(variant({ public_urls: [`http://127.0.0.1:${proxy}`] }));
    expect([ahead.code, about(ahead, 'public_url')[0]?.state]).toEqual([0, 'ok']);
  });

  test('what is open to strangers is a warning', async () => {
    const report = await examined(file, '--set', 'admin.public=true', '--set', 'listen.host=0.0.0.0');
    expect(report.code).toBe(0);
    expect(about(report, 'admin')).toMatchObject([{ state: 'warn' }]);
    expect(about(report, 'listener').map(({ state }) => state)).toEqual(['ok', 'warn']);
    await chmod(world.config.data_dir, 0o755);
    expect(about(await examined(file), 'data')).toMatchObject([
      { state: 'warn', next: expect.stringContaining('chmod 700') },
    ]);
    await chmod(world.config.data_dir, 0o700);
  });

  test('a ledger that somebody else holds ends with 73, one with another seed with 78', async () => {
    const ledger = await openLedger({ dir: ledgerDir(world.config), clock: systemClock, log: silentLogger });
    const held = await examined(file);
    await ledger.close();
    expect([held.code, failed(held)]).toEqual([73, ['ledger']]);
    const words = await readFile(seedFile(world.config), 'utf8');
    await writeFile(seedFile(world.config), createMnemonic());
    const foreign = await examined(file);
    await writeFile(seedFile(world.config), 'abandon abandon');
    const unreadable = await examined(file);
    await writeFile(seedFile(world.config), words);
    expect([foreign.code, failed(foreign)]).toEqual([78, ['ledger']]);
    expect([unreadable.code, failed(unreadable)]).toEqual([78, ['key']]);
    expect(unreadable.text).not.toContain('abandon');
    await rename(ledgerDir(world.config), `${ledgerDir(world.config)}.away`);
    const lost = await examined(file);
    await rename(`${ledgerDir(world.config)}.away`, ledgerDir(world.config));
    expect([lost.code, failed(lost)]).toEqual([78, ['ledger']]);
    expect((await examined(file)).code).toBe(0);
  });
});

test(
  'the running node is no fault: its own key answers at the listener and at the public address',
  { timeout: 120_000 },
  async () => {
    const world = await testWorld();
    try {
      const report = await examined(world.config.file);
      expect([report.code, failed(report)]).toEqual([0, []]);
      expect(about(report, 'ledger')[0]?.says).toContain('the running node holds it');
      expect(about(report, 'listener')[0]?.says).toContain('runs here');
      expect(about(report, 'public_url')[0]?.says).toContain('the key of this node');
      const gone = `http://127.0.0.1:${await freePort()}`;
      const raw = JSON.parse(await readFile(world.config.file, 'utf8')) as object;
      const lost = write(
        join(world.config.base_dir, 'lost.yaml'),
        JSON.stringify({ ...raw, public_urls: [gone] }),
      );
      const hidden = await examined(lost);
      expect([hidden.code, failed(hidden)]).toEqual([3, ['public_url']]);
    } finally {
      await world.close();
    }
  },
);

test(
  'a node that was never made: init is what to do next, and nothing was made by looking',
  { timeout: 60_000 },
  async () => {
    const cwd = temporaryDirectory();
    const none = await examined(join(cwd, 'node.yaml'));
    expect([none.code, failed(none)]).toEqual([78, ['config']]);
    const settings = {
      relays: [],
      mints: [{ url: `http://127.0.0.1:${await freePort()}`, allow_private: true }],
      pricing: { btc_usd: 1 },
    };
    const file = write(join(cwd, 'node.yaml'), JSON.stringify(settings));
    const report = await examined(file);
    expect(report.code).toBe(78);
    expect(about(report, 'data')).toMatchObject([{ state: 'fail', next: 'run: routstr-node init' }]);
    await expect(stat(join(cwd, 'data'))).rejects.toMatchObject({ code: 'ENOENT' });
  },
);

test(
  'a clock that two relays contradict fails, one that only one relay contradicts is doubted',
  { timeout: 60_000 },
  async () => {
    const relays = [await createTestRelay(), await createTestRelay()];
    const fast: Clock = { ...systemClock, now: () => systemClock.now() + 600_000 };
    const look = async (count: number) => {
      const list = relays.slice(0, count).map(({ url }) => ({ url, roles: ['announce'] }));
      const config = await load({ mints: [{ url: 'https://mint.test' }], relays: list });
      const checks = await examineRelays(config, { clock: fast, log: silentLogger }, undefined);
      return checks.find(({ check }) => check === 'clock');
    };
    expect(await look(1)).toMatchObject({
      state: 'warn',
      says: expect.stringContaining('ahead of the relay'),
    });
    expect(await look(2)).toMatchObject({ state: 'fail', exit: 1 });
    await Promise.all(relays.map((relay) => relay.close()));
  },
);

test('the rate is what the exchanges say; without it nothing can be sold by prices in USD', async () => {
  const config = await load({ mints: [{ url: 'https://mint.test' }], relays: [] });
  const hasty: Clock = {
    ...systemClock,
    sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 1_000), signal),
  };
  const tools = { clock: systemClock, log: silentLogger };
  const good = `http://127.0.0.1:${await answering(200, { data: { amount: '100000' } })}`;
  const away = `http://127.0.0.1:${await freePort()}`;
  expect(await examineRate(config, tools, { kraken: away, coinbase: good, bitstamp: away })).toMatchObject({
    state: 'ok',
    says: expect.stringContaining('1000000 msat'),
  });
  const none = { kraken: away, coinbase: away, bitstamp: away };
  expect(await examineRate(config, { ...tools, clock: hasty }, none)).toMatchObject({
    state: 'fail',
    exit: 3,
  });
}, 60_000);
