/** Audit: recomputes every balance from the first entry, and asks the mints whether our proofs are still ours. */
import { type Logger, errorKind } from './base/log.ts';
import { type Clock, systemClock } from './base/time.ts';
import type { Config } from './config.ts';
import type { Totals } from './ledger/ledger.ts';
import { auditLedger } from './ledger/level.ts';
import { ledgerDir, mirrorDir } from './node-data.ts';
import { withTill } from './node-wallet.ts';
import type { Wallet } from './wallet/wallet.ts';

export interface AuditReport extends Omit<Totals, 'drift'> {
  /** assets - liabilities - equity; anything but 0 is a bug. */
  drift_msat: number;
  /** What the node would own if every client took its money now. */
  equity_msat: number;
  entries: number;
  open_holds: number;
  unfinished_operations: number;
  blocked_operations: number;
  proofs: { mint: string; unit: string; count: number; msat: number }[];
  /** What accounts are owed, by the mint and unit that they refund from. */
  owed: { mint: string; unit: string; accounts: number; msat: number }[];
  /** Last entry that the file HEAD names, and how far the mirror goes; null where there is none. */
  head_entry: number | null;
  mirror: { state: 'same' | 'ahead' | 'behind' | 'incomplete'; entry: number } | null;
  /** NUT-07 states of our proofs at each mint; absent with `--offline`. */
  mints?: MintAudit[];
}

export interface MintAudit {
  mint: string;
  unit: string;
  reachable: boolean;
  unspent: number;
  pending: number;
  spent: number;
}

/**
 * The books balance, nobody else's money was taken out of them, no proof of ours is spent, the mirror is whole. Fees that
 * kept clients' money alive before anything was earned are owed by the operator, and no fault (ADR 7).
 */
export const isSound = ({
  drift_msat: drift,
  equity_msat: total,
  equity,
  mirror,
  mints = [],
}: Pick<AuditReport, 'drift_msat' | 'equity_msat' | 'equity' | 'mirror' | 'mints'>): boolean =>
  drift === 0 &&
  total >= Math.min(0, equity['keyset_fees'] ?? 0) &&
  mints.every(({ spent }) => spent === 0) &&
  mirror?.state !== 'incomplete';

/** Throws ExitError 73 when a running node holds the ledger, 78 when the ledger is damaged. */
export async function auditNode(
  config: Config,
  options: { offline: boolean; log: Logger; clock?: Clock },
): Promise<AuditReport> {
  const { offline, log, clock = systemClock } = options;
  const audit = await auditLedger({ dir: ledgerDir(config), mirror: mirrorDir(config), log });
  const { drift, assets, liabilities, equity } = audit.totals;
  const report: AuditReport = {
    drift_msat: drift,
    equity_msat: Object.values(equity).reduce((sum, amount) => sum + amount, 0),
    entries: audit.entries,
    assets,
    liabilities,
    equity,
    open_holds: audit.openHolds,
    unfinished_operations: audit.unfinished,
    blocked_operations: audit.blocked,
    proofs: audit.proofs,
    owed: audit.owed,
    head_entry: audit.witness.head ?? null,
    mirror: audit.witness.mirror ?? null,
  };
  return offline ? report : { ...report, mints: await askMints(config, { log, clock }) };
}

async function askMints(config: Config, parts: { log: Logger; clock: Clock }): Promise<MintAudit[]> {
  return withTill(config, parts, async ({ ledger, wallet }) => {
    const held = ledger.proofs();
    const audits: MintAudit[] = [];
    for (const { url, unit } of config.mints) {
      const proofs = held.filter((row) => row.mint === url && row.unit === unit).map((row) => row.proof);
      audits.push(await askMint(wallet, url, unit, proofs, parts.log));
    }
    return audits;
  });
}

async function askMint(
  wallet: Wallet,
  mint: string,
  unit: 'sat' | 'msat',
  proofs: Parameters<typeof wallet.checkStates>[2],
  log: Logger,
): Promise<MintAudit> {
  try {
    const states = await wallet.checkStates(mint, unit, proofs);
    const count = (state: string): number => states.filter((each) => each === state).length;
    const reachable = count('UNKNOWN') === 0;
    return {
      mint,
      unit,
      reachable,
      unspent: count('UNSPENT'),
      pending: count('PENDING'),
      spent: count('SPENT'),
    };
  } catch (error) {
    log.warn('wallet.mint.unreachable', { mint, error: errorKind(error) });
    return { mint, unit, reachable: false, unspent: 0, pending: 0, spent: 0 };
  }
}
