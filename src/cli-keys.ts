/** `keys list | show | create | revoke`: the keys of a stopped node in the hands of its operator. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { EXIT, ExitError } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import { createLogger } from './base/log.ts';
import { msat } from './base/money.ts';
import { Secret } from './base/secret.ts';
import { systemClock, unixSeconds } from './base/time.ts';
import { secretOf } from './cli-buyer-key.ts';
import { type CommandContext, type CommonOptions, withConfig, wholeNumber } from './cli-context.ts';
import { keyListText, keyText, madeText, revokedText } from './cli-keys-text.ts';
import { tokenText } from './cli-token.ts';
import type { WantedKey } from './node-keys.ts';

interface CreateOptions extends CommonOptions {
  token?: string;
  parent?: string;
  count: number;
  limit?: number;
  reset?: string;
  expires?: number;
  model?: string[];
  refundAddress?: string;
  dryRun?: boolean;
}

const KEY_HELP = 'id as in keys list, npub, or the key itself as env:NAME or file:PATH';

export function addKeysCommands(program: Command, context: CommandContext): void {
  const keys = program.command('keys').description('look at, make and end keys of the stopped node');

  withConfig(keys.command('list'))
    .description('every key with what it holds, richest first; the keys themselves are not on record')
    .option('--limit <number>', 'at most so many', wholeNumber(1, 1_000_000), LIMITS.config.keysListed)
    .action(async (options: CommonOptions & { limit: number }) => {
      const config = await context.load(options, { lenient: true });
      const { listKeys } = await import('./node-keys.ts');
      const list = await listKeys(config, tools(), options.limit);
      context.output(options).result(list, () => keyListText(list));
    });

  withConfig(keys.command('show'))
    .description('one key')
    .argument('<key>', KEY_HELP)
    .action(async (key: string, options: CommonOptions) => {
      const config = await context.load(options, { lenient: true });
      const { showKey } = await import('./node-keys.ts');
      const facts = await showKey(config, tools(), await wanted(context, key));
      context.output(options).result(facts, () => keyText(facts));
    });

  withConfig(keys.command('create'))
    .description('make a key out of a token, or child keys that spend the balance of a key that you hold')
    .option('--token <token>', 'the token: - for standard input, or @file')
    .option('--parent <reference>', 'the key whose balance is spent, env:NAME or file:PATH')
    .option('--count <number>', 'child keys', wholeNumber(1, LIMITS.children.perRequestMax), 1)
    .option('--limit <sats>', 'most that each key may spend', wholeNumber(1, 9e12))
    .addOption(new Option('--reset <period>', 'count the limit anew').choices(['daily', 'weekly', 'monthly']))
    .option('--expires <date>', 'when it ends, e.g. 2027-01-31 or 2027-01-31T12:00:00Z', futureDate)
    .option('--model <id...>', 'the only models that child keys may ask for')
    .option('--refund-address <address>', 'Lightning address that gets what is left at the end')
    .option('--dry-run', 'say what would be made, and make nothing')
    .action((options: CreateOptions) => create(context, options));

  withConfig(keys.command('revoke'))
    .description('end a key: it pays for nothing more; what is left on it can still be refunded')
    .argument('<key>', KEY_HELP)
    .option('--dry-run', 'say what would end, and end nothing')
    .action(async (key: string, options: CommonOptions & { dryRun?: boolean }) => {
      const config = await context.load(options, { lenient: true });
      const { revokeKey } = await import('./node-keys-change.ts');
      const order = { wanted: await wanted(context, key), dryRun: options.dryRun === true };
      const revoked = await revokeKey(config, tools(), order);
      context.output(options).result(revoked, () => revokedText(revoked));
    });
}

const tools = () => ({ log: createLogger({ level: 'error' }), clock: systemClock });

/** A key is never an argument, because arguments are seen by everyone on the machine. */
async function wanted({ io }: CommandContext, text: string): Promise<WantedKey> {
  if (text.startsWith('sk-'))
    throw new ExitError(EXIT.usage, 'a key is no argument: expected its id, or env:NAME or file:PATH');
  if (!/^(env|file):/.test(text)) return { id: text };
  const { wantedByKey } = await import('./node-keys.ts');
  return wantedByKey((await secretOf(io, text, 'key')).reveal());
}

async function create(context: CommandContext, options: CreateOptions): Promise<void> {
  const { token, parent, limit, reset, expires, model, refundAddress, dryRun = false } = options;
  if ((token === undefined) === (parent === undefined))
    throw new ExitError(EXIT.usage, 'give either --token, for a key of its own, or --parent, for child keys');
  if (reset !== undefined && limit === undefined)
    throw new ExitError(EXIT.usage, '--reset counts a --limit anew, and there is none');
  const common = {
    ...(limit === undefined ? {} : { balanceLimit: msat(limit * 1_000) }),
    ...(reset === undefined ? {} : { balanceLimitReset: reset }),
    ...(expires === undefined ? {} : { validityDate: expires }),
  };
  const output = context.output(options);
  if (token !== undefined) {
    if (model !== undefined || options.count !== 1)
      throw new ExitError(EXIT.usage, '--model and --count are for child keys');
    const refund = refundAddress === undefined ? {} : { refundAddress: await addressOf(refundAddress) };
    const terms = { ...common, ...refund };
    const text = new Secret((await tokenText(context, token)).trim());
    const config = await context.load(options, { lenient: true });
    const { createKey } = await import('./node-keys-change.ts');
    const made = await createKey(config, tools(), { token: text, terms, dryRun });
    output.result(made, () => madeText(made));
    return;
  }
  if (refundAddress !== undefined)
    throw new ExitError(EXIT.usage, 'a child key has no money of its own, and so no --refund-address');
  const key = await secretOf(context.io, parent ?? '', '--parent');
  const config = await context.load(options, { lenient: true });
  const { createChildren } = await import('./node-keys-change.ts');
  await createChildren(config, tools(), {
    parent: key,
    count: options.count,
    terms: { ...common, ...(model === undefined ? {} : { models: modelsOf(model) }) },
    dryRun,
    told: (made) => output.result(made, () => madeText(made)),
  });
}

function modelsOf(models: string[]): string[] {
  const fits = models.every((id) => id !== '' && id.length <= LIMITS.json.modelIdCharsMax);
  if (fits && models.length <= LIMITS.children.modelsMax) return models;
  throw new ExitError(EXIT.usage, `--model: up to ${LIMITS.children.modelsMax} ids of models`);
}

async function addressOf(text: string): Promise<string> {
  const { isRefundAddress } = await import('./http/fields.ts');
  if (isRefundAddress(text)) return text;
  throw new ExitError(EXIT.usage, '--refund-address: expected a Lightning address (name@host) or an LNURL');
}

function futureDate(text: string): number {
  const ms = /^\d{4}-\d\d-\d\d(T[\d:.]+Z)?$/.test(text) ? Date.parse(text) : NaN;
  const seconds = Math.floor(ms / 1_000);
  if (seconds > unixSeconds(systemClock)) return seconds;
  throw new InvalidArgumentError('expected a date to come, e.g. 2027-01-31, at midnight UTC');
}
