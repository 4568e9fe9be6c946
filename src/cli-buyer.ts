/** `discover | demo`: the network as a buyer sees it. */
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { EXIT, ExitError, NodeError } from './base/error.ts';
import { createLogger } from './base/log.ts';
import { type Msat, msat } from './base/money.ts';
import { systemClock } from './base/time.ts';
import { type CommandContext, type CommonOptions, wholeNumber, withConfig } from './cli-context.ts';
import { packagedRelays } from './cli-init.ts';
import { table } from './cli-output.ts';
import { configPath } from './config.ts';
import { parseRelays } from './relay/config.ts';
import type { RelayConfig } from './relay/relay.ts';

interface DiscoverOptions extends CommonOptions {
  relays?: string;
  relay?: string[];
  model?: string;
  maxPrice?: Msat;
  allowPrivate?: boolean;
}

export function addBuyerCommands(program: Command, context: CommandContext): void {
  withConfig(program.command('discover'))
    .description('find nodes on the relays, verify them and rank them')
    .option('--relays <file>', 'relays.json to use instead of the configured one')
    .option('--relay <url...>', 'relays to ask, by address')
    .option('--model <id>', 'only nodes that sell this model')
    .option('--max-price <sats>', 'most sats per 1,000,000 tokens, of input and of output each', price)
    .option('--allow-private', 'also contact announced private and loopback addresses')
    .action((options: DiscoverOptions) => runDiscover(context, options));

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

async function runDiscover(context: CommandContext, options: DiscoverOptions): Promise<void> {
  const { model, maxPrice, allowPrivate = false } = options;
  const relays = await relaysToAsk(context, options);
  const { discover } = await import('./client/discover.ts');
  const providers = await discover({
    relays,
    ...(model === undefined ? {} : { model }),
    ...(maxPrice === undefined ? {} : { maxPrice }),
    allowPrivate,
    clock: systemClock,
    log: createLogger({ level: 'error' }),
  });
  const sats = (amount: number | undefined): string =>
    amount === undefined ? '?' : (amount / 1000).toFixed(3);
  context.output(options).result(providers, () =>
    providers.length === 0
      ? 'No node was found.'
      : table(
          ['NAME', 'URL', 'PROVEN', 'MODELS', 'SATS/ASK', 'MS', 'NPUB'],
          providers.map((one) => [
            one.name,
            one.urls[0] ?? '',
            one.bound ? 'yes' : 'no',
            one.models.length,
            sats(one.expectedMsat),
            one.latencyMs === undefined ? '' : String(Math.round(one.latencyMs)),
            one.npub,
          ]),
        ),
  );
}

/** Named on the command line, else of the configuration, else those that come with the program. */
async function relaysToAsk(context: CommandContext, options: DiscoverOptions): Promise<RelayConfig[]> {
  const { env, cwd } = context.io;
  if (options.relay !== undefined) return parsed(options.relay, '--relay');
  if (options.relays !== undefined) {
    const file = resolve(cwd, options.relays);
    const text = await readFile(file, 'utf8').catch((cause: unknown) => {
      throw new ExitError(EXIT.refused, `--relays: ${file} cannot be read`, cause);
    });
    return parsed(text, '--relays');
  }
  const file = configPath({ file: options.config, env, cwd });
  const configured = options.config !== undefined || (await stat(file).catch(() => undefined)) !== undefined;
  if (configured) return (await context.load(options, { lenient: true })).relayList;
  return parsed(await packagedRelays(), 'relays.json');
}

function parsed(source: string | string[], name: string): RelayConfig[] {
  try {
    return parseRelays(typeof source === 'string' ? JSON.parse(source) : source);
  } catch (error) {
    if (error instanceof SyntaxError) throw new ExitError(EXIT.refused, `${name}: is not JSON`, error);
    if (error instanceof NodeError) throw new ExitError(EXIT.refused, `${name}: ${error.message}`, error);
    throw error;
  }
}

function price(text: string): Msat {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value > 1e12) {
    throw new InvalidArgumentError('expected sats per 1,000,000 tokens, e.g. 500');
  }
  return msat(Math.floor(value * 1000));
}
