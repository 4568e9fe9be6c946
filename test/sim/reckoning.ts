/** Reckoning of a history: what the mints know, against what the node has and what its buyers were told. */
import type { Ledger } from '../../src/ledger/ledger.ts';
import type { Verdict } from '../shop/verdict.ts';
import type { SimMint } from './mint.ts';
import { decodeToken, proofsOfNode } from './wallet.ts';

export function reckon(parts: {
  ledger: Ledger;
  mints: readonly SimMint[];
  /** Every token that was ever issued or paid out to a buyer. */
  told: readonly string[];
  verdict: Verdict;
}): void {
  const { ledger, mints, told, verdict } = parts;
  const lies = mints.reduce((sum, mint) => sum + mint.lies(), 0);
  const { executing, blocked } = ledger.health();
  for (let i = 0; i < executing; i++) verdict.found('unresolved', 'an operation is still executing');
  if (blocked > lies) verdict.found('unresolved', `${blocked} operations are blocked, with ${lies} lies`);
  for (const mint of mints) reckonMint(mint, parts, lies);
  const { drift, equity } = ledger.totals();
  if (drift !== 0) verdict.found('lost', `drift of ${drift} msat`);
  for (const [name, amount] of Object.entries(equity))
    if (amount < 0)
      verdict.found('lost', `the node paid ${Math.abs(amount)} msat out of its own pocket (${name})`);
  for (const text of new Set(told)) {
    const { mint: url, proofs } = decodeToken(text);
    const mint = mints.find((each) => each.url === url);
    if (!mint || !proofs.every((proof) => mint.wasGood(proof)))
      verdict.found('lost', 'a buyer was given a token that no mint ever signed');
  }
}

function reckonMint(
  mint: SimMint,
  { ledger, told, verdict }: Parameters<typeof reckon>[0],
  lies: number,
): void {
  const withNode = proofsOfNode(
    ledger
      .proofs()
      .filter((row) => row.mint === mint.url)
      .map(({ proof }) => proof),
  );
  const bad = withNode.filter((proof) => !mint.isGood(proof));
  if (bad.length > 0) verdict.found('lost', `${bad.length} proofs of the node are worth nothing`);
  const withBuyers = new Map<string, number>();
  for (const text of told) {
    const token = decodeToken(text);
    if (token.mint !== mint.url) continue;
    for (const proof of token.proofs) if (mint.isGood(proof)) withBuyers.set(proof.secret, proof.amount);
  }
  const twice = withNode.filter(({ secret }) => withBuyers.has(secret));
  if (twice.length > 0)
    verdict.found('duplicated', `${twice.length} proofs belong to a buyer and to the node`);
  const ofBuyers = [...withBuyers.values()].reduce((sum, amount) => sum + amount, 0);
  const ofNode = withNode.reduce((sum, { amount }) => sum + amount, 0);
  const stranded = mint.outstanding() - ofBuyers - ofNode;
  if (stranded < 0 || (stranded > 0 && lies === 0)) verdict.found('lost', `${stranded} sat are stranded`);
}
