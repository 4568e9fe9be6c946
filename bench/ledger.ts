/** What the ledger costs: groups per second with and without mirror, and how long a long journal takes to open. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256Hex, type AccountId, type OperationId } from '../src/base/id.ts';
import { silentLogger } from '../src/base/log.ts';
import { msat } from '../src/base/money.ts';
import { systemClock } from '../src/base/time.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { initLedger, openLedger } from '../src/ledger/level.ts';

const ACCOUNTS = 1_000;
const WRITERS = 512;

const accountAt = (i: number): AccountId => sha256Hex(`account ${i}`) as AccountId;

async function deposit(ledger: Ledger, i: number): Promise<void> {
  const opened = ledger.openReceive({
    id: `op_${i}` as OperationId,
    account: accountAt(i),
    accountKind: 'key',
    purpose: 'create',
    mint: 'https://mint.test',
    unit: 'sat',
    textHash: sha256Hex(`text ${i}`),
    claims: [sha256Hex(`claim ${i}`).slice(0, 32)],
    inputs: 'sealed',
    fee: 0,
    keyset: '00ad268c4d1f5826',
    amounts: [2 ** 20],
  });
  const { id, plan } = opened.operation;
  await ledger.completeReceive(id, [`02${'0'.repeat(64)}`], plan).durable;
}

async function cycles(ledger: Ledger, count: number, writers: number): Promise<number> {
  const begun = performance.now();
  let next = 0;
  async function writer(): Promise<void> {
    for (let i = next++; i < count; i = next++) {
      const held = ledger.hold({ id: `r${i}`, account: accountAt(i % ACCOUNTS), amount: msat(2_000) });
      if (held.outcome !== 'held') throw new Error(held.outcome);
      ledger.hurry();
      await held.durable;
      const settled = ledger.settle(`r${i}`, msat(10));
      if (settled.outcome === 'settled') await settled.durable;
    }
  }
  await Promise.all(Array.from({ length: writers }, writer));
  return (performance.now() - begun) / 1000;
}

async function measure(mirrored: boolean, entries: number): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'ledger-bench-'));
  const dir = join(root, 'ledger');
  const options = {
    dir,
    mirror: mirrored ? join(root, 'mirror') : undefined,
    clock: systemClock,
    log: silentLogger,
  };
  await initLedger({ dir, clock: systemClock, nodeId: 'bench' });
  let ledger = await openLedger(options);
  await Promise.all(Array.from({ length: ACCOUNTS }, (_, i) => deposit(ledger, i)));
  const alone = 500 / (await cycles(ledger, 500, 1));
  const count = Math.max(0, (entries - ledger.health().sequence) / 2);
  await ledger.close();
  ledger = await openLedger(options);
  const seconds = await cycles(ledger, count, WRITERS);
  const { sequence } = ledger.health();
  await ledger.close();
  const begun = performance.now();
  ledger = await openLedger(options);
  const opened = performance.now() - begun;
  await ledger.close();
  const row = {
    mirror: mirrored,
    one_writer_cycles_per_second: Math.round(alone),
    cycles_per_second: Math.round(count / seconds),
    entries: sequence,
    open_ms: Math.round(opened),
  };
  process.stdout.write(`${JSON.stringify(row)}\n`);
  await rm(root, { recursive: true });
}

const entries = Number(process.argv[2] ?? 1_000_000);
for (const mirrored of [true, false]) await measure(mirrored, entries);
