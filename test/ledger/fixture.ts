/** Ledgers in temporary directories, a clock in the test's hands, and payments of made-up proofs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type AccountId, type OperationId, sha256Hex } from '../../src/base/id.ts';
import { silentLogger } from '../../src/base/log.ts';
import { type Msat, msat } from '../../src/base/money.ts';
import type { Clock } from '../../src/base/time.ts';
import type { LedgerAudit } from '../../src/ledger/audit.ts';
import type { Ledger, OpenReceive, ReceiveOperation, SendOperation } from '../../src/ledger/ledger.ts';
import type { OpenSend } from '../../src/ledger/sends.ts';
import { auditLedger, initLedger, openLedger } from '../../src/ledger/level.ts';

export const MINT = 'https://mint.test';
export const KEYSET = '00ad268c4d1f5826';

export interface FakeClock extends Clock {
  advance: (ms: number) => void;
}

/** Sleepers sleep for ever: nothing in these tests happens by waiting. */
export function fakeClock(): FakeClock {
  let now = 1_700_000_000_000;
  return {
    now: () => now,
    monotonic: () => now,
    sleep: () => new Promise(() => undefined),
    advance: (ms) => {
      now += ms;
    },
  };
}

export interface Place {
  dir: string;
  mirror: string | undefined;
  clock: FakeClock;
  open: () => Promise<Ledger>;
  audit: () => Promise<LedgerAudit>;
}

/** An initialised ledger directory that vanishes with the test. */
export async function newPlace({ mirrored = false, under = tmpdir() } = {}): Promise<Place> {
  const root = await mkdtemp(join(under, 'ledger-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const dir = join(root, 'ledger');
  const mirror = mirrored ? join(root, 'mirror') : undefined;
  const clock = fakeClock();
  const options = { dir, mirror, clock, log: silentLogger };
  await initLedger({ dir, clock, nodeId: 'npub-of-this-node' });
  return { dir, mirror, clock, open: () => openLedger(options), audit: () => auditLedger(options) };
}

/** An open ledger that is closed with the test. */
export async function newLedger(): Promise<{ ledger: Ledger; place: Place }> {
  const place = await newPlace();
  const ledger = await place.open();
  onTestFinished(() => ledger.close());
  return { ledger, place };
}

export const accountOf = (name: string): AccountId => sha256Hex(name) as AccountId;
export const operationOf = (name: string): OperationId => `op_${sha256Hex(name).slice(0, 32)}` as OperationId;

/** The intent to receive a token; `name` stands for its text and proofs. */
export function payment(name: string, changes: Partial<OpenReceive> = {}): OpenReceive {
  return {
    id: operationOf(name),
    account: accountOf(`account of ${name}`),
    accountKind: 'key',
    purpose: 'create',
    mint: MINT,
    unit: 'sat',
    textHash: sha256Hex(`text of ${name}`),
    claims: claimsOf(name, 2),
    inputs: 'sealed',
    fee: 0,
    keyset: KEYSET,
    amounts: [1, 2, 4, 8],
    ...changes,
  };
}

export const claimsOf = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => sha256Hex(`${name} ${i}`).slice(0, 32));

export const signatures = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `02${String(i).padStart(64, '0')}`);

/** A payment from intent to credit. */
export async function deposit(
  ledger: Ledger,
  name: string,
  changes: Partial<OpenReceive> = {},
): Promise<ReceiveOperation> {
  const opened = ledger.openReceive(payment(name, changes));
  if (opened.outcome !== 'opened') throw new Error(`deposit was ${opened.outcome}`);
  const { id, plan } = opened.operation;
  await ledger.completeReceive(id, signatures(plan.amounts.length), plan).durable;
  const done = ledger.operation(id);
  if (done?.kind !== 'receive') throw new Error('the deposit is not there');
  return done;
}

/** Binary digits, as a wallet without a better idea would split. */
export const digits = (amount: number): number[] =>
  [...amount.toString(2)].reverse().flatMap((bit, i) => (bit === '1' ? [2 ** i] : []));

export const tokenFrom = (name: string, account: AccountId, changes: Partial<OpenSend> = {}): OpenSend => ({
  id: operationOf(name),
  account,
  purpose: 'refund',
  mint: MINT,
  unit: 'sat',
  amount: 'all',
  feePpk: () => 0,
  keyset: KEYSET,
  split: digits,
  ...changes,
});

export const faceOf = (operation: SendOperation | undefined): number =>
  (operation?.token ?? []).reduce((sum, { amount }) => sum + amount, 0);

export const sats = (amount: number): Msat => msat(amount * 1000);
