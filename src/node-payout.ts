/** Payout by hand: sends earnings of a stopped node to a Lightning address, with the same code as the running one. */
import { EXIT, ExitError, NodeError } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import type { Logger } from './base/log.ts';
import { type Clock, systemClock } from './base/time.ts';
import type { Config } from './config.ts';
import { OPERATOR_ACCOUNT } from './gateway/lightning.ts';
import type { MeltOrder } from './gateway/melt.ts';
import type { MeltOperation } from './ledger/lightning.ts';
import { type Till, withTill } from './node-wallet.ts';

export interface PayoutOptions {
  /** Replaces the configured address. */
  to?: string;
  /** In sat; everything that was earned by default. */
  amount?: number;
  dryRun: boolean;
  log: Logger;
  clock?: Clock;
}
export interface PayoutReport {
  dry_run: boolean;
  recipient: string;
  /** What the operator could take out before this payout. */
  earned_msat: number;
  amount_sats: number;
  /** With a dry run the most that the payment may cost, else what it did cost. */
  fee_msat: number;
  status: 'planned' | 'paid' | 'pending';
  operation_id?: string;
}

/** Throws ExitError 73 when a running node holds the ledger, 6 when too little was earned, 3 for a mint that is away. */
export async function payOut(config: Config, options: PayoutOptions): Promise<PayoutReport> {
  const { log, clock = systemClock } = options;
  const recipient = options.to ?? config.payout?.lightning_address;
  if (recipient === undefined)
    throw new ExitError(EXIT.usage, 'no Lightning address: set payout.lightning_address or use --to');
  return withTill(config, { log, clock }, (till) => run(till, recipient, options));
}

async function run(
  { ledger, melts, driver }: Pick<Till, 'ledger' | 'melts' | 'driver'>,
  recipient: string,
  { amount, dryRun }: PayoutOptions,
): Promise<PayoutReport> {
  const earned = ledger.earned();
  const order: MeltOrder = {
    account: OPERATOR_ACCOUNT,
    purpose: 'withdraw',
    recipient,
    asked: amount ?? 'all',
  };
  const common = { dry_run: dryRun, recipient, earned_msat: earned };
  try {
    // One that was begun before is finished first: there is never a second beside it, nor one for the same order.
    for (const operation of ledger.unfinished()) {
      if (operation.kind !== 'melt' || operation.purpose !== 'withdraw' || operation.state !== 'executing')
        continue;
      melts.resume(operation);
      if (dryRun) continue;
      await driver.wait(operation.id, LIMITS.mint.clientWaitMs);
      const isSame = operation.asked === order.asked && operation.recipient === recipient;
      if (isSame && ledger.operation(operation.id)?.state !== 'failed')
        return reportOf((await melts.again(operation.id)).operation, common);
    }
    if (dryRun) {
      const { amountSats, feeReserveMsat } = await melts.preview(order);
      return { ...common, amount_sats: amountSats, fee_msat: feeReserveMsat, status: 'planned' };
    }
    const { operation } = await melts.pay(order);
    return reportOf(operation, common);
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    if (error.code === 'refund_too_small' || error.code === 'insufficient_balance')
      throw new ExitError(
        EXIT.insufficientFunds,
        `too little was earned for this payout: ${earned} msat, fees included`,
        error,
      );
    if (error.code !== 'refund_pending') throw error;
    const id = error.options.metadata?.['operation_id'];
    return {
      ...common,
      amount_sats: amount ?? 0,
      fee_msat: 0,
      status: 'pending',
      ...(typeof id === 'string' && { operation_id: id }),
    };
  }
}

function reportOf(
  { id, unit, amount, spent }: MeltOperation,
  common: Pick<PayoutReport, 'dry_run' | 'recipient' | 'earned_msat'>,
): PayoutReport {
  const paid = unit === 'sat' ? amount * 1000 : amount;
  return {
    ...common,
    amount_sats: paid / 1000,
    fee_msat: (spent ?? paid) - paid,
    status: 'paid',
    operation_id: id,
  };
}
