/** A backup that is older than the ledger that was lost: what came after it is gone, and nothing is counted twice. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { backupNode, restoreNode } from '../../src/node-backup.ts';
import { ledgerDir, mirrorDir } from '../../src/node-data.ts';
import { type TestWorld, bearer, testWorld, until } from './support.ts';

const refund = async (world: TestWorld, key: string): Promise<string> =>
  ((await world.post('/v1/wallet/refund', {}, bearer(key))).json as { token: string }).token;

async function pay(world: TestWorld, sats: number): Promise<string> {
  const { json: made } = await world.post('/lightning/invoice', { amount_sats: sats });
  world.mint.payQuote(made.bolt11);
  let key = '';
  await until('credited', async () => {
    const path = `/lightning/invoice/${made.invoice_id}/status`;
    const { json } = await world.get(path, { 'x-claim-secret': made.claim_secret });
    key = (json as { api_key?: string }).api_key ?? '';
    return key !== '';
  });
  return key;
}

test('counters that the lost ledger used are not used again: each payment brings new ecash', async () => {
  const world = await testWorld({ mint: { autoPay: false, feePpk: 0 } });
  onTestFinished(() => world.close());
  const { config } = world;
  const copy = join(config.data_dir, '..', 'copy');
  await world.node.stop();
  await backupNode(config, copy, silentLogger);

  await world.reopen().start();
  const lost = [await refund(world, await pay(world, 100))];
  // More outputs than the next plans would find their way around by being refused.
  while (lost.length < 15) lost.push(await refund(world, await world.key(255)));
  await world.node.stop();
  await rm(ledgerDir(config), { recursive: true });
  await rm(mirrorDir(config) ?? '', { recursive: true, force: true });
  await restoreNode(config, copy, silentLogger);

  await world.reopen().start();
  const keys = [await pay(world, 100), await pay(world, 37), await world.key(255)];
  expect(await Promise.all(keys.map((key) => world.balance(key)))).toEqual([100_000, 37_000, 255_000]);
  expect(world.mint.mintQuotes().map(({ state }) => state)).toEqual(['ISSUED', 'ISSUED', 'ISSUED']);
  const tokens = lost;
  for (const key of keys) tokens.push(await refund(world, key));
  const credited: number[] = [];
  for (const token of tokens)
    credited.push((await world.post('/v1/balance/create', { cashu_token: token })).json.balance);
  const before = [100_000, ...new Array<number>(14).fill(255_000)];
  expect(credited).toEqual([...before, 100_000, 37_000, 255_000]);
  expect(world.node.totals().drift).toBe(0);
  expect((await world.get('/readyz')).status).toBe(200);
});
