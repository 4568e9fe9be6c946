/** Reckoning of a history: what the mints know, against what the node has and what its buyers were told. */
import type { Ledger } from '../../src/ledger/ledger.ts';
import type { Verdict } from '../shop/verdict.ts';
import type { SimLightning } from './lightning.ts';
import type { SimMint } from './mint.ts';
import { OPERATOR_ADDRESS } from './node.ts';
import { decodeToken, proofsOfNode } from './wallet.ts';
import { unfinished, watchBooks } from './watch.ts';

export function reckon(parts: {
  ledger: Ledger;
  mints: readonly SimMint[];
  lightning: SimLightning;
  /** Msats that addresses of buyers have to have, by address. */
  awaited: ReadonlyMap<string, number>;
  /** Every token that was ever issued or paid out to a buyer. */
  told: readonly string[];
  verdict: Verdict;
}): void {
  const { ledger, mints, lightning, awaited, told, verdict } = parts;
  const lies = mints.reduce((sum, mint) => sum + mint.lies(), 0);
  const { blocked } = ledger.health();
  for (let i = unfinished(ledger); i > 0; i--) verdict.found('unresolved', 'an operation is still executing');
  if (blocked > lies) verdict.found('unresolved', `${blocked} operations are blocked, with ${lies} lies`);
  watchBooks(parts);
  for (const mint of mints) reckonMint(mint, parts, lies);
  for (const [address, msats] of awaited) arrived(address, msats);
  arrived(OPERATOR_ADDRESS, 0 - (ledger.totals().equity['payouts'] ?? 0));

  function arrived(address: string, wanted: number): void {
    const got = lightning.received(address);
    if (got !== wanted)
      verdict.found(got < wanted ? 'lost' : 'duplicated', `${address} got ${got} msat and not ${wanted}`);
  }
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
  if (mint.unissued() > 0)
    verdict.found('lost', `${mint.unissued()} invoices were paid and nothing was minted for them`);
  const withNode = proofsOfNode(
    ledger
      .proofs()
      .filter((row) => row.mint === mint.url)
      .map(({ proof }) => proof),
  );
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
