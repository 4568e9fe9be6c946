/** Writes that fail: the ledger refuses at once, opens itself anew once it can, and has everything it acknowledged. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { EXIT } from '../../src/base/error.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/level.ts';
import { type Place, accountOf, deposit, newPlace, sats } from './fixture.ts';

/** Pauses of the recovery end when the test says so. */
async function openPausing(place: Place): Promise<{ ledger: Ledger; goOn: () => void }> {
  const pauses: (() => void)[] = [];
  const sleep = (ms: number): Promise<void> =>
    ms === LIMITS.ledger.recoverRetryMs
      ? new Promise((resolve) => void pauses.push(resolve))
      : new Promise(() => undefined);
  const { dir, mirror } = place;
  const ledger = await openLedger({ dir, mirror, clock: { ...place.clock, sleep }, log: silentLogger });
  onTestFinished(() => ledger.close());
  return { ledger, goOn: () => pauses.splice(0).forEach((end) => end()) };
}

async function reached(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Values until a write fails; returns how many were acknowledged, all of them before the failure. */
async function writeUntilItFails(ledger: Ledger, name: string): Promise<number> {
  let acknowledged = 0;
  for (let i = 0; ; i++) {
    try {
      await ledger.putValue(`${name} ${i}`, 'x'.repeat(40_000)).durable;
      acknowledged++;
    } catch (error) {
      expect(error).toMatchObject({ code: 'storage_unavailable' });
      return acknowledged;
    }
  }
}

/** The files of the ledger are away until a write has failed; it is open anew when this resolves. */
async function goneForAWhile(place: Place, ledger: Ledger, goOn: () => void): Promise<void> {
  const db = join(place.dir, 'db');
  await rename(db, `${db}.away`);
  await writeUntilItFails(ledger, 'v');
  await reached(() => ledger.health().recovering);
  await rename(`${db}.away`, db);
  await reached(() => {
    goOn();
    return !ledger.health().poisoned;
  });
}

test('after a failed write the same ledger goes on by itself once its files can be written again', async () => {
  const place = await newPlace({ mirrored: true });
  const { ledger, goOn } = await openPausing(place);
  const { account } = await deposit(ledger, 'before');
  await deposit(ledger, 'short', { account, purpose: 'topup' });
  const held = ledger.hold({ id: 'living', account, amount: sats(4) });
  ledger.hurry();
  if (held.outcome === 'held') await held.durable;

  // LevelDB keeps writing into the log that it has open; the next log cannot be made in a directory that is gone.
  const db = join(place.dir, 'db');
  await rename(db, `${db}.away`);
  const acknowledged = await writeUntilItFails(ledger, 'v');
  expect(ledger.health()).toMatchObject({ poisoned: true });
  expect(() => ledger.settle('living', sats(1))).toThrow(/cannot write/);
  await reached(() => ledger.health().recovering && !existsSync(join(place.dir, 'ballast')));
  await rename(`${db}.away`, db);
  await reached(() => {
    goOn();
    return !ledger.health().poisoned;
  });

  expect(ledger.health()).toMatchObject({ open: true, poisoned: false, recovering: false });
  for (let i = 0; i < acknowledged; i++) expect(ledger.getValue(`v ${i}`)).toHaveLength(40_000);
  expect((await stat(join(place.dir, 'ballast'))).size).toBe(LIMITS.ledger.ballastBytes);
  // The request that held the money before still lives, and so does its hold.
  expect(ledger.settle('living', sats(3))).toMatchObject({ outcome: 'settled', charged: 3_000 });
  await deposit(ledger, 'after', { account, purpose: 'topup' });
  expect(ledger.account(account)).toMatchObject({ available: 42_000, held: 0 });
  await ledger.close();
  expect(await place.audit()).toMatchObject({ totals: { drift: 0 } });
  const again = await place.open();
  expect(again.account(account)).toMatchObject({ available: 42_000, totalSpent: 3_000 });
  await again.close();
});

test('a hold whose request died while the ledger was away falls back with its lease', async () => {
  const place = await newPlace();
  const { ledger, goOn } = await openPausing(place);
  const { account } = await deposit(ledger, 'left');
  const held = ledger.hold({ id: 'left', account, amount: sats(4) });
  ledger.hurry();
  if (held.outcome === 'held') await held.durable;
  await goneForAWhile(place, ledger, goOn);
  place.clock.advance(LIMITS.hold.leaseMs);
  expect(ledger.expireHolds()).toBe(1);
  expect(ledger.account(account)).toMatchObject({ available: 15_000, held: 0 });
});

test('a child key and an Idempotency-Key behind a living hold are known to the ledger that was opened anew', async () => {
  const place = await newPlace();
  const { ledger, goOn } = await openPausing(place);
  const { account: parent } = await deposit(ledger, 'parent');
  const child = accountOf('child');
  const terms = { balanceLimit: sats(5) };
  ledger.createChildren({ parent, accounts: [child], seed: 's', cost: sats(0), terms });
  const keyed = { id: 'k', request: 'r', requestId: 'req_1' as never };
  const held = ledger.hold({ id: 'living', account: child, amount: sats(4), keyed });
  ledger.hurry();
  if (held.outcome === 'held') await held.durable;
  await goneForAWhile(place, ledger, goOn);
  expect(ledger.limitLeft(child)).toBe(1_000);
  expect(ledger.settle('living', sats(9))).toMatchObject({ charged: 5_000, available: 0 });
  expect(ledger.limitLeft(child)).toBe(0);
  expect(ledger.remembered('k')).toMatchObject({ paid: { charged: 5_000, account: child } });
  expect(ledger.totals().drift).toBe(0);
});

test('a ledger that stays away can be closed, and refuses until then', async () => {
  const place = await newPlace();
  const { ledger } = await openPausing(place);
  const db = join(place.dir, 'db');
  await rename(db, `${db}.away`);
  await writeUntilItFails(ledger, 'v');
  await reached(() => ledger.health().recovering);
  expect(() => ledger.totals()).toThrow(/cannot write/);
  await ledger.close();
  expect(ledger.health()).toMatchObject({ open: false, recovering: false });
  await expect(place.open()).rejects.toMatchObject({ exitCode: EXIT.refused });
});

/** A small file system of its own, or the reason why there is none. */
async function smallDisk(): Promise<string | { reason: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'small-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=28m', 'tmpfs', dir], { stdio: 'pipe' });
  } catch (error) {
    await rm(dir, { recursive: true });
    return { reason: `no tmpfs can be mounted (${(error as Error).message.split('\n')[0] ?? ''})` };
  }
  onTestFinished(async () => {
    execFileSync('umount', [dir]);
    await rm(dir, { recursive: true });
  });
  return dir;
}

test.for([true, false])(
  'a full disk, filled and freed (mirror: %s)',
  { timeout: 60_000 },
  async (mirrored, { skip }) => {
    const disk = await smallDisk();
    if (typeof disk !== 'string') return skip(disk.reason);
    const place = await newPlace({ mirrored, under: disk });
    const { ledger, goOn } = await openPausing(place);
    const { account } = await deposit(ledger, 'before');
    let acknowledged = 0;
    for (let round = 0; round < 2; round++) {
      const { bavail, bsize } = await statfs(disk);
      await writeFile(join(disk, 'other'), Buffer.alloc(Math.max(0, bavail * bsize - 300_000)));
      const count = await writeUntilItFails(ledger, `round ${round}`);
      await reached(() => ledger.health().recovering);
      await rm(join(disk, 'other'));
      await reached(() => {
        goOn();
        return !ledger.health().poisoned;
      });
      for (let i = 0; i < count; i++) expect(ledger.getValue(`round ${round} ${i}`)).toHaveLength(40_000);
      await ledger.putValue(`after ${round}`, 'kept').durable;
      acknowledged += count;
    }
    expect(acknowledged).toBeGreaterThan(0);
    await ledger.close();
    const again = await place.open();
    expect(again.account(account)).toMatchObject({ available: 15_000 });
    expect([again.getValue('after 0'), again.getValue('after 1')]).toEqual(['kept', 'kept']);
    await again.close();
    expect((await place.audit()).totals.drift).toBe(0);
  },
);

test('a start on a full disk ends with exit code 75 and changes nothing', async ({ skip }) => {
  const disk = await smallDisk();
  if (typeof disk !== 'string') return skip(disk.reason);
  const place = await newPlace({ under: disk });
  await writeFile(join(disk, 'other'), Buffer.alloc(23 * 2 ** 20));
  await expect(place.open()).rejects.toMatchObject({ exitCode: EXIT.storageFull });
  await rm(join(disk, 'other'));
  await (await place.open()).close();
});

const canTrace = spawnSync('strace', ['-qq', '-o', '/dev/null', '-e', 'inject=fdatasync:error=EIO', 'true']);

test.skipIf(canTrace.status !== 0)(
  'a device that fails a sync: what was acknowledged is there afterwards',
  async () => {
    const place = await newPlace({ mirrored: false });
    const script = join(import.meta.dirname, 'busy-process.ts');
    const inject = [
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=fdatasync',
      '-e',
      'inject=fdatasync:error=EIO:when=60+',
    ];
    const child = spawn('strace', [...inject, process.execPath, '--import', 'tsx', script], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    child.stdin.write(`${place.dir}\n`);
    const credits = new Map<number, number>();
    for await (const line of createInterface({ input: child.stdout })) {
      const [word, lane] = line.split(' ');
      if (word === 'credit') credits.set(Number(lane), (credits.get(Number(lane)) ?? 0) + 1);
    }
    expect(credits.size).toBeGreaterThan(0);
    const ledger = await place.open();
    for (const [lane, count] of credits) {
      const { available, held, totalSpent } = ledger.account(accountOf(`lane ${lane}`))!;
      expect(available + held + totalSpent).toBeGreaterThanOrEqual(count * 15_000);
    }
    expect(ledger.totals().drift).toBe(0);
    await ledger.close();
    expect((await place.audit()).totals.drift).toBe(0);
  },
  60_000,
);
