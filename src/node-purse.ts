/** The operator's hand in the purse of a stopped node: what is there, taking out what was earned, putting in his own. */
import { EXIT, ExitError } from './base/error.ts';
import { sha256Hex } from './base/id.ts';
import { fromSat, msatPerUnit, unitToMsat } from './base/money.ts';
import type { Config } from './config.ts';
import { OPERATOR_ACCOUNT } from './gateway/lightning.ts';
import type { PaidOut } from './gateway/payout.ts';
import { auditLedger } from './ledger/level.ts';
import { ledgerDir } from './node-data.ts';
import { type Till, type Tools, withTill } from './node-wallet.ts';

export interface ShelfBalance {
  mint: string;
  unit: string;
  proofs: number;
  /** Worth of the proofs in hand. */
  assets_msat: number;
  /** What accounts are owed that refund from here first. */
  owed_msat: number;
}
export interface PurseReport {
  shelves: ShelfBalance[];
  assets_msat: number;
  liabilities_msat: number;
  /** What the operator may take out. */
  equity_msat: number;
  /** Negative: mint fees for keeping clients' money that nothing earned could pay; part of `equity_msat`. */
  keyset_fees_msat: number;
  drift_msat: number;
  blocked_operations: number;
}

/** From the journal alone; no mint is asked. Throws ExitError 73, 78. */
export async function purseBalance(config: Config, { log }: Pick<Tools, 'log'>): Promise<PurseReport> {
  const { totals, proofs, owed, blocked } = await auditLedger({ dir: ledgerDir(config), log });
  const shelves = new Map<string, ShelfBalance>();
  const shelf = ({ mint, unit }: { mint: string; unit: string }): ShelfBalance => {
    const found = shelves.get(`${mint}|${unit}`) ?? { mint, unit, proofs: 0, assets_msat: 0, owed_msat: 0 };
    shelves.set(`${mint}|${unit}`, found);
    return found;
  };
  for (const { url, unit } of config.mints) shelf({ mint: url, unit });
  for (const each of proofs) Object.assign(shelf(each), { proofs: each.count, assets_msat: each.msat });
  for (const each of owed) shelf(each).owed_msat = each.msat;
  const sum = (group: Record<string, number>): number =>
    Object.values(group).reduce((all, one) => all + one, 0);
  return {
    shelves: [...shelves.values()],
    assets_msat: sum(totals.assets),
    liabilities_msat: sum(totals.liabilities),
    equity_msat: sum(totals.equity),
    keyset_fees_msat: totals.equity['keyset_fees'] ?? 0,
    drift_msat: totals.drift,
    blocked_operations: blocked,
  };
}

export interface SendReport {
  dry_run: boolean;
  earned_msat: number;
  amount_sats: number;
  mint?: string;
  operation_id?: string;
  /** It was made before and perhaps never seen: the same command gives it again until it was printed. */
  replayed?: boolean;
  token?: string;
}

/** How many tokens of the operator were handed over; the next one is remembered under this number until it was. */
const SENT = 'wallet.sent';

/**
 * A token out of what was earned, never more. `told` hands it over; a process that dies before makes the same token
 * again. Throws ExitError 6 when too little was earned.
 */
export function purseSend(
  config: Config,
  tools: Tools,
  order: { sats: number; dryRun: boolean; told: (report: SendReport) => void },
): Promise<void> {
  const { sats, dryRun, told } = order;
  return withTill(config, tools, async ({ ledger, payouts }) => {
    const earned = ledger.earned();
    const report = { dry_run: dryRun, earned_msat: earned, amount_sats: sats };
    const number = Number(ledger.getValue(SENT) ?? 0);
    const idempotency = { id: sha256Hex(`operator|${number}`).slice(0, 32), request: String(sats) };
    const before = ledger.remembered(idempotency.id);
    const known = before?.operation === undefined ? undefined : ledger.operation(before.operation);
    const open = known?.state === 'failed' ? undefined : known;
    if (open && before?.request !== idempotency.request)
      throw new ExitError(
        EXIT.error,
        `a token of ${before?.request} sat was made and never handed over; send ${before?.request} first`,
      );
    if (open === undefined && fromSat(sats) > earned) throw tooLittle(earned);
    if (dryRun) return told(report);
    const paid = open ? await payouts.again(open.id) : await sent(payouts, { sats, idempotency }, earned);
    const { token, mint, operation, replayed } = paid;
    told({ ...report, mint, operation_id: operation, replayed, token: token.reveal() });
    await ledger.putValue(SENT, String(number + 1)).durable;
  });
}

async function sent(
  payouts: Till['payouts'],
  { sats, idempotency }: { sats: number; idempotency: { id: string; request: string } },
  earned: number,
): Promise<PaidOut> {
  const account = OPERATOR_ACCOUNT;
  const paid = await payouts.send({ account, purpose: 'withdraw', amount: sats, idempotency });
  if (paid === undefined) throw tooLittle(earned);
  return paid;
}

const tooLittle = (earned: number): ExitError =>
  new ExitError(EXIT.insufficientFunds, `too little was earned for this: ${earned} msat, mint fees included`);

export interface ReceiveReport {
  dry_run: boolean;
  mint: string;
  face_msat: number;
  /** What the mint leaves of it; with a dry run what it would leave. */
  credited_msat: number;
  replayed?: boolean;
  operation_id?: string;
}

/** Swaps a token and books it as the operator's own. Throws NodeError as a deposit does. */
export function purseReceive(
  config: Config,
  tools: Tools,
  { token, dryRun }: { token: string; dryRun: boolean },
): Promise<ReceiveReport> {
  return withTill(config, tools, async ({ wallet, deposits }) => {
    const info = wallet.inspect(token.trim());
    const common = { dry_run: dryRun, mint: info.mint, face_msat: info.face };
    if (dryRun) {
      const { net } = await wallet.planReceive(info);
      return { ...common, credited_msat: net * msatPerUnit(info.unit) };
    }
    const to = { account: OPERATOR_ACCOUNT, accountKind: 'key', purpose: 'equity' } as const;
    const { operation, replayed } = await deposits.deposit(info, to);
    const units = operation.plan.amounts.reduce((sum, amount) => sum + amount, 0);
    return {
      ...common,
      credited_msat: unitToMsat(units, operation.unit),
      replayed,
      operation_id: operation.id,
    };
  });
}
