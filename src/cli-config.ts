/** `config check | print | schema`. */
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { type CommandContext, type CommonOptions, withConfig } from './cli-context.ts';
import type { Config } from './config.ts';
import { settingsJsonSchema } from './config-schema.ts';

export function addConfigCommands(program: Command, context: CommandContext): void {
  const config = program.command('config').description('check, print or describe the configuration');

  withConfig(config.command('check'))
    .description('say whether the node would start with this configuration')
    .action(async (options: CommonOptions) => {
      const { file, warnings } = await context.load(options);
      context.output(options).result({ ok: true, file, warnings }, () => `${file}: ok`);
    });

  withConfig(config.command('print'))
    .description('print the values in effect; secrets stay references')
    .action(async (options: CommonOptions) => {
      const settings = settingsOf(await context.load(options, { lenient: true }));
      context.output(options).result(settings, () => stringify(settings).trimEnd());
    });

  config
    .command('schema')
    .description('print the JSON Schema of node.yaml')
    .option('--json', 'print JSON')
    .action((options: CommonOptions) => {
      const schema = settingsJsonSchema();
      context.output(options).result(schema, () => JSON.stringify(schema, null, 2));
    });
}

/** Only what stands in the file. Resolved secrets are left behind here, not merely masked. */
function settingsOf(config: Config): unknown {
  const { secrets: _secrets, relayList, warnings: _warnings, base_dir: _baseDir, file, ...settings } = config;
  return { file, ...settings, relays: relayList };
}
