import { cp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { expect, test } from 'vitest';
import { EXIT } from '../../src/base/error.ts';
import { silentLogger } from '../../src/base/log.ts';
import { backupLedger, initLedger, openLedger, restoreLedger } from '../../src/ledger/level.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { type Place, deposit, newPlace, payment, sats } from './fixture.ts';

const log = silentLogger;
const refused = { exitCode: EXIT.refused };

const moneyOf = (ledger: Ledger) => ({
  totals: ledger.totals(),
  proofs: ledger.proofs().sort((a, b) => a.proof.counter - b.proof.counter),
  unfinished: ledger.unfinished(),
});

/** A few deposits, and what they come to. */
async function used(place: Place, names = ['a', 'b', 'c']) {
  const ledger = await place.open();
  for (const name of names) {
    const { account } = await deposit(ledger, name);
    ledger.hold({ id: `req ${name}`, account, amount: sats(3) });
    ledger.settle(`req ${name}`, sats(1));
  }
  ledger.openReceive(payment(`pending ${names[0] ?? ''}`));
  const state = moneyOf(ledger);
  await ledger.close();
  return state;
}
async function stateOf(place: Place) {
  const ledger = await place.open();
  const state = moneyOf(ledger);
  await ledger.close();
  return state;
}
const mirrorFile = async ({ mirror = '' }: Place): Promise<string> =>
  join(mirror, (await readdir(mirror)).sort().at(-1)!);

test('a database that was deleted is rebuilt from the mirror: same hash, same money, drift 0', async () => {
  const place = await newPlace({ mirrored: true });
  const state = await used(place);
  await rm(join(place.dir, 'db'), { recursive: true });
  await expect(place.open()).rejects.toMatchObject(refused);
  const report = await restoreLedger({ source: place.mirror!, dir: place.dir, log });
  expect(report.totals).toEqual(state.totals);
  expect(report.totals.drift).toBe(0);
  expect(await stateOf(place)).toEqual(state);
  expect((await place.audit()).totals.drift).toBe(0);
});

test('a backup is made while the ledger is open, and restored elsewhere; neither overwrites anything', async () => {
  const place = await newPlace({ mirrored: true });
  await used(place);
  const ledger = await place.open();
  const { account } = await deposit(ledger, 'late');
  const target = join(place.dir, '..', 'backup');
  const backup = await backupLedger({ dir: place.dir, mirror: place.mirror, target, log });
  expect(backup).toMatchObject({ entries: ledger.health().sequence, totals: ledger.totals() });
  await expect(backupLedger({ dir: place.dir, mirror: place.mirror, target, log })).rejects.toMatchObject({
    exitCode: EXIT.error,
  });
  await expect(restoreLedger({ source: target, dir: place.dir, log })).rejects.toMatchObject({
    exitCode: EXIT.ledgerInUse,
  });
  await ledger.close();
  await expect(restoreLedger({ source: target, dir: place.dir, log })).rejects.toThrow(/left as it is/);
  const dir = join(place.dir, '..', 'elsewhere');
  await restoreLedger({ source: target, dir, log });
  const other = await openLedger({ dir, clock: place.clock, log });
  expect(other.account(account)).toMatchObject({ available: 15_000 });
  // Two copies are the same money: only one of them may be open.
  await expect(place.open()).rejects.toMatchObject({ exitCode: EXIT.ledgerInUse });
  await other.close();
  const nothing = { source: join(dir, 'nothing'), dir: join(dir, 'new'), log };
  await expect(restoreLedger(nothing)).rejects.toMatchObject({ exitCode: EXIT.notFound });
});

test('without a mirror a closed ledger is backed up from its database', async () => {
  const place = await newPlace();
  const state = await used(place);
  const target = join(place.dir, '..', 'backup');
  const options = { dir: place.dir, mirror: undefined, target, log };
  expect((await backupLedger(options)).totals).toEqual(state.totals);
});

test('an old backup is not restored over what was acknowledged since, and a damaged one never', async () => {
  const place = await newPlace({ mirrored: true });
  await used(place);
  const target = join(place.dir, '..', 'backup');
  await backupLedger({ dir: place.dir, mirror: place.mirror, target, log });
  await used(place, ['d']);
  await rm(join(place.dir, 'db'), { recursive: true });
  await expect(restoreLedger({ source: target, dir: place.dir, log })).rejects.toThrow(
    /had been acknowledged/,
  );

  const file = await mirrorFile(place);
  const bytes = await readFile(file);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(file, bytes);
  await expect(restoreLedger({ source: place.mirror!, dir: place.dir, log })).rejects.toMatchObject(refused);
  expect(await readdir(place.dir)).not.toContain('db');
});

test('a mirror that lacks its end, or is damaged or new, is written again from the journal', async () => {
  const place = await newPlace({ mirrored: true });
  const state = await used(place);
  const file = await mirrorFile(place);
  const whole = await readFile(file);
  for (const damage of [
    () => truncate(file, whole.length - 10),
    () => truncate(file, whole.length >> 1),
    () => truncate(file, 4),
    () => rm(place.mirror!, { recursive: true }),
  ]) {
    await damage();
    expect(await stateOf(place)).toEqual(state);
    expect((await readFile(await mirrorFile(place))).equals(whole)).toBe(true);
  }
});

test('a lost or foreign witness, and the mirror of another ledger, refuse the start', async () => {
  const [place, other] = [await newPlace({ mirrored: true }), await newPlace({ mirrored: true })];
  await used(place);
  await used(other);
  const head = await readFile(join(place.dir, 'HEAD'));
  await rm(join(place.dir, 'HEAD'));
  await expect(place.open()).rejects.toThrow(/HEAD beside the database, is missing/);
  await cp(join(other.dir, 'HEAD'), join(place.dir, 'HEAD'));
  await expect(place.open()).rejects.toThrow(/that of another ledger/);
  await writeFile(join(place.dir, 'HEAD'), Buffer.alloc(head.length));
  await expect(place.open()).rejects.toThrow(/cannot be read/);
  await writeFile(join(place.dir, 'HEAD'), head);
  const wrong = { dir: place.dir, mirror: other.mirror, clock: place.clock, log };
  await expect(openLedger(wrong)).rejects.toThrow(/mirror of another ledger/);
  await (await place.open()).close();
});

test('one slot of the witness may be torn: the other one still counts', async () => {
  const place = await newPlace();
  await used(place);
  const head = await readFile(join(place.dir, 'HEAD'));
  for (const slot of [0, 4096]) {
    const torn = Buffer.from(head);
    torn.fill(0, slot, slot + 100);
    await writeFile(join(place.dir, 'HEAD'), torn);
    await (await place.open()).close();
  }
});

test('a ledger from before the witness is adopted once, and has to show it from then on', async () => {
  const place = await newPlace();
  const dir = join(place.dir, '..', 'old');
  await initLedger({ dir, clock: place.clock, nodeId: 'n' });
  await withoutWitness(dir);
  const old: Place = { ...place, dir, open: () => openLedger({ dir, clock: place.clock, log }) };
  await used(old);
  await rm(join(dir, 'HEAD'));
  await expect(old.open()).rejects.toThrow(/is missing/);
});

/** The first record as older versions wrote it. */
async function withoutWitness(dir: string): Promise<void> {
  const { sealValue } = await import('../../src/ledger/database.ts');
  const { sha256Hex } = await import('../../src/base/id.ts');
  const db = new Level(join(dir, 'db'), { createIfMissing: false, compression: false });
  await db.open();
  const text = ((await db.get('meta!genesis')) ?? '').slice(8).replace(',"witness":true', '');
  const genesis = sha256Hex(text);
  const checkpoint = JSON.stringify({ n: 0, hash: genesis, genesis, balances: {}, holds: [] });
  await db.put('meta!genesis', sealValue('meta!genesis', text));
  await db.put('meta!checkpoint', sealValue('meta!checkpoint', checkpoint));
  await db.close();
}

test('a checkpoint that vanished from the middle of a log is missed', async () => {
  const place = await newPlace();
  for (const name of ['a', 'b', 'c']) await used(place, [name]);
  const db = new Level(join(place.dir, 'db'), { createIfMissing: false, compression: false });
  await db.open();
  await db.del('meta!point!000000000002');
  await db.close();
  await expect(place.open()).rejects.toThrow(/checkpoint number 2 is missing/);
});
