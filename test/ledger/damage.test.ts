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
import { auditLedger, openLedger } from '../../src/ledger/level.ts';
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

/** What has to come of it: a refusal that says why, or nothing at all, for a reason that can be given. */
type Ending = { refused: RegExp } | { harmless: string };
interface Case {
  damage: Damage;
  before: Ending;
  /** Where a mirror makes another ending of it. */
  mirrored?: Ending;
  /** Found at the start after the work that went on over it. */
  open: Ending;
}
const refused = (reason: RegExp): Ending => ({ refused: reason });
const harmless = (reason: string): Ending => ({ harmless: reason });

const SHORT = refused(
  /it ends at entry \d+, (but entry \d+ had been acknowledged|and its mirror at entry \d+)/,
);
const GAP = refused(/journal entries (from \d+ to \d+|before \d+) are missing/);
const UNREADABLE = refused(/its database cannot be read/);
const NONE = refused(/There is no ledger here/);
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

const CASES: Record<string, Case> = {
  'log without its last 10 bytes': {
    damage: toLog((path, size) => truncate(path, size - 10)),
    before: SHORT,
    mirrored: harmless('the mirror has the group that was cut off, and gives it back'),
    open: GAP,
  },
  'half a log': {
    damage: toLog((path, size) => truncate(path, Math.floor(size / 2))),
    before: SHORT,
    open: GAP,
  },
  'empty log': {
    damage: toLog((path) => truncate(path, 0)),
    before: SHORT,
    open: GAP,
  },
  'no log': {
    damage: toLog((path) => rm(path)),
    before: SHORT,
    open: SHORT,
  },
  'bit flipped at 12 % of the log': {
    damage: toLog((path) =>
      change(
        path,
        flip((b) => Math.floor(b.length * 0.12)),
      ),
    ),
    before: GAP,
    open: GAP,
  },
  '64 zeros in the middle of the log': {
    damage: toLog((path) => change(path, (b) => b.fill(0, b.length >> 1, (b.length >> 1) + 64))),
    before: GAP,
    open: GAP,
  },
  '100 bytes of garbage behind the log': {
    damage: toLog((path) => writeFile(path, Buffer.alloc(100, 0xa5), { flag: 'a' })),
    before: harmless(
      'LevelDB stops at the first record that is none, and all that was written stands before it',
    ),
    open: harmless('as before the start; the open log goes on behind it'),
  },
  'bit flipped at byte 40,000 of a log of several blocks': {
    damage: toLog((path) =>
      change(
        path,
        flip(() => 40_000),
      ),
    ),
    before: GAP,
    open: GAP,
  },
  'bit flipped in a value of a table': {
    damage: toTables((path) =>
      change(path, (bytes) => {
        const value = bytes.indexOf('"available"');
        if (value >= 0) flip(() => value + 12)(bytes);
      }),
    ),
    before: refused(/the value of a!\w+ fails its checksum/),
    open: harmless('rows that were read live in memory, and the checkpoint writes them anew'),
  },
  'bit flipped in the structure of a table block': {
    damage: toTables((path) =>
      change(
        path,
        flip(() => 0),
      ),
    ),
    before: UNREADABLE,
    open: UNREADABLE,
  },
  'bit flipped at the end of a table': {
    damage: toTables((path) =>
      change(
        path,
        flip((b) => b.length - 30),
      ),
    ),
    before: harmless('the padding of the footer says nothing'),
    open: harmless('the padding of the footer says nothing'),
  },
  'half a table': {
    damage: toTables(async (path) => truncate(path, (await stat(path)).size >> 1)),
    before: UNREADABLE,
    open: UNREADABLE,
  },
  'no table': {
    damage: toTables((path) => rm(path)),
    before: UNREADABLE,
    open: UNREADABLE,
  },
  'half a manifest': {
    damage: toManifest(async (path) => truncate(path, (await stat(path)).size >> 1)),
    before: UNREADABLE,
    open: UNREADABLE,
  },
  'bit flipped in the manifest': {
    damage: toManifest((path) =>
      change(
        path,
        flip((b) => b.length >> 1),
      ),
    ),
    before: UNREADABLE,
    open: UNREADABLE,
  },
  'no manifest': {
    damage: toManifest((path) => rm(path)),
    before: UNREADABLE,
    open: UNREADABLE,
  },
  'empty CURRENT': {
    damage: inDatabase((db) => truncate(join(db, 'CURRENT'), 0)),
    before: UNREADABLE,
    open: UNREADABLE,
  },
  'no CURRENT': {
    damage: inDatabase((db) => rm(join(db, 'CURRENT'))),
    before: UNREADABLE,
    open: UNREADABLE,
  },
  'CURRENT that names another manifest': {
    damage: inDatabase((db) => writeFile(join(db, 'CURRENT'), 'MANIFEST-999999\n')),
    before: UNREADABLE,
    open: UNREADABLE,
  },
  'no LOCK': {
    damage: inDatabase((db) => rm(join(db, 'LOCK'))),
    before: harmless('the lock that counts is another one'),
    open: harmless('the lock that counts is another one'),
  },
  'no directory': {
    damage: inDatabase((db) => rename(db, `${db}.away`)),
    before: NONE,
    open: NONE,
  },
};

/** Opens the ledger and compares it with what was acknowledged; reading may refuse as well as opening. */
async function expectEnding(place: Place, acknowledged: object, ending: Ending): Promise<void> {
  const serve = async (): Promise<void> => {
    const ledger = await place.open();
    try {
      expect(moneyOf(ledger)).toEqual(acknowledged);
    } finally {
      await ledger.close();
    }
  };
  if ('harmless' in ending) {
    await serve();
    expect((await place.audit()).totals.drift, ending.harmless).toBe(0);
    return;
  }
  const error: unknown = await serve().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ExitError);
  expect(error).toMatchObject({ exitCode: EXIT.refused, message: expect.stringMatching(ending.refused) });
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
    audit: () => auditLedger({ dir, mirror, log: silentLogger }),
  };
}

test('there are 21 kinds of damage', () => {
  expect(Object.keys(CASES)).toHaveLength(21);
});

describe.each([
  ['with a mirror', true],
  ['without a mirror', false],
])('%s', (_title, mirrored) => {
  test.each(Object.entries(CASES))('before the start: %s', async (_name, kind) => {
    const { place, ledger } = await usedPlace(mirrored);
    const acknowledged = moneyOf(ledger);
    const copy = await crashed(place);
    await ledger.close();
    await kind.damage(copy);
    await expectEnding(copy, acknowledged, (mirrored ? kind.mirrored : undefined) ?? kind.before);
  });

  // A table that is cut short under its reader ends the process (SIGBUS): tried in a process of its own below.
  const open = Object.entries(CASES).filter(([name]) => name !== 'half a table');
  test.each(open)('under an open ledger: %s', async (_name, kind) => {
    const { place, ledger } = await usedPlace(mirrored);
    await kind.damage(place);
    let served: object = {};
    try {
      await work(ledger, NAMES.slice(0, 50));
      served = moneyOf(ledger);
    } catch (error) {
      // Noticed in life: nothing was served then, and there is nothing to compare with.
      expect(error).toBeInstanceOf(NodeError);
      expect(error).toMatchObject({ code: 'storage_unavailable' });
      expect(ledger.health().poisoned).toBe(true);
    }
    await ledger.close();
    await expectEnding(place, served, kind.open);
  });
});

test('a table that is cut short under a running process is never served wrong', async () => {
  const { place, ledger } = await usedPlace(false);
  await ledger.close();
  const script = join(import.meta.dirname, 'busy-process.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  child.stdin.write(`${place.dir}\n`);
  await once(child.stdout, 'data');
  // The next read of the table ends the process with SIGBUS; a compaction may have replaced it a moment before.
  await CASES['half a table']!.damage(place);
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
