/** `backup | restore`: a verified copy of the ledger, and a ledger from such a copy. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { createLogger } from './base/log.ts';
import { type CommandContext, type CommonOptions, withConfig } from './cli-context.ts';
import { list } from './cli-output.ts';

export function addBackupCommands(program: Command, context: CommandContext): void {
  withConfig(program.command('backup'))
    .description('copy the ledger into a new directory and verify the copy; the node may be running')
    .argument('<target>', 'directory that does not exist yet')
    .action((target: string, options: CommonOptions) => backup(context, target, options));

  withConfig(program.command('restore'))
    .description('build the ledger anew from its mirror or a backup; never touches one that exists')
    .argument('<source>', 'directory of a mirror or a backup')
    .action((source: string, options: CommonOptions) => restore(context, source, options));
}

async function backup(context: CommandContext, target: string, options: CommonOptions): Promise<void> {
  const config = await context.load(options, { lenient: true });
  const { backupNode } = await import('./node-backup.ts');
  const report = await backupNode(config, resolve(context.io.cwd, target), createLogger({ level: 'error' }));
  context.output(options).result(report, () => text('backup', report));
  context.output(options).note('The seed and the key are not in it: keep them apart from it.');
}

async function restore(context: CommandContext, source: string, options: CommonOptions): Promise<void> {
  const config = await context.load(options, { lenient: true });
  const { restoreNode } = await import('./node-backup.ts');
  const report = await restoreNode(config, resolve(context.io.cwd, source), createLogger({ level: 'error' }));
  context.output(options).result(report, () => text('ledger', report));
}

const text = (name: string, report: { path: string; entries: number; drift_msat: number }): string =>
  list([
    [name, report.path],
    ['entries', report.entries],
    ['drift', `${report.drift_msat} msat`],
  ]);
