/** `wallet balance | send | receive | recover` against a whole node's data, stopped and running. */
import { expect, onTestFinished, test } from 'vitest';
import { ExitError, NodeError } from '../../src/base/error.ts';
import { accountOfKey } from '../../src/base/id.ts';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock } from '../../src/base/time.ts';
import { auditNode } from '../../src/node-audit.ts';
import { type SendReport, purseBalance, purseReceive, purseSend } from '../../src/node-purse.ts';
import { blockedOperations, retryBlocked } from '../../src/node-recover.ts';
import { withTill } from '../../src/node-wallet.ts';
import { bearer, chat, testWorld } from '../e2e/support.ts';

const tools = { log: silentLogger, clock: systemClock };
const ended = async <T>(promise: Promise<T>): Promise<T | string | number> =>
  promise.catch((error: unknown) =>
    error instanceof ExitError ? error.exitCode : error instanceof NodeError ? error.code : String(error),
  );

/** A node that earned 200 sat of a key with 1,000. */
async function earningWorld() {
  const world = await testWorld({
    settings: { pricing: { btc_usd: 100_000, request_fee_msats: 200_000 } },
  });
  onTestFinished(() => world.close());
  const key = await world.key(1_000);
  expect((await world.post('/v1/chat/completions', chat('work'), bearer(key))).status).toBe(200);
  return world;
}

test('the purse shows what is in hand and owed, and gives out what was earned, once and never more', async () => {
  const world = await earningWorld();
  const { config, mint, node } = world;
  expect(await ended(purseBalance(config, tools))).toBe(73);
  await node.stop();

  const before = await purseBalance(config, tools);
  expect(before).toMatchObject({ assets_msat: 1_000_000, drift_msat: 0, blocked_operations: 0 });
  expect(before.equity_msat).toBeGreaterThanOrEqual(200_000);
  expect(before.shelves).toEqual([
    {
      mint: mint.url,
      unit: 'sat',
      proofs: expect.any(Number) as number,
      assets_msat: 1_000_000,
      owed_msat: before.liabilities_msat,
    },
  ]);

  const reports: SendReport[] = [];
  const send = (sats: number, dryRun = false, told = (report: SendReport) => void reports.push(report)) =>
    ended(purseSend(config, tools, { sats, dryRun, told }));
  expect(await send(500)).toBe(6);
  expect(await send(100, true)).toBeUndefined();
  expect(reports.splice(0)).toEqual([{ dry_run: true, earned_msat: before.equity_msat, amount_sats: 100 }]);
  expect((await purseBalance(config, tools)).assets_msat).toBe(1_000_000);

  // The process dies before anybody saw the token: the same command makes no second one.
  const died = () => {
    throw new ExitError(70, 'died');
  };
  expect(await send(100, false, died)).toBe(70);
  expect((await purseBalance(config, tools)).assets_msat).toBe(900_000);
  expect(await send(50)).toBe(1);
  expect(await send(100)).toBeUndefined();
  expect(reports).toMatchObject([{ amount_sats: 100, replayed: true, mint: mint.url }]);
  expect((await purseBalance(config, tools)).equity_msat).toBe(before.equity_msat - 100_000);
  expect(await send(150)).toBe(6);

  const token = reports[0]?.token ?? '';
  const receive = (dryRun: boolean) => purseReceive(config, tools, { token, dryRun });
  expect(await receive(true)).toMatchObject({ dry_run: true, credited_msat: 100_000 });
  expect(await receive(false)).toMatchObject({ credited_msat: 100_000, replayed: false });
  expect(await receive(false)).toMatchObject({ credited_msat: 100_000, replayed: true });
  expect(await purseBalance(config, tools)).toMatchObject({
    assets_msat: 1_000_000,
    equity_msat: before.equity_msat,
    liabilities_msat: before.liabilities_msat,
  });
  const report = await auditNode(config, { offline: false, log: silentLogger });
  expect(report).toMatchObject({ drift_msat: 0, unfinished_operations: 0, mints: [{ spent: 0 }] });
});

test('a blocked operation is shown with what its mint says, and is taken up again when the operator says so', async () => {
  const world = await earningWorld();
  const { config, mint, node } = world;
  await node.stop();
  expect(await blockedOperations(config, tools)).toEqual([]);

  const account = accountOfKey('sk-blocked');
  mint.failNext('wrong-amounts', { path: '/v1/swap' });
  const token = await mint.issue(64);
  await withTill(config, tools, async ({ wallet, deposits }) => {
    const to = { account, accountKind: 'key', purpose: 'create' } as const;
    expect(await ended(deposits.deposit(wallet.inspect(token), to))).toBe('mint_quarantined');
  });
  const [blocked] = await blockedOperations(config, tools);
  expect(blocked).toMatchObject({
    kind: 'receive',
    state: 'blocked',
    reason: 'mint_contradiction',
    amount_msat: 64_000,
    evidence: { inputs: 1, inputs_spent: 1 },
  });
  const id = blocked?.id ?? '';
  const retry = (which: string, dryRun = false) => ended(retryBlocked(config, tools, { id: which, dryRun }));
  expect(await retry('op_nobody')).toBe(5);
  expect(await retry(id, true)).toMatchObject({ state: 'blocked', dry_run: true });
  expect((await blockedOperations(config, tools)).map((each) => each.id)).toEqual([id]);
  expect(await retry(id)).toMatchObject({ state: 'done', dry_run: false });
  expect(await retry(id)).toBe(1);
  expect(await blockedOperations(config, tools)).toEqual([]);
  await withTill(config, tools, ({ ledger }) => {
    expect(ledger.account(account)?.available).toBe(64_000);
    expect(ledger.totals().drift).toBe(0);
    return Promise.resolve();
  });
});
