import { expect, test } from 'vitest';
import { createBuyer } from '../../src/demo/buyer.ts';
import { type ProcessWorld, processWorld } from './process-kit.ts';
import { type Json, bearer, chat, until } from './support.ts';

const KILLS = 10;

interface Purse {
  token: string;
  sats: number;
  kind: 'key' | 'once';
}

/** Creates, chats, pays once and refunds until the node dies under it. */
async function shopper(
  { mint, attempt }: ProcessWorld,
  purses: Purse[],
  received: string[],
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    const sats = 16 + Math.floor(Math.random() * 48);
    const kind = Math.random() < 0.5 ? 'key' : 'once';
    const purse: Purse = { token: await mint.issue(sats), sats, kind };
    purses.push(purse);
    if (kind === 'once') {
      await attempt('/v1/chat/completions', chat('pay once'), { 'x-cashu': purse.token });
      continue;
    }
    await attempt('/v1/balance/create', { cashu_token: purse.token }, {});
    await attempt('/v1/chat/completions', chat('from the key'), bearer(purse.token));
    const refund = await attempt('/v1/wallet/refund', {}, bearer(purse.token));
    if (refund?.status === 200) received.push(refund.json.token as string);
  }
}

test(`${KILLS} times kill -9 in the middle of everything: drift 0, and every sat is charged or obtainable`, async () => {
  const world = await processWorld();
  const { mint, cli, start, stop: end, attempt } = world;
  const purses: Purse[] = [];
  const received: string[] = [];
  for (let round = 0; round < KILLS; round++) {
    await start();
    const stop = new AbortController();
    const shoppers = Array.from({ length: 4 }, () => shopper(world, purses, received, stop.signal));
    await new Promise((done) => setTimeout(done, 50 + Math.random() * 500));
    await end('SIGKILL');
    stop.abort();
    await Promise.all(shoppers);
    expect(JSON.parse(await cli('audit', '--json', '--offline')).drift_msat).toBe(0);
  }

  await start();
  const buyer = await createBuyer({ mintUrl: mint.url });
  const payouts = new Set<string>();
  let deposited = 0;
  for (const purse of purses) {
    deposited += purse.sats;
    const collect = async (): Promise<Json> =>
      purse.kind === 'key'
        ? (await attempt('/v1/balance/create', { cashu_token: purse.token }, {}),
          attempt('/v1/wallet/refund', {}, bearer(purse.token)))
        : attempt('/v1/wallet/refund', {}, { 'x-cashu': purse.token });
    let answer: Json;
    await until('the money of a purse is obtainable', async () => {
      answer = await collect();
      return answer !== undefined && answer.status !== 425 && answer.status !== 503;
    });
    if (answer.status === 200) payouts.add(answer.json.token as string);
    // Never redeemed: the buyer still owns the token itself.
    else if (answer.status === 404) payouts.add(purse.token);
    else expect(answer.json.detail).toMatch(/^(?:No balance to refund|Balance too small to refund)$/);
  }
  for (const token of received) payouts.add(token);

  let collected = 0;
  for (const token of payouts) collected += await buyer.receive(token);
  await end('SIGTERM');
  const audit = JSON.parse(await cli('audit', '--json'));
  const kept = Object.values(audit.equity as Record<string, number>).reduce((sum, amount) => sum + amount, 0);
  const owed = Object.values(audit.liabilities as Record<string, number>).reduce(
    (sum, amount) => sum + amount,
    0,
  );
  expect(audit.drift_msat).toBe(0);
  expect(audit.unfinished_operations).toBe(0);
  expect(audit.mints[0].spent).toBe(0);
  // What was paid in is with the buyer again, earned by the node, or dust of less than a sat on an account.
  expect(collected * 1000 + kept + owed).toBe(deposited * 1000);
  expect(owed).toBeLessThan(purses.length * 1000);
}, 400_000);
