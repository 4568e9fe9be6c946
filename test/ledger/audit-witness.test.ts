/** The audit compares HEAD and mirror with the journal, and changes neither. */
import { existsSync } from 'node:fs';
import { cp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EXIT } from '../../src/base/error.ts';
import { type Place, deposit, newPlace } from './fixture.ts';

async function usedPlace(mirrored = true): Promise<Place & { mirror: string }> {
  const place = await newPlace({ mirrored });
  await work(place, ['a', 'b', 'c']);
  return { ...place, mirror: place.mirror ?? '' };
}

async function work(place: Place, names: readonly string[]): Promise<void> {
  const ledger = await place.open();
  for (const name of names) await deposit(ledger, name);
  await ledger.close();
}

const witnessOf = async (place: Place) => (await place.audit()).witness;

test('after a clean stop HEAD and mirror name the last entry', async () => {
  const place = await usedPlace();
  const { entries, witness } = await place.audit();
  expect(entries).toBeGreaterThan(0);
  expect(witness).toEqual({ head: entries, mirror: { state: 'same', entry: entries } });
});

test('where no mirror is kept there is only HEAD to compare with', async () => {
  const place = await usedPlace(false);
  expect(await witnessOf(place)).toMatchObject({ head: 6, mirror: undefined });
});

test('a mirror without its last group is what a kill leaves, and one without more is incomplete', async () => {
  const place = await usedPlace();
  const [name = ''] = await readdir(place.mirror).then((names) =>
    names.filter((each) => /journal$/.test(each)),
  );
  const file = join(place.mirror, name);
  await truncate(file, (await stat(file)).size - 1);
  const before = await witnessOf(place);
  expect(before.mirror).toMatchObject({ state: 'behind' });
  await truncate(file, Math.floor((await stat(file)).size / 2));
  expect((await witnessOf(place)).mirror).toMatchObject({ state: 'incomplete' });
});

test('a mirror that is gone is incomplete, is not begun by an audit, and is whole after the next start', async () => {
  const place = await usedPlace();
  await rm(place.mirror, { recursive: true });
  expect((await witnessOf(place)).mirror).toEqual({ state: 'incomplete', entry: 0 });
  expect(existsSync(place.mirror)).toBe(false);
  await work(place, ['d']);
  expect((await witnessOf(place)).mirror).toMatchObject({ state: 'same' });
});

test('a database that was set back fails the audit, by its mirror and without one by HEAD', async () => {
  for (const mirrored of [true, false]) {
    const place = await usedPlace(mirrored);
    await cp(join(place.dir, 'db'), join(place.dir, 'older'), { recursive: true });
    await work(place, ['d', 'e', 'f']);
    await rm(join(place.dir, 'db'), { recursive: true });
    await cp(join(place.dir, 'older'), join(place.dir, 'db'), { recursive: true });
    await expect(place.audit()).rejects.toMatchObject({
      exitCode: EXIT.refused,
      message: expect.stringMatching(/entry 12 had been acknowledged/),
    });
    if (!mirrored) continue;
    // Set back together with HEAD, only the mirror knows.
    await rm(join(place.dir, 'HEAD'));
    await expect(place.audit()).rejects.toMatchObject({ exitCode: EXIT.refused });
  }
});

test('the mirror of another ledger fails the audit', async () => {
  const [place, other] = [await usedPlace(), await usedPlace()];
  await rm(place.mirror, { recursive: true });
  await cp(other.mirror, place.mirror, { recursive: true });
  await expect(place.audit()).rejects.toThrow(/mirror of another ledger/);
});
