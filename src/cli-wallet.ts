/** `wallet balance | recover | send | receive`: the purse of a stopped node in the hands of its operator. */
import type { Command } from 'commander';
import { EXIT } from './base/error.ts';
import { createLogger } from './base/log.ts';
import { systemClock } from './base/time.ts';
import { type CommandContext, type CommonOptions, withConfig, wholeNumber } from './cli-context.ts';
import { list, table } from './cli-output.ts';
import { tokenText } from './cli-token.ts';
import type { BlockedOperation } from './node-recover.ts';

type WithDryRun = CommonOptions & { dryRun?: boolean };

export function addWalletCommands(program: Command, context: CommandContext): void {
  const wallet = program.command('wallet').description('look into the purse of the stopped node');

  withConfig(wallet.command('balance'))
    .description('what is in hand and what is owed, for each mint and unit')
    .action((options: CommonOptions) => balance(context, options));

  withConfig(wallet.command('recover'))
    .description('list operations that wait for the operator, with what their mints say about them now')
    .option('--retry <id>', 'take one of them up again')
    .option('--dry-run', 'show what is known, and change nothing')
    .action((options: WithDryRun & { retry?: string }) => recover(context, options));

  withConfig(wallet.command('send'))
    .description('make a token out of what was earned; never of what clients are owed')
    .argument('<sats>', 'how much', wholeNumber(1, 21e14))
    .option('--dry-run', 'only say whether so much was earned')
    .action((sats: number, options: WithDryRun) => send(context, sats, options));

  withConfig(wallet.command('receive'))
    .description("put a token of the operator's own into the purse")
    .argument('<token>', 'the token, or - to read it from standard input, or @file')
    .option('--dry-run', 'ask the mint for its fee, and redeem nothing')
    .action((token: string, options: WithDryRun) => receive(context, token, options));
}

const tools = () => ({ log: createLogger({ level: 'error' }), clock: systemClock });

async function balance(context: CommandContext, options: CommonOptions): Promise<void> {
  const config = await context.load(options, { lenient: true });
  const { purseBalance } = await import('./node-purse.ts');
  const report = await purseBalance(config, tools());
  context.output(options).result(report, () =>
    [
      table(
        ['MINT', 'UNIT', 'PROOFS', 'IN HAND (MSAT)', 'OWED (MSAT)'],
        report.shelves.map(({ mint, unit, proofs, assets_msat, owed_msat }) => [
          mint,
          unit,
          proofs,
          assets_msat,
          owed_msat,
        ]),
      ),
      list([
        ['assets', `${report.assets_msat} msat`],
        ['owed to clients', `${report.liabilities_msat} msat`],
        ['yours', `${report.equity_msat} msat`],
        ['blocked', report.blocked_operations],
      ]),
    ].join('\n'),
  );
  if (report.drift_msat !== 0 || report.equity_msat < report.keyset_fees_msat) context.exit(EXIT.error);
}

async function recover(context: CommandContext, options: WithDryRun & { retry?: string }): Promise<void> {
  const config = await context.load(options, { lenient: true });
  const { blockedOperations, retryBlocked } = await import('./node-recover.ts');
  if (options.retry !== undefined) {
    const order = { id: options.retry, dryRun: options.dryRun === true };
    const tried = await retryBlocked(config, tools(), order);
    context.output(options).result(tried, () => operationText(tried));
    if (!order.dryRun && tried.state === 'blocked') context.exit(EXIT.error);
    return;
  }
  const operations = await blockedOperations(config, tools());
  context
    .output(options)
    .result({ operations }, () =>
      operations.length === 0 ? 'No operation is blocked.' : operations.map(operationText).join('\n\n'),
    );
}

const operationText = (operation: BlockedOperation): string =>
  list([
    ['operation', operation.id],
    ['what', `${operation.kind}, ${operation.purpose}`],
    ['state', operation.reason === undefined ? operation.state : `${operation.state} (${operation.reason})`],
    ['mint', `${operation.mint} (${operation.unit})`],
    ['account', operation.account],
    ['amount', `${operation.amount_msat} msat`],
    ['since', new Date(operation.created_at * 1000).toISOString()],
    ...Object.entries(operation.evidence),
  ]);

async function send(context: CommandContext, sats: number, options: WithDryRun): Promise<void> {
  const config = await context.load(options, { lenient: true });
  const { purseSend } = await import('./node-purse.ts');
  await purseSend(config, tools(), {
    sats,
    dryRun: options.dryRun === true,
    told: (report) =>
      context
        .output(options)
        .result(report, () =>
          list([
            ['earned', `${report.earned_msat} msat`],
            [report.dry_run ? 'would be sent' : 'sent', `${report.amount_sats} sat`],
            ...(report.operation_id === undefined ? [] : [['operation', report.operation_id] as const]),
            ...(report.token === undefined ? [] : [['token', report.token] as const]),
          ]),
        ),
  });
}

async function receive(context: CommandContext, given: string, options: WithDryRun): Promise<void> {
  const config = await context.load(options, { lenient: true });
  const { purseReceive } = await import('./node-purse.ts');
  const token = await tokenText(context, given);
  const report = await purseReceive(config, tools(), { token, dryRun: options.dryRun === true });
  context.output(options).result(report, () =>
    list([
      ['mint', report.mint],
      ['face value', `${report.face_msat} msat`],
      [report.dry_run ? 'would be yours' : 'yours', `${report.credited_msat} msat`],
    ]),
  );
}
