import { onTestFinished, test } from 'vitest';
import { createWorld } from '../wallet/harness.ts';
import { MINT_CONTRACT } from './mint.ts';

test.each(MINT_CONTRACT)('the play-money mint: $name', async ({ run }) => {
  const world = await createWorld({ autoPay: false, feePpk: 100 });
  onTestFinished(() => world[Symbol.asyncDispose]());
  const { wallet, mint, plan } = world;
  await run({ wallet, mint: mint.url, plan, pay: (quote) => mint.payQuote(quote.quote) });
});
