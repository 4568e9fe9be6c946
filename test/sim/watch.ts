/** What holds at any moment: in the books of a living node, and in what a dead one left on its disk. */
import { silentLogger } from '../../src/base/log.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { auditLedger } from '../../src/ledger/level.ts';
import type { Verdict } from '../shop/verdict.ts';
import type { Disk } from './disk.ts';
import type { SimMint } from './mint.ts';
import { proofsOfNode } from './wallet.ts';

/** Fees of the operator's own payouts and the payouts themselves are taken out of what was earned. */
const TAKEN = new Set(['payouts', 'mint_fees']);

export function watchBooks(parts: { ledger: Ledger; mints: readonly SimMint[]; verdict: Verdict }): void {
  const { ledger, mints, verdict } = parts;
  const { drift, equity, liabilities } = ledger.totals();
  if (drift !== 0) verdict.found('lost', `drift of ${drift} msat`);
  let earned = 0;
  for (const [name, amount] of Object.entries(equity)) {
    earned += amount;
    if (amount < 0 && !TAKEN.has(name))
      verdict.found('lost', `the node paid ${Math.abs(amount)} msat out of its own pocket (${name})`);
  }
  if (earned < 0) verdict.found('lost', `the operator took ${Math.abs(earned)} msat of others`);
  for (const [name, amount] of Object.entries(liabilities))
    if (amount < 0) verdict.found('lost', `${name} is ${amount}`);
  // Proofs that a payment or a swap needs leave the pool with its intent: what is there is good at its mint.
  for (const mint of mints) {
    const own = ledger.proofs().filter((row) => row.mint === mint.url);
    const bad = proofsOfNode(own.map(({ proof }) => proof)).filter((proof) => !mint.isGood(proof));
    if (bad.length > 0) verdict.found('lost', `${bad.length} proofs of the node are worth nothing`);
  }
}

/** Folds the whole journal from its first entry, as it lies on the disk of a process that is dead. */
export async function auditDisk(disk: Disk, verdict: Verdict): Promise<number> {
  try {
    const storage = disk.storageFor(() => false);
    const { totals, openHolds } = await auditLedger({ dir: 'simulated', log: silentLogger, storage });
    if (totals.drift !== 0) verdict.found('lost', `drift of ${totals.drift} msat on disk`);
    return openHolds;
  } catch (error) {
    verdict.found('lost', `audit: ${String(error)}`);
    return 0;
  }
}

/** Operations that should come to an end: not invoices that nobody has paid. */
export const unfinished = (ledger: Ledger): number =>
  ledger
    .unfinished()
    .filter((each) => each.state === 'executing' && !(each.kind === 'mint' && each.paidAt === undefined))
    .length;
