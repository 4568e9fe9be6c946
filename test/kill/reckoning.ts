/** Reckoning: at the end every sat that the mint ever issued must be somewhere, once. */
import { getDecodedToken } from '@cashu/cashu-ts';
import type { TestMint } from '../../src/demo/mint.ts';
import { yOf } from '../../src/demo/mint-book.ts';
import { createBuyer } from '../../src/demo/buyer.ts';
import type { Token } from '../shop/till.ts';
import type { Verdict } from '../shop/verdict.ts';

export interface Audit {
  drift_msat: number;
  equity_msat: number;
  open_holds: number;
  unfinished_operations: number;
  blocked_operations: number;
  liabilities: Record<string, number>;
  equity: Record<string, number>;
  assets: Record<string, number>;
  proofs: { msat: number }[];
  mints?: { spent: number; pending: number; reachable: boolean }[];
}

/** Tokens that are really redeemed at the mint at the end; the others are only asked for their state. */
const REDEEMED = 40;

/** Sats that are neither with a buyer nor with the node; negative: more than were issued. */
export async function strandedSats(parts: {
  mint: TestMint;
  owned: readonly Token[];
  audit: Audit;
  verdict: Verdict;
}): Promise<number> {
  const { mint, owned, audit, verdict } = parts;
  const { outstanding } = mint.stats;
  let withBuyers = 0;
  for (const token of owned) {
    if (await isUnspent(mint, token)) withBuyers += token.sats;
    else verdict.found('lost', `a token of ${token.sats} sat that the node paid out is spent`);
  }
  const withNode = audit.proofs.reduce((sum, { msat }) => sum + msat, 0) / 1000;
  const buyer = await createBuyer({ mintUrl: mint.url });
  for (const token of owned.slice(-REDEEMED)) {
    const got = await buyer.receive(token.text).catch(() => 0);
    if (got !== token.sats) verdict.found('lost', `a token of ${token.sats} sat was worth ${got}`);
  }
  return outstanding - withBuyers - withNode;
}

async function isUnspent(mint: TestMint, { text, sats }: Token): Promise<boolean> {
  const { proofs } = getDecodedToken(text, [mint.keyset()]);
  const Ys = proofs.map((proof) => yOf(proof.secret));
  const answer = await fetch(`${mint.url}/v1/checkstate`, { method: 'POST', body: JSON.stringify({ Ys }) });
  const { states } = (await answer.json()) as { states: { state: string }[] };
  const face = proofs.reduce((sum, { amount }) => sum + Number(amount), 0);
  return face === sats && states.every(({ state }) => state === 'UNSPENT');
}
