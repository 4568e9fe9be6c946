/** `payout`: sends what the operator earned to a Lightning address. */
import type { Command } from 'commander';
import { createLogger } from './base/log.ts';
import { type CommandContext, type CommonOptions, withConfig, wholeNumber } from './cli-context.ts';
import { list } from './cli-output.ts';

interface PayoutCommand extends CommonOptions {
  to?: string;
  amount?: number;
  dryRun?: boolean;
}

export function addPayoutCommand(program: Command, context: CommandContext): void {
  withConfig(program.command('payout'))
    .description('send earnings of the stopped node to a Lightning address')
    .option('--to <address>', 'Lightning address (default: payout.lightning_address)')
    .option('--amount <sats>', 'how much (default: everything earned)', wholeNumber(1, 21e14))
    .option('--dry-run', 'ask for an invoice and its fees, and move nothing')
    .action((options: PayoutCommand) => payout(context, options));
}

async function payout(context: CommandContext, options: PayoutCommand): Promise<void> {
  const config = await context.load(options, { lenient: true });
  const { payOut } = await import('./node-payout.ts');
  const report = await payOut(config, {
    ...(options.to !== undefined && { to: options.to }),
    ...(options.amount !== undefined && { amount: options.amount }),
    dryRun: options.dryRun === true,
    log: createLogger({ level: 'error' }),
  });
  context.output(options).result(report, () =>
    list([
      ['status', report.status],
      ['to', report.recipient],
      ['earned', `${report.earned_msat} msat`],
      ['amount', `${report.amount_sats} sat`],
      [report.dry_run ? 'fee, at most' : 'fee', `${report.fee_msat} msat`],
    ]),
  );
}
