/** Commands for buyers: `discover`, and `demo`, the whole network on one machine. */
import type { Command } from 'commander';
import { type CommandContext, wholeNumber } from './cli-context.ts';
import { addChatCommand } from './cli-chat.ts';
import { addDiscoverCommand } from './cli-discover.ts';
import { addProxyCommand } from './cli-proxy.ts';

export function addBuyerCommands(program: Command, context: CommandContext): void {
  addDiscoverCommand(program, context);
  addProxyCommand(program, context);
  addChatCommand(program, context);

  program
    .command('demo')
    .description('run relay, mint, model, node and buyer on this machine, with play money')
    .option('--once', 'tell the story and exit')
    .option('--port <number>', 'port of the node', wholeNumber(0, 65_535))
    .option('--json', 'print JSON')
    .action(async (options: { once?: boolean; port?: number; json?: boolean }) => {
      const stop = new AbortController();
      context.io.onSignal(() => stop.abort());
      const { runDemo } = await import('./demo.ts');
      const code = await runDemo({
        once: options.once === true,
        json: context.output(options).json,
        ...(options.port === undefined ? {} : { port: options.port }),
        print: (line) => context.io.stdout.write(`${line}\n`),
        signal: stop.signal,
      });
      context.exit(code);
    });
}
