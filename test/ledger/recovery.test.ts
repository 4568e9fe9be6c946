import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Level } from 'level';
import { expect, onTestFinished, test } from 'vitest';
import { EXIT } from '../../src/base/error.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock } from '../../src/base/time.ts';
import { auditLedger, initLedger, openLedger } from '../../src/ledger/level.ts';
import {
  accountOf,
  deposit,
  newLedger,
  newPlace,
  operationOf,
  payment,
  sats,
  signatures,
  tokenFrom,
} from './fixture.ts';

/** A second process on the ledger in `dir`; resolves once it says a line. */
function busyProcess(dir: string): { child: ChildProcess; lines: AsyncIterator<string, undefined> } {
  const script = join(import.meta.dirname, 'busy-process.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.stdin.write(`${dir}\n`);
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

test('what was booked is there after a restart: balances, operations, proofs, terms', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'a', { amounts: [1, 2, 16] });
  ledger.setAccountTerms(account, { balanceLimit: sats(100) });
  ledger.openSend(tokenFrom('swap', account, { amount: 5, feePpk: () => 100 }));
  ledger.openReceive(payment('pending'));
  ledger.hold({ id: 'req', account, amount: sats(2) });
  const before = {
    account: ledger.account(account),
    unfinished: ledger.unfinished(),
    proofs: ledger.proofs(),
    totals: ledger.totals(),
  };
  await ledger.close();

  const again = await place.open();
  expect(again.unfinished()).toEqual(before.unfinished);
  expect(again.proofs()).toEqual(before.proofs);
  expect(again.account(account)).toEqual({
    ...before.account,
    available: before.account!.available + 2_000,
    held: 0,
  });
  expect(again.totals().drift).toBe(0);
  expect(again.settle('req', sats(1)).outcome).toBe('closed');
  const swap = again.operation(operationOf('swap'));
  if (swap?.kind !== 'send') throw new Error('the swap is gone');
  await again.completeSend(swap.id, signatures(swap.swap!.plan.amounts.length)).durable;
  await again.close();
  expect(await place.audit()).toMatchObject({
    unfinished: 1,
    blocked: 0,
    openHolds: 0,
    totals: { drift: 0 },
  });
});

test('kill -9 in the middle of work, three times: every acknowledged movement is there, and no hold is left', async () => {
  const place = await newPlace();
  const credits = Array<number>(16).fill(0);
  const spent = Array<number>(16).fill(0);
  for (const acknowledgements of [200, 900, 60]) {
    const { child, lines } = busyProcess(place.dir);
    for (let seen = 0; seen < acknowledgements;) {
      const { value, done } = await lines.next();
      if (done === true) throw new Error('the process ended by itself');
      const [word, lane] = value.split(' ');
      if (word === 'credit') credits[Number(lane)]!++;
      if (word === 'spent') spent[Number(lane)]!++;
      if (word !== 'open') seen++;
    }
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    expect((await place.audit()).totals.drift).toBe(0);
    const ledger = await place.open();
    expect(ledger.totals()).toMatchObject({ liabilities: { held: 0 }, drift: 0 });
    for (let lane = 0; lane < 16; lane++) {
      const account = ledger.account(accountOf(`lane ${lane}`))!;
      expect(account.totalSpent).toBeGreaterThanOrEqual(spent[lane]! * 1_000);
      expect(account.available + account.totalSpent).toBeGreaterThanOrEqual(credits[lane]! * 15_000);
    }
    await ledger.close();
    expect(await place.audit()).toMatchObject({ openHolds: 0, totals: { drift: 0 } });
  }
});

test('a long journal is replayed from its last checkpoint, and rows on disk are the fold of the rest', async () => {
  const { ledger, place } = await newLedger();
  const accounts = [];
  for (const name of ['a', 'b', 'c'])
    accounts.push((await deposit(ledger, name, { amounts: [2 ** 20] })).account);
  const cycles = LIMITS.ledger.checkpointEntries * 1.3;
  for (let i = 0; i < cycles; i++) {
    const held = ledger.hold({ id: `r${i}`, account: accounts[i % 3]!, amount: sats(2) });
    const settled = ledger.settle(`r${i}`, sats(1));
    if (held.outcome !== 'held' || settled.outcome !== 'settled') throw new Error('refused');
    if (i % 5_000 === 0) await settled.durable;
  }
  const totals = ledger.totals();
  await ledger.close();
  const again = await place.open();
  expect(again.totals()).toEqual(totals);
  await again.close();
  expect(await place.audit()).toMatchObject({ entries: 6 + 2 * cycles, totals });
});

test('many new accounts make an early checkpoint; what left the cache is read back', async () => {
  const { ledger, place } = await newLedger();
  const count = LIMITS.ledger.checkpointRows;
  for (let i = 0; i < count; i++) await (i % 500 === 0 ? deposit(ledger, `n${i}`) : quick(i));
  function quick(i: number): Promise<void> {
    const { operation } = ledger.openReceive(payment(`n${i}`));
    void ledger.completeReceive(operation.id, signatures(4), operation.plan);
    return Promise.resolve();
  }
  await ledger.close();
  const again = await place.open();
  expect(again.account(payment('n7').account)).toMatchObject({ available: 15_000 });
  expect(again.totals()).toMatchObject({ liabilities: { avail: count * 15_000 }, drift: 0 });
  await again.close();
  expect((await place.audit()).proofs).toMatchObject([{ count: count * 4 }]);
});

test('once nothing moves any more, changed rows are written, so that a later start has nothing to replay', async () => {
  const place = await newPlace();
  const pauses: (() => void)[] = [];
  const clock = { ...place.clock, sleep: () => new Promise<void>((resolve) => void pauses.push(resolve)) };
  const ledger = await openLedger({ dir: place.dir, clock, log: silentLogger });
  onTestFinished(() => ledger.close());
  const { account } = await deposit(ledger, 'busy');
  pauses.shift()?.();
  await ledger.setAccountTerms(account, { validityDate: 1 }).durable;
  await waitFor(() => pauses.length === 1);
  pauses.shift()?.();
  await waitFor(async () => (await checkpointOf(place.dir)) === 3);
});

/** Reads a copy, as a crash at this moment would leave it. */
async function checkpointOf(dir: string): Promise<number> {
  const copy = await mkdtemp(join(tmpdir(), 'copy-'));
  await cp(join(dir, 'db'), copy, { recursive: true });
  const db = new Level(copy, { createIfMissing: false });
  const value = await db.get('meta!checkpoint');
  await db.close();
  await rm(copy, { recursive: true });
  return (JSON.parse((value ?? '').slice(8)) as { n: number }).n;
}

async function waitFor(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 500; turn++) {
    if (await condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('it never happened');
}

test('a second open is refused in this process and in another; the first one goes on', async () => {
  const { ledger, place } = await newLedger();
  await expect(place.open()).rejects.toMatchObject({ exitCode: EXIT.ledgerInUse });
  await expect(place.audit()).rejects.toMatchObject({ exitCode: EXIT.ledgerInUse });
  await expect(initLedger({ ...place, nodeId: 'n' })).rejects.toMatchObject({ exitCode: EXIT.ledgerInUse });
  const alias = await mkdtemp(join(tmpdir(), 'alias-'));
  onTestFinished(() => rm(alias, { recursive: true }));
  await symlink(place.dir, join(alias, 'ledger'));
  const other = { dir: join(alias, 'ledger'), clock: systemClock, log: silentLogger };
  await expect(openLedger(other)).rejects.toMatchObject({ exitCode: EXIT.ledgerInUse });
  // Reading LOCK, as a backup within this process does, drops the lock of LevelDB without a word.
  const copy = join(alias, 'copy');
  await cp(place.dir, copy, { recursive: true });
  await expect(openLedger({ ...other, dir: copy })).rejects.toMatchObject({ exitCode: EXIT.ledgerInUse });

  const { child } = busyProcess(place.dir);
  await once(child, 'exit');
  expect(child.exitCode).toBe(1);
  const { account } = await deposit(ledger, 'still here');
  await ledger.close();
  const again = await place.open();
  expect(again.account(account)).toMatchObject({ available: 15_000 });
  await again.close();
});

test('a running process keeps its ledger from this one', async () => {
  const place = await newPlace();
  const { lines } = busyProcess(place.dir);
  expect(await lines.next()).toMatchObject({ value: 'open' });
  await expect(place.open()).rejects.toMatchObject({ exitCode: EXIT.ledgerInUse });
  await expect(place.audit()).rejects.toMatchObject({ exitCode: EXIT.ledgerInUse });
});

test('without init there is no ledger, and a second init changes nothing', async () => {
  const place = await newPlace();
  const nowhere = { dir: join(place.dir, 'nowhere'), clock: place.clock, log: silentLogger };
  await expect(openLedger(nowhere)).rejects.toThrow(
    /no ledger here.*`routstr-node init`.*`routstr-node restore`/,
  );
  await expect(auditLedger(nowhere)).rejects.toMatchObject({ exitCode: EXIT.refused });
  await expect(initLedger({ ...place, nodeId: 'n' })).rejects.toMatchObject({ exitCode: EXIT.refused });
  await (await place.open()).close();
  await rename(join(place.dir, 'db'), join(place.dir, 'gone'));
  await expect(place.open()).rejects.toThrow(/no ledger here/);
});

test('after the first write that fails nothing is acknowledged; everything acknowledged before is there', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'before');
  const db = join(place.dir, 'db');
  // LevelDB keeps writing into the log that it has open; the next log cannot be made in a directory that is gone.
  await rename(db, join(place.dir, 'moved'));
  let acknowledged = 0;
  const writes = Array.from({ length: 400 }, (_, i) => {
    const { durable } = ledger.putValue(`v${i}`, 'x'.repeat(40_000));
    return durable.then(() => acknowledged++);
  });
  const results = await Promise.allSettled(writes);
  const failed = results.find((result) => result.status === 'rejected');
  expect(failed?.reason).toMatchObject({ code: 'storage_unavailable' });
  expect(ledger.health()).toMatchObject({ poisoned: true });
  expect(() => ledger.hold({ id: 'r', account, amount: sats(1) })).toThrow(/cannot write/);
  expect(() => ledger.account(account)).toThrow(/cannot write/);
  expect(() => ledger.totals()).toThrow(/cannot write/);
  expect(ledger.expireHolds()).toBe(0);
  await ledger.close();

  await rename(join(place.dir, 'moved'), db);
  const again = await place.open();
  for (let i = 0; i < acknowledged; i++) expect(again.getValue(`v${i}`)).toHaveLength(40_000);
  expect(again.account(account)).toMatchObject({ available: 15_000 });
  await again.close();
  expect((await place.audit()).totals.drift).toBe(0);
});

test('a closed ledger refuses every verb and frees its directory', async () => {
  const { ledger, place } = await newLedger();
  const { account } = await deposit(ledger, 'closed');
  await Promise.all([ledger.close(), ledger.close()]);
  expect(() => ledger.hold({ id: 'r', account, amount: sats(1) })).toThrow(/closed/);
  expect(() => ledger.account(account)).toThrow(/closed/);
  expect(ledger.health()).toMatchObject({ open: false, poisoned: false });
  await (await place.open()).close();
});
