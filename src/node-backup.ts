/** Backup and restore of a node's ledger: where its parts lie, and what is reported. */
import { EXIT, ExitError } from './base/error.ts';
import type { Logger } from './base/log.ts';
import type { Config } from './config.ts';
import type { Totals } from './ledger/ledger.ts';
import { backupLedger, restoreLedger } from './ledger/level.ts';
import { ledgerDir, mirrorDir } from './node-data.ts';

export interface CopyReport extends Omit<Totals, 'drift'> {
  /** Of the backup, or of the restored ledger. */
  path: string;
  entries: number;
  drift_msat: number;
}

/** Throws ExitError 73 when a running node keeps no mirror, 78 when the ledger is damaged. */
export async function backupNode(config: Config, target: string, log: Logger): Promise<CopyReport> {
  const options = { dir: ledgerDir(config), mirror: mirrorDir(config), target, log };
  const { entries, totals } = await backupLedger(options);
  return { path: target, entries, ...report(totals) };
}

/** Throws ExitError 5 when there is nothing at `source`, 78 where a ledger exists or the copy does not add up. */
export async function restoreNode(config: Config, source: string, log: Logger): Promise<CopyReport> {
  const dir = ledgerDir(config);
  const { entries, totals } = await restoreLedger({ source, dir, log });
  if (totals.drift !== 0) throw new ExitError(EXIT.refused, 'The restored books do not balance.');
  return { path: dir, entries, ...report(totals) };
}

const report = ({ drift, ...sides }: Totals) => ({ ...sides, drift_msat: drift });
