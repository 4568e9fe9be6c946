/** `keys list | show | create | revoke` on a whole node's ledger, stopped and running. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock } from '../../src/base/time.ts';
import { auditNode } from '../../src/node-audit.ts';
import { Secret } from '../../src/base/secret.ts';
import { type MadeChildKeys, type MadeKey, createChildren } from '../../src/node-keys-change.ts';
import type { KeyFacts, KeyList } from '../../src/node-keys.ts';
import { type TestWorld, bearer, chat, testWorld } from '../e2e/support.ts';
import { run } from './run.ts';
import { fakeTerminal } from './terminal.ts';

const SLOW = { timeout: 120_000 };

async function keysWorld(settings: Record<string, unknown> = {}): Promise<TestWorld> {
  const world = await testWorld({ settings });
  onTestFinished(() => world.close(), 60_000);
  return world;
}

interface Said {
  code: number;
  out: string;
  err: string;
}
async function keys(
  { config }: TestWorld,
  args: readonly string[],
  options: { env?: Record<string, string>; types?: string; isTTY?: boolean } = {},
): Promise<Said> {
  const argv = ['keys', ...args, '--config', config.file];
  const io = fakeTerminal({ argv, cwd: config.base_dir, isTTY: false, ...options });
  return { code: await io.done(), out: io.out(), err: io.err() };
}
async function read<T>(...asked: Parameters<typeof keys>): Promise<T> {
  const { code, out, err } = await keys(...asked);
  if (code !== 0) throw new Error(`ended with ${code}: ${err}`);
  return JSON.parse(out) as T;
}
const errorIn = ({ err }: Said): string => (JSON.parse(err) as { error: { message: string } }).error.message;

const sound = async ({ config }: TestWorld) => {
  const { drift_msat } = await auditNode(config, { offline: true, log: silentLogger });
  expect(drift_msat).toBe(0);
};

test('every key is listed with what it holds, and no key or whole account is ever shown', SLOW, async () => {
  const world = await keysWorld();
  const rich = await world.key(500);
  const poor = await world.key(20);
  expect((await world.post('/v1/chat/completions', chat('hello'), bearer(rich))).status).toBe(200);
  const made = await world.post(
    '/v1/balance/child-key',
    { count: 2, balance_limit: 7_000, balance_limit_reset: 'daily', models: ['demo/echo'] },
    bearer(rich),
  );
  expect(made.status).toBe(200);
  const held = await keys(world, ['list']);
  expect([held.code, errorIn(held)]).toEqual([73, expect.stringMatching(/use|running|holds/)]);
  const left = await world.balance(rich);
  await world.node.stop();

  const list = await read<KeyList>(world, ['list']);
  expect(list).toMatchObject({ total: 4, balance_msat: left + 20_000 });
  expect(list.keys.map(({ kind }) => kind)).toEqual(['key', 'child', 'child', 'key']);
  expect(list.keys[0]).toMatchObject({
    balance_msat: left,
    spent_msat: 500_000 - left,
    requests: 1,
    child_keys: 2,
    mint: world.mint.url,
    unit: 'sat',
    expired: false,
  });
  expect(list.keys[1]).toMatchObject({
    id: (made.json as { child_keys: { id: string }[] }).child_keys[0]?.id,
    parent: list.keys[0]?.id,
    limit_msat: 7_000,
    limit_left_msat: 7_000,
    limit_reset: 'daily',
    models: ['demo/echo'],
  });
  expect((await read<KeyList>(world, ['list', '--limit', '1'])).keys).toHaveLength(1);
  const person = await keys(world, ['list'], { isTTY: true });
  expect(person.out).toMatch(/^ID +KIND +BALANCE/);
  expect(person.out).toContain(`4 keys, ${left + 20_000} msat owed to them`);

  const id = list.keys[0]?.id ?? '';
  const byId = await read<KeyFacts>(world, ['show', id]);
  expect(byId).toEqual(list.keys[0]);
  expect(await read<KeyFacts>(world, ['show', 'env:KEY'], { env: { KEY: rich } })).toEqual(byId);
  expect((await keys(world, ['show', 'ffffffffff'])).code).toBe(5);
  expect((await keys(world, ['show', 'nonsense'])).code).toBe(2);
  const open = await keys(world, ['show', poor]);
  expect([open.code, open.err.includes(poor)]).toEqual([2, false]);
  const child = await keys(world, ['show', list.keys[1]?.id ?? ''], { isTTY: true });
  expect(child.out).toMatch(/^parent +[0-9a-f]{16}$/m);
  for (const secret of [rich, poor])
    expect(JSON.stringify(list) + person.out + child.out).not.toContain(secret);
  expect(JSON.stringify(list)).not.toMatch(/[0-9a-f]{64}/);
  await sound(world);
});

test(
  'a token becomes a key with terms; the same command shows the same key and moves nothing',
  SLOW,
  async () => {
    const world = await keysWorld();
    await world.node.stop();
    const token = await world.mint.issue(100);
    const file = join(world.config.base_dir, 'token');
    await writeFile(file, `${token}\n`);
    const args = [
      'create',
      '--token',
      '@token',
      '--limit',
      '30',
      '--reset',
      'weekly',
      '--expires',
      '2999-01-01',
    ];
    const planned = await read<MadeKey>(world, [...args, '--dry-run']);
    expect(planned).toEqual({ dry_run: true, balance_msat: 100_000 });
    expect((await read<KeyList>(world, ['list'])).total).toBe(0);

    const made = await read<MadeKey>(world, args);
    expect(made).toMatchObject({ dry_run: false, balance_msat: 100_000, replayed: false });
    expect(made.api_key).toMatch(/^sk-[0-9a-f]{64}$/);
    const again = await read<MadeKey>(world, ['create', '--token', '-'], { types: token });
    expect(again).toEqual({ ...made, replayed: true });
    expect(await read<KeyFacts>(world, ['show', made.id ?? ''])).toMatchObject({
      balance_msat: 100_000,
      limit_msat: 30_000,
      limit_reset: 'weekly',
      expires_at: Date.UTC(2999, 0, 1) / 1000,
    });
    await sound(world);

    const node = world.reopen();
    await node.start();
    const paid = await fetch(`${node.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(made.api_key ?? '') },
      body: JSON.stringify(chat('hello')),
    });
    expect(paid.status).toBe(200);
  },
);

test('child keys are made of a key that one holds, and again where nobody saw them', SLOW, async () => {
  const world = await keysWorld({ pricing: { btc_usd: 100_000, child_key_cost_msats: 1_000 } });
  const parent = await world.key(100);
  await world.node.stop();
  const env = { PARENT: parent };
  const args = ['create', '--parent', 'env:PARENT', '--count', '2', '--limit', '5', '--model', 'demo/echo'];
  expect(await read<MadeChildKeys>(world, [...args, '--dry-run'], { env })).toMatchObject({
    dry_run: true,
    cost_msat: 2_000,
    parent_balance_msat: 100_000,
    keys: [],
  });

  const order = {
    parent: new Secret(parent),
    count: 2,
    terms: { balanceLimit: 5_000 as never, models: ['demo/echo'] },
    dryRun: false,
  };
  const seen: MadeChildKeys[] = [];
  const died = createChildren(
    world.config,
    { log: silentLogger, clock: systemClock },
    {
      ...order,
      told: (made) => {
        seen.push(made);
        throw new Error('died');
      },
    },
  );
  await expect(died).rejects.toThrow('died');
  const made = await read<MadeChildKeys>(world, args, { env });
  expect(made).toEqual({ ...seen[0], replayed: true });
  expect(made).toMatchObject({ cost_msat: 2_000, parent_balance_msat: 98_000 });
  // Once they were seen, the same command makes others.
  const more = await read<MadeChildKeys>(world, args, { env });
  expect(more).toMatchObject({ replayed: false, parent_balance_msat: 96_000 });
  expect(more.keys[0]?.api_key).not.toBe(made.keys[0]?.api_key);
  expect((await read<KeyList>(world, ['list'])).total).toBe(5);

  expect(
    (await keys(world, ['create', '--parent', 'env:OTHER'], { env: { OTHER: `sk-${'0'.repeat(64)}` } })).code,
  ).toBe(4);
  const CHILD = made.keys[0]?.api_key ?? '';
  expect((await keys(world, ['create', '--parent', 'env:CHILD'], { env: { CHILD } })).code).toBe(1);
  await sound(world);
});

test(
  'a revoked child key is gone, a revoked key pays for nothing more and can be refunded',
  SLOW,
  async () => {
    const world = await keysWorld();
    const parent = await world.key(100);
    const { json } = await world.post('/v1/balance/child-key', { count: 2 }, bearer(parent));
    const [first, second] = (json as { child_keys: { id: string; api_key: string }[] }).child_keys;
    await world.node.stop();

    const planned = await read<object>(world, ['revoke', first?.id ?? '', '--dry-run']);
    expect(planned).toMatchObject({ dry_run: true, kind: 'child', already: false });
    expect((await read<KeyList>(world, ['list'])).total).toBe(3);
    await read(world, ['revoke', first?.id ?? '']);
    expect((await read<KeyList>(world, ['list'])).total).toBe(2);

    let node = world.reopen();
    await node.start();
    const ask = async (key: string): Promise<number> =>
      (
        await fetch(`${node.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...bearer(key) },
          body: JSON.stringify(chat('hello')),
        })
      ).status;
    expect([await ask(first?.api_key ?? ''), await ask(second?.api_key ?? '')]).toEqual([401, 200]);
    await node.stop();

    const revoked = await run(['keys', 'revoke', 'env:KEY', '--config', world.config.file], {
      cwd: '/',
      env: { KEY: parent },
    });
    expect([revoked.code, JSON.parse(revoked.stdout)]).toEqual([
      0,
      expect.objectContaining({ kind: 'key', already: false, child_keys: 1 }),
    ]);
    const left = (await read<KeyFacts>(world, ['show', 'env:KEY'], { env: { KEY: parent } })).balance_msat;
    expect(await read(world, ['revoke', 'env:KEY'], { env: { KEY: parent } })).toMatchObject({
      already: true,
    });
    node = world.reopen();
    await node.start();
    expect([await ask(parent), await ask(second?.api_key ?? '')]).toEqual([403, 403]);
    const refund = await fetch(`${node.url}/v1/balance/refund`, { method: 'POST', headers: bearer(parent) });
    expect(refund.status).toBe(200);
    expect((await refund.json()) as object).toMatchObject({ sats: String(Math.floor(left / 1000)) });
    expect(node.totals().drift).toBe(0);
  },
);

test.each([
  [['create'], 'either --token'],
  [['create', '--token', '-', '--parent', 'env:X'], 'either --token'],
  [['create', '--token', '-', '--model', 'a'], 'for child keys'],
  [['create', '--token', '-', '--reset', 'daily'], '--limit'],
  [['create', '--token', '-', '--refund-address', 'nobody'], 'Lightning address'],
  [['create', '--token', '-', '--expires', '2001-01-01'], 'a date to come'],
  [['create', '--token', '-', '--reset', 'yearly', '--limit', '1'], 'daily'],
  [['create', '--parent', 'sk-in-the-open'], 'env:NAME or file:PATH'],
  [['create', '--parent', 'env:X', '--refund-address', 'a@b.test'], 'no money of its own'],
  [['create', '--parent', 'env:X', '--count', '51'], '1 to 50'],
  [['revoke'], 'missing required argument'],
])('usage error: keys %j', async (args, message) => {
  const io = fakeTerminal({ argv: ['keys', ...args], isTTY: false, types: '' });
  expect(await io.done()).toBe(2);
  expect(io.err()).toContain(message);
  expect(io.err()).not.toContain('sk-in-the-open');
});
