/** Damage to LevelDB's files, before a start and under an open ledger: noticed, or provably without effect. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFile,
  cp,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EXIT, ExitError, NodeError } from '../../src/base/error.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/level.ts';
import { type Place, deposit, newPlace, payment, sats } from './fixture.ts';

const NAMES = Array.from({ length: 60 }, (_, i) => `n${i}`);

async function work(ledger: Ledger, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { account } = payment(name);
    if (ledger.account(account) === undefined) await deposit(ledger, name);
    const held = ledger.hold({ id: `${name} ${ledger.health().sequence}`, account, amount: sats(2) });
    if (held.outcome !== 'held') throw new Error(held.outcome);
    const settled = ledger.settle(`${name} ${ledger.health().sequence - 1}`, sats(1));
    if (settled.outcome === 'settled') await settled.durable;
  }
}

/** Everything that money is. */
const moneyOf = (ledger: Ledger) => ({
  accounts: NAMES.map((name) => ledger.account(payment(name).account)),
  operations: NAMES.map((name) => ledger.operation(payment(name).id)),
  proofs: ledger
    .proofs()
    .map((row) => JSON.stringify(row))
    .sort(),
  totals: ledger.totals(),
});

/** First half in sorted tables, the rest in the log: as after a start, some work, and power that went away. */
async function usedPlace(mirrored: boolean): Promise<{ place: Place; ledger: Ledger }> {
  const place = await newPlace({ mirrored });
  for (const part of [NAMES.slice(0, 20), NAMES.slice(10, 40)]) {
    const ledger = await place.open();
    await work(ledger, part);
    await ledger.close();
  }
  const ledger = await place.open();
  onTestFinished(() => ledger.close().catch(() => undefined));
  await work(ledger, NAMES.slice(30));
  return { place, ledger };
}

async function filesOf(place: Place, pattern: RegExp): Promise<string[]> {
  const names = (await readdir(join(place.dir, 'db'))).filter((name) => pattern.test(name)).sort();
  return names.map((name) => join(place.dir, 'db', name));
}
async function change(path: string, edit: (bytes: Buffer) => void): Promise<void> {
  const bytes = await readFile(path);
  edit(bytes);
  await writeFile(path, bytes);
}
const flip = (at: (bytes: Buffer) => number) => (bytes: Buffer) => {
  const i = at(bytes);
  expect(i).toBeGreaterThanOrEqual(0);
  expect(i).toBeLessThan(bytes.length);
  bytes[i] = (bytes[i] ?? 0) ^ 1;
};

function unlessGone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

type Damage = (place: Place) => Promise<void>;
const toLog =
  (act: (path: string, size: number) => Promise<void>): Damage =>
  async (place) => {
    const path = (await filesOf(place, /\.log$/)).at(-1)!;
    await act(path, (await stat(path)).size);
  };
const toTables =
  (act: (path: string) => Promise<void>): Damage =>
  async (place) => {
    const tables = await filesOf(place, /\.ldb$/);
    expect(tables.length).toBeGreaterThan(0);
    // A compaction in the background may be writing one of them, and remove others that were just listed.
    for (const path of tables) await act(path).catch(unlessGone);
  };
const toManifest =
  (act: (path: string) => Promise<void>): Damage =>
  async (place) =>
    act((await filesOf(place, /^MANIFEST/))[0]!);
const inDatabase =
  (act: (db: string) => Promise<void>): Damage =>
  (place) =>
    act(join(place.dir, 'db'));

const CASES: Record<string, Damage> = {
  'log without its last 10 bytes': toLog((path, size) => truncate(path, size - 10)),
  'half a log': toLog((path, size) => truncate(path, Math.floor(size / 2))),
  'empty log': toLog((path) => truncate(path, 0)),
  'no log': toLog((path) => rm(path)),
  'bit flipped at 12 % of the log': toLog((path) =>
    change(
      path,
      flip((b) => Math.floor(b.length * 0.12)),
    ),
  ),
  '64 zeros in the middle of the log': toLog((path) =>
    change(path, (b) => b.fill(0, b.length >> 1, (b.length >> 1) + 64)),
  ),
  '100 bytes of garbage behind the log': toLog((path) =>
    writeFile(path, Buffer.alloc(100, 0xa5), { flag: 'a' }),
  ),
  'bit flipped at byte 40,000 of a log of several blocks': toLog((path) =>
    change(
      path,
      flip(() => 40_000),
    ),
  ),
  'bit flipped in a value of a table': toTables((path) =>
    change(path, (bytes) => {
      const value = bytes.indexOf('"available"');
      if (value >= 0) flip(() => value + 12)(bytes);
    }),
  ),
  'bit flipped in the structure of a table block': toTables((path) =>
    change(
      path,
      flip(() => 0),
    ),
  ),
  'bit flipped at the end of a table': toTables((path) =>
    change(
      path,
      flip((b) => b.length - 30),
    ),
  ),
  'half a table': toTables(async (path) => truncate(path, (await stat(path)).size >> 1)),
  'no table': toTables((path) => rm(path)),
  'half a manifest': toManifest(async (path) => truncate(path, (await stat(path)).size >> 1)),
  'bit flipped in the manifest': toManifest((path) =>
    change(
      path,
      flip((b) => b.length >> 1),
    ),
  ),
  'no manifest': toManifest((path) => rm(path)),
  'empty CURRENT': inDatabase((db) => truncate(join(db, 'CURRENT'), 0)),
  'no CURRENT': inDatabase((db) => rm(join(db, 'CURRENT'))),
  'CURRENT that names another manifest': inDatabase((db) =>
    writeFile(join(db, 'CURRENT'), 'MANIFEST-999999\n'),
  ),
  'no LOCK': inDatabase((db) => rm(join(db, 'LOCK'))),
  'no directory': inDatabase((db) => rename(db, `${db}.away`)),
};

/** What is served is what was acknowledged; a refusal, now or at any read, serves nothing. */
async function openedOrRefused(place: Place, acknowledged: object): Promise<'refused' | 'harmless'> {
  let ledger: Ledger | undefined;
  try {
    ledger = await place.open();
    expect(moneyOf(ledger)).toEqual(acknowledged);
    return 'harmless';
  } catch (error) {
    if (error instanceof ExitError) expect(error.exitCode).toBe(EXIT.refused);
    else if (!(error instanceof NodeError)) throw error;
    return 'refused';
  } finally {
    await ledger?.close();
  }
}

/** As the files are at this moment, in a place of its own. */
async function crashed(place: Place): Promise<Place> {
  const root = join(place.dir, '..', 'crashed');
  await mkdir(root);
  const dir = join(root, 'ledger');
  // Copied again when a compaction removed a file meanwhile.
  for (let whole = false; !whole;) {
    await rm(dir, { recursive: true, force: true });
    whole = await cp(place.dir, dir, { recursive: true })
      .then(() => true, unlessGone)
      .then((done) => done === true);
  }
  if (place.mirror !== undefined) await cp(place.mirror, join(root, 'mirror'), { recursive: true });
  const mirror = place.mirror && join(root, 'mirror');
  return {
    ...place,
    dir,
    mirror,
    open: () => openLedger({ dir, mirror, clock: place.clock, log: silentLogger }),
  };
}

test('there are 21 kinds of damage', () => {
  expect(Object.keys(CASES)).toHaveLength(21);
});

describe.each([
  ['with a mirror', true],
  ['without a mirror', false],
])('%s', (_title, mirrored) => {
  test.each(Object.entries(CASES))('before the start: %s', async (_name, damage) => {
    const { place, ledger } = await usedPlace(mirrored);
    const acknowledged = moneyOf(ledger);
    const copy = await crashed(place);
    await ledger.close();
    await damage(copy);
    await openedOrRefused(copy, acknowledged);
  });

  // A table that is cut short under its reader ends the process (SIGBUS): tried in a process of its own below.
  const open = Object.entries(CASES).filter(([name]) => name !== 'half a table');
  test.each(open)('under an open ledger: %s', async (_name, damage) => {
    const { place, ledger } = await usedPlace(mirrored);
    await damage(place);
    const acknowledged = { spent: 0 };
    try {
      await work(ledger, NAMES.slice(0, 50));
      acknowledged.spent = 1;
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
    }
    let money: object | undefined;
    try {
      money = moneyOf(ledger);
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
    }
    await ledger.close();
    // Where memory is refused already, only a refusal or sound books are left to see.
    if (money !== undefined) return void (await openedOrRefused(place, money));
    const again = await place
      .open()
      .catch((error: ExitError) => void expect(error.exitCode).toBe(EXIT.refused));
    if (again !== undefined) expect(again.totals().drift).toBe(0);
    await again?.close();
  });
});

test('the damage that LevelDB passes over in silence is refused, or taken back from the mirror', async () => {
  const silent = ['half a log', 'empty log', 'no log', 'bit flipped at 12 % of the log'];
  for (const name of silent) {
    const { place, ledger } = await usedPlace(false);
    const acknowledged = moneyOf(ledger);
    const copy = await crashed(place);
    await ledger.close();
    await CASES[name]!(copy);
    expect(await openedOrRefused(copy, acknowledged), name).toBe('refused');
  }
  const { place, ledger } = await usedPlace(true);
  const acknowledged = moneyOf(ledger);
  const copy = await crashed(place);
  await ledger.close();
  await CASES['log without its last 10 bytes']!(copy);
  expect(await openedOrRefused(copy, acknowledged)).toBe('harmless');
});

test('a table that is cut short under a running process is never served wrong', async () => {
  const { place, ledger } = await usedPlace(false);
  await ledger.close();
  const script = join(import.meta.dirname, 'busy-process.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.stdin.write(`${place.dir}\n`);
  await once(child.stdout, 'data');
  // The next read of the table ends the process with SIGBUS; a compaction may have replaced it a moment before.
  await CASES['half a table']!(place);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  const again = await place
    .open()
    .catch((error: ExitError) => void expect(error.exitCode).toBe(EXIT.refused));
  if (again === undefined) return;
  for (const name of NAMES) expect(again.account(payment(name).account)).toMatchObject({ held: 0 });
  expect(again.totals().drift).toBe(0);
  await again.close();
});

test('files of a copy that is put back over the ledger are an older state, and refused', async () => {
  const { place, ledger } = await usedPlace(false);
  const copy = await crashed(place);
  await work(ledger, NAMES.slice(0, 5));
  await ledger.close();
  await rm(join(place.dir, 'db'), { recursive: true });
  await cp(join(copy.dir, 'db'), join(place.dir, 'db'), { recursive: true });
  await expect(place.open()).rejects.toThrow(/had been acknowledged/);
  await copyFile(join(copy.dir, 'HEAD'), join(place.dir, 'HEAD'));
  await (await place.open()).close();
});
