/** `payout` against a whole node's data, stopped and running. */
import { expect, onTestFinished, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { ExitError } from '../../src/base/error.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createTestAddress } from '../../src/demo/address.ts';
import { auditNode } from '../../src/node-audit.ts';
import { payOut } from '../../src/node-payout.ts';
import { bearer, chat, testWorld } from '../e2e/support.ts';

test('earnings of a stopped node are sent, never more; a running node keeps its ledger to itself', async () => {
  const address = await createTestAddress();
  onTestFinished(() => address.close());
  const world = await testWorld({
    settings: {
      lightning: { allow_private: true },
      payout: { lightning_address: address.address, threshold_sats: 10_000 },
      pricing: { btc_usd: 100_000, request_fee_msats: 200_000 },
    },
  });
  onTestFinished(() => world.close());
  const key = await world.key(1_000);
  expect((await world.post('/v1/chat/completions', chat('work'), bearer(key))).status).toBe(200);
  const call = (options: { amount?: number; dryRun?: boolean } = {}) =>
    payOut(world.config, { dryRun: false, log: silentLogger, ...options }).catch((error: unknown) =>
      error instanceof ExitError ? error.exitCode : error instanceof NodeError ? error.code : String(error),
    );

  expect(await call()).toBe(73);
  await world.node.stop();
  expect(await call({ dryRun: true })).toMatchObject({ status: 'planned', recipient: address.address });
  expect(world.mint.meltQuotes().some(({ state }) => state === 'PAID')).toBe(false);
  expect(await call({ amount: 500 })).toBe(6);
  // The same order again, to hear how it ended, is not another payment.
  world.mint.meltNext('pending');
  const begun = await call({ amount: 100 });
  expect(begun).toMatchObject({ status: 'pending', amount_sats: 100 });
  world.mint.settleMelts('paid');
  const paid = await call({ amount: 100 });
  expect(paid).toMatchObject({ status: 'paid', amount_sats: 100, dry_run: false });
  expect(paid).toHaveProperty('operation_id', (begun as { operation_id: string }).operation_id);
  expect(world.mint.meltQuotes().filter(({ state }) => state === 'PAID')).toHaveLength(1);
  const all = await call();
  expect(all).toMatchObject({ status: 'paid' });
  const report = await auditNode(world.config, { offline: false, log: silentLogger });
  expect(report).toMatchObject({ drift_msat: 0, unfinished_operations: 0 });
  expect(report.equity_msat).toBeGreaterThanOrEqual(0);
  expect(report.mints?.[0]).toMatchObject({ spent: 0, pending: 0 });
});
