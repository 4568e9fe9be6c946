/** `discover`: the providers on the relays, verified and ranked. */
import { type Command, InvalidArgumentError } from 'commander';
import { EXIT, ExitError } from './base/error.ts';
import { createLogger } from './base/log.ts';
import { type Msat, msat } from './base/money.ts';
import { systemClock } from './base/time.ts';
import { BUYER_DIR_HELP, buyerDir, pubkeysOf } from './cli-buyer-dir.ts';
import { type CommandContext, withConfig } from './cli-context.ts';
import { printable, table } from './cli-output.ts';
import { type RelayOptions, relaysToAsk } from './cli-relays.ts';
import type { Discovery } from './client/discover.ts';
import type { Provider } from './client/provider.ts';
import type { Mix } from './client/rank.ts';

interface DiscoverOptions extends RelayOptions {
  model?: string;
  maxPrice?: Msat;
  tokens?: Mix;
  allowPrivate?: boolean;
  unproven?: boolean;
  refresh?: boolean;
  why?: boolean;
  pin?: string[];
  follow?: string[];
  auditor?: string[];
  buyerDir?: string;
}

export function addDiscoverCommand(program: Command, context: CommandContext): void {
  withConfig(program.command('discover'))
    .description('find nodes on the relays, verify them and rank them')
    .option('--relays <file>', 'relays.json to use instead of the configured one')
    .option('--relay <url...>', 'relays to ask, by address')
    .option('--model <id>', 'only nodes that sell this model')
    .option('--max-price <sats>', 'most sats per 1,000,000 tokens, of input and of output each', price)
    .option('--tokens <in:out>', 'tokens of a request to compare prices by (default 1000:500)', mix)
    .option('--pin <npub...>', 'providers that you chose; they come first')
    .option('--follow <npub...>', 'people whose recommendations (kind 38000) count')
    .option('--auditor <npub...>', 'keys whose verdicts (kind 38425) count; nobody by default')
    .option('--why', 'also print the reasons of the rank')
    .option('--unproven', 'also list nodes and addresses that could not be proven')
    .option('--refresh', 'take the full time although there is an answer from last time')
    .option('--allow-private', 'also contact announced private and loopback addresses')
    .option('--buyer-dir <dir>', BUYER_DIR_HELP)
    .action((options: DiscoverOptions) => runDiscover(context, options));
}

async function runDiscover(context: CommandContext, options: DiscoverOptions): Promise<void> {
  const { model, maxPrice, tokens, allowPrivate = false, unproven = false, refresh = false } = options;
  const circle = {
    pinned: pubkeysOf(options.pin, '--pin'),
    follows: pubkeysOf(options.follow, '--follow'),
    auditors: pubkeysOf(options.auditor, '--auditor'),
  };
  const relays = await relaysToAsk(context, options);
  const log = createLogger({ level: 'error' });
  const dir = buyerDir(context.io, options.buyerDir);
  const [{ survey }, { createMemory }] = await Promise.all([
    import('./client/discover.ts'),
    import('./client/memory.ts'),
  ]);
  const discovery = await survey({
    relays,
    ...(model === undefined ? {} : { model }),
    ...(maxPrice === undefined ? {} : { maxPrice }),
    ...(tokens === undefined ? {} : { mix: tokens }),
    ...(dir === undefined ? {} : { memory: createMemory({ dir, log }) }),
    ...circle,
    allowPrivate,
    unproven,
    refresh,
    clock: systemClock,
    log,
  });
  // Without a relay an empty list would say that there are no nodes, which nobody knows.
  if (discovery.answered === 0 && discovery.providers.length === 0) {
    throw new ExitError(EXIT.unreachable, 'no relay answered');
  }
  const output = context.output(options);
  output.result(discovery.providers, () => shown(discovery.providers, options.why === true));
  output.note(remark(discovery));
}

const sats = (amount: number | undefined): string =>
  amount === undefined ? '?' : (amount / 1000).toFixed(3);

function shown(providers: readonly Provider[], why: boolean): string {
  if (providers.length === 0) return 'No node was found.';
  const lines = table(
    ['NAME', 'URL', 'PROVEN', 'DM', 'MODELS', 'SATS/ASK', 'MS', 'NPUB'],
    providers.map((one) => [
      one.name,
      one.urls[0] ?? '',
      one.bound ? 'yes' : 'no',
      one.dm === undefined ? 'no' : 'yes',
      one.models.length,
      sats(one.expectedMsat),
      one.latencyMs === undefined ? '' : String(Math.round(one.latencyMs)),
      one.npub,
    ]),
  );
  if (!why) return lines;
  const reasons = providers.map((one) =>
    [one.npub, ...one.reasons.map((line) => `  ${printable(line)}`)].join('\n'),
  );
  return [lines, ...reasons].join('\n');
}

/** What was left out, so that an empty list explains itself. */
function remark({ dropped, warm }: Discovery): string {
  const left = Object.entries(dropped).map(([reason, count]) => `${count} ${reason.replaceAll('_', ' ')}`);
  return [
    ...(warm ? ['answered from last time; --refresh asks again'] : []),
    ...(left.length === 0 ? [] : [`left out: ${left.join(', ')}`]),
  ].join('\n');
}

function price(text: string): Msat {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value > 1e12) {
    throw new InvalidArgumentError('expected sats per 1,000,000 tokens, e.g. 500');
  }
  return msat(Math.floor(value * 1000));
}

function mix(text: string): Mix {
  const read = /^(\d{1,8}):(\d{1,8})$/.exec(text);
  if (read === null) throw new InvalidArgumentError('expected tokens in and out, e.g. 1000:500');
  return { promptTokens: Number(read[1]), completionTokens: Number(read[2]) };
}
