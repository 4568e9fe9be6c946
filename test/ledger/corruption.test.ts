import { join } from 'node:path';
import { Level } from 'level';
import { expect, test } from 'vitest';
import { EXIT } from '../../src/base/error.ts';
import { sha256Hex } from '../../src/base/id.ts';
import { sealValue } from '../../src/ledger/database.ts';
import { type Place, deposit, newPlace, payment, sats } from './fixture.ts';

/** Changes the database behind the ledger's back. */
async function tamper(place: Place, change: (db: Level) => Promise<void>): Promise<void> {
  const db = new Level(join(place.dir, 'db'), { createIfMissing: false, compression: false });
  await db.open();
  await change(db);
  await db.close();
}

/** A place with a few journal groups; all of them before the checkpoint of its close. */
async function usedPlace(): Promise<Place> {
  const place = await newPlace();
  const ledger = await place.open();
  for (const name of ['a', 'b', 'c']) {
    const { account } = await deposit(ledger, name);
    ledger.hold({ id: `req ${name}`, account, amount: sats(3) });
    ledger.settle(`req ${name}`, sats(1));
  }
  await ledger.close();
  return place;
}

/** As if the process had died before any checkpoint: rows and checkpoint are those of init. */
async function forgetCheckpoint(place: Place, emptyCheckpoint: string): Promise<void> {
  await tamper(place, async (db) => {
    for await (const key of db.keys()) if (!/^(j!|meta!)/.test(key)) await db.del(key);
    await db.put('meta!checkpoint', emptyCheckpoint);
  });
}

async function journalKeys(db: Level): Promise<string[]> {
  return db.keys({ gte: 'j!', lt: 'j"' }).all();
}

async function flip(db: Level, key: string, at: number): Promise<void> {
  const bytes = Buffer.from((await db.get(key)) ?? '');
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await db.put(key, bytes.toString());
}

async function emptyCheckpointOf(place: Place): Promise<string> {
  let value = '';
  await tamper(place, async (db) => void (value = (await db.get('meta!checkpoint')) ?? ''));
  return value;
}

const refused = { exitCode: EXIT.refused };

test('the place of these tests is sound to begin with, replayed from the start or not', async () => {
  const place = await usedPlace();
  expect((await place.audit()).totals.drift).toBe(0);
  await (await place.open()).close();
});

test('a flipped bit anywhere in a journal value refuses the audit, and the start that needs this value', async () => {
  for (const where of [0.01, 0.3, 0.6, 0.99]) {
    const place = await newPlace();
    const empty = await emptyCheckpointOf(place);
    const ledger = await place.open();
    await deposit(ledger, 'a');
    await deposit(ledger, 'b');
    await ledger.close();
    await tamper(place, async (db) => {
      const key = (await journalKeys(db))[1]!;
      await flip(db, key, Math.floor(((await db.get(key)) ?? '').length * where));
    });
    await expect(place.audit()).rejects.toMatchObject(refused);
    await forgetCheckpoint(place, empty);
    await expect(place.open()).rejects.toMatchObject(refused);
  }
});

test('a removed journal value is a gap; a removed last one contradicts the checkpoint', async () => {
  const place = await newPlace();
  const empty = await emptyCheckpointOf(place);
  const ledger = await place.open();
  for (const name of ['a', 'b', 'c', 'd']) await deposit(ledger, name);
  await ledger.close();
  await tamper(place, async (db) => db.del((await journalKeys(db)).at(-1)!));
  await expect(place.open()).rejects.toThrow(/checkpoint at entry 8 does not belong/);
  await tamper(place, async (db) => db.del((await journalKeys(db))[1]!));
  await expect(place.audit()).rejects.toMatchObject(refused);
  await forgetCheckpoint(place, empty);
  await expect(place.open()).rejects.toThrow(/entries from 3 to 4 are missing/);
});

test('a journal value forged with a right checksum still breaks the chain', async () => {
  const place = await newPlace();
  const empty = await emptyCheckpointOf(place);
  const ledger = await place.open();
  for (const name of ['a', 'b', 'c']) await deposit(ledger, name);
  await ledger.close();
  await tamper(place, async (db) => {
    const key = (await journalKeys(db))[1]!;
    const text = ((await db.get(key)) ?? '').slice(8);
    const body = text.slice(text.indexOf('\n') + 1).replaceAll('15000', '16000');
    const header = JSON.parse(text.slice(0, text.indexOf('\n'))) as Record<string, unknown>;
    const { first, last, prev } = header as { first: number; last: number; prev: string };
    const hash = sha256Hex(`1 ${first} ${last} ${prev}\n${body}`);
    await db.put(key, sealValue(key, `${JSON.stringify({ ...header, hash })}\n${body}`));
  });
  await expect(place.audit()).rejects.toThrow(/does not follow the one before it/);
  await forgetCheckpoint(place, empty);
  await expect(place.open()).rejects.toThrow(/does not follow the one before it/);
});

test('a flipped bit in a row is never served: the verb fails, and everything after it', async () => {
  const place = await usedPlace();
  const { account } = payment('b');
  await tamper(place, (db) => flip(db, `a!${account}`, 30));
  const ledger = await place.open();
  expect(ledger.account(payment('a').account)).toMatchObject({ available: 14_000 });
  expect(() => ledger.account(account)).toThrow(/cannot write/);
  expect(() => ledger.account(payment('a').account)).toThrow(/cannot write/);
  expect(ledger.health()).toMatchObject({ poisoned: true });
  await ledger.close();
  await expect(place.audit()).rejects.toMatchObject(refused);
});

test.each(['p!', 'u!', 'meta!genesis', 'meta!checkpoint'])(
  'a flipped bit in %s refuses the start',
  async (prefix) => {
    const place = await newPlace();
    const ledger = await place.open();
    await deposit(ledger, 'a');
    ledger.openReceive(payment('pending'));
    await ledger.close();
    await tamper(place, async (db) => {
      const [key] = await db.keys({ gte: prefix, limit: 1 }).all();
      await flip(db, key!, 12);
    });
    await expect(place.open()).rejects.toMatchObject(refused);
  },
);

test('rows that are sound in themselves but not what the journal says fail the audit', async () => {
  const { account } = payment('a');
  const changes: ((db: Level) => Promise<void>)[] = [
    async (db) => {
      const key = `a!${account}`;
      const text = ((await db.get(key)) ?? '').slice(8).replace('"available":14000', '"available":15000');
      await db.put(key, sealValue(key, text));
    },
    async (db) => db.del(`a!${account}`),
    async (db) => db.del((await db.keys({ gte: 'p!', limit: 1 }).all())[0]!),
    async (db) => db.put('k!00ad268c4d1f5826', sealValue('k!00ad268c4d1f5826', '0')),
    async (db) => db.put('p!x|1', sealValue('p!x|1', '{"amount":1}')),
  ];
  for (const change of changes) {
    const place = await usedPlace();
    await tamper(place, change);
    await expect(place.audit()).rejects.toThrow(/audit failed/);
  }
});

test('a ledger with the first record of another one is refused', async () => {
  const [place, other] = [await usedPlace(), await usedPlace()];
  let genesis = '';
  await tamper(other, async (db) => void (genesis = (await db.get('meta!genesis')) ?? ''));
  await tamper(place, (db) => db.put('meta!genesis', genesis));
  await expect(place.open()).rejects.toThrow(/that of another ledger/);
  await expect(place.audit()).rejects.toMatchObject(refused);
});
