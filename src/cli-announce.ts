/** `announce show | publish | retract`. */
import type { Command } from 'commander';
import { EXIT, ExitError } from './base/error.ts';
import { createLogger } from './base/log.ts';
import { type CommandContext, type CommonOptions, withConfig } from './cli-context.ts';
import { table } from './cli-output.ts';
import type { Config } from './config.ts';
import type { PublishOutcome } from './relay/relay.ts';

const quiet = () => createLogger({ level: 'error' });

export function addAnnounceCommands(program: Command, context: CommandContext): void {
  const announce = program.command('announce').description('show, publish or withdraw the announcement');

  withConfig(announce.command('show'))
    .description('print the announcement as it would be signed now')
    .action(async (options: CommonOptions) => {
      const config = await context.load(options, { lenient: true });
      const { announceShow } = await import('./node-announce.ts');
      const event = await announceShow(config, { log: quiet() });
      context.output(options).result(event, () => JSON.stringify(event, null, 2));
    });

  withConfig(announce.command('publish'))
    .description('publish the announcement once; a running node does so by itself')
    .action(async (options: CommonOptions) => {
      const { announcePublish } = await import('./node-announce.ts');
      await tell(options, (config) => announcePublish(config, { log: quiet() }));
    });

  withConfig(announce.command('retract'))
    .description('tell the relays that this node is gone and its announcement should be deleted')
    .action(async (options: CommonOptions) => {
      const { announceRetract } = await import('./node-announce.ts');
      await tell(options, (config) => announceRetract(config, { log: quiet() }));
    });

  /** One relay that took the event is enough; none is a failure. */
  const tell = async (
    options: CommonOptions,
    publish: (config: Config) => Promise<PublishOutcome[]>,
  ): Promise<void> => {
    const outcomes = await publish(await context.load(options, { lenient: true }));
    context.output(options).result(outcomes, () =>
      table(
        ['RELAY', 'OUTCOME', 'REASON'],
        outcomes.map((said) => [said.url, said.outcome, 'reason' in said ? said.reason : '']),
      ),
    );
    if (!outcomes.some(({ outcome }) => outcome === 'ok' || outcome === 'duplicate')) {
      throw new ExitError(EXIT.unreachable, 'no relay accepted the event');
    }
  };
}
