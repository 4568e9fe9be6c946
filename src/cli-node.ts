/** `start | audit | health | models`: the operator's node, run or looked at. */
import { type Command, Option } from 'commander';
import { EXIT, ExitError } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import { type LogLevel, createLogger } from './base/log.ts';
import { type CommandContext, type CommonOptions, withConfig } from './cli-context.ts';
import { list, table } from './cli-output.ts';
import type { AuditReport } from './node-audit.ts';
import { listenUrl } from './node-facts.ts';

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];

export function addNodeCommands(program: Command, context: CommandContext): void {
  withConfig(program.command('start'))
    .description('run the node until it is told to stop')
    .addOption(
      new Option('--log-level <level>', 'least severe events to log').choices(LEVELS).default('info'),
    )
    .action((options: CommonOptions & { logLevel: LogLevel }) => start(context, options));

  withConfig(program.command('audit'))
    .description('recompute every balance and compare it with the money in hand')
    .option('--offline', 'do not ask the mints about the proofs')
    .action((options: CommonOptions & { offline?: boolean }) => audit(context, options));

  withConfig(program.command('health'))
    .description('exit 0 if the running node is ready, else 3')
    .action((options: CommonOptions) => health(context, options));

  withConfig(program.command('models'))
    .description('list what the running node sells')
    .action((options: CommonOptions) => models(context, options));
}

async function start(
  context: CommandContext,
  options: CommonOptions & { logLevel: LogLevel },
): Promise<void> {
  const output = context.output(options);
  const stopped = new Promise<void>((resolve) => context.io.onSignal(resolve));
  const config = await context.load(options);
  const log = createLogger({ level: options.logLevel });
  // People saw the warnings on the terminal; a service manager sees the log.
  if (output.json) for (const warning of config.warnings) log.warn('config.value.doubtful', { warning });

  const { createNode } = await import('./node.ts');
  const node = createNode(config, { log });
  await node.start();
  const { url, npub } = node;
  output.result({ event: 'node.ready', url, npub, data_dir: config.data_dir }, () =>
    list([
      ['ready', url],
      ['npub', npub],
      ['data', config.data_dir],
    ]),
  );
  await stopped;
  await node.stop();
}

async function audit(context: CommandContext, options: CommonOptions & { offline?: boolean }): Promise<void> {
  const config = await context.load(options, { lenient: true });
  const { auditNode, isSound } = await import('./node-audit.ts');
  const report = await auditNode(config, {
    offline: options.offline === true,
    log: createLogger({ level: 'error' }),
  });
  context.output(options).result(report, () => auditText(report, isSound(report)));
  if (!isSound(report)) context.exit(EXIT.error);
}

function auditText(report: AuditReport, isSound: boolean): string {
  const amounts = (group: Readonly<Record<string, number>>): string[] =>
    Object.entries(group).map(([name, amount]) => `  ${name.padEnd(48)} ${String(amount).padStart(16)} msat`);
  return [
    `${report.drift_msat === 0 ? 'The books balance' : 'THE BOOKS DO NOT BALANCE'}: drift ${report.drift_msat} msat`,
    `over ${report.entries} entries; ${report.unfinished_operations} operations unfinished, ${report.blocked_operations} blocked`,
    `HEAD names entry ${report.head_entry ?? 'none'}; ${mirrorText(report.mirror)}`,
    'assets',
    ...amounts(report.assets),
    'liabilities',
    ...amounts(report.liabilities),
    'equity',
    ...amounts(report.equity),
    ...(report.equity_msat < 0 && isSound
      ? [`${-report.equity_msat} msat of mint fees are not earned yet; \`wallet receive\` puts them in`]
      : []),
    ...(report.mints ?? []).map(({ mint, unit, reachable, unspent, pending, spent }) =>
      reachable
        ? `${mint} (${unit}): ${unspent} proofs unspent, ${pending} pending, ${spent} spent`
        : `${mint} (${unit}): does not answer`,
    ),
  ].join('\n');
}

function mirrorText(mirror: AuditReport['mirror']): string {
  if (mirror === null) return 'no mirror is kept';
  switch (mirror.state) {
    case 'same':
      return `the mirror has every entry up to ${mirror.entry}`;
    case 'ahead':
    case 'behind':
      return `the mirror ends at entry ${mirror.entry}, as a kill leaves it; the next start evens it out`;
    case 'incomplete':
      return `THE MIRROR IS INCOMPLETE: it ends at entry ${mirror.entry}; the next start writes what is missing`;
  }
}

async function health(context: CommandContext, options: CommonOptions): Promise<void> {
  const url = `${listenUrl(await context.load(options, { lenient: true }))}/readyz`;
  const { status } = await ask(url);
  if (status !== 200)
    throw new ExitError(EXIT.unreachable, `${url} answers ${status}: the node is not ready`);
  context.output(options).result({ ready: true, url }, () => `ready  ${url}`);
}

/** The fields shown; the rest of an entry is passed on as it came. */
interface ListedModel {
  id: string;
  context_length?: number | null;
  pricing?: { prompt?: number; completion?: number };
  sats_pricing?: { prompt?: number; completion?: number };
}

async function models(context: CommandContext, options: CommonOptions): Promise<void> {
  const url = `${listenUrl(await context.load(options, { lenient: true }))}/v1/models`;
  const { status, body } = await ask(url);
  if (status !== 200 || !isModelList(body)) {
    throw new ExitError(EXIT.unreachable, `${url} answers ${status}: no list of models`);
  }
  const perMillion = (price: number | undefined): string =>
    price === undefined ? '?' : (price * 1_000_000).toFixed(3).replace(/\.?0+$/, '');
  context.output(options).result(body.data, () =>
    table(
      ['MODEL', 'CONTEXT', 'SAT IN/1M', 'SAT OUT/1M', 'USD IN/1M', 'USD OUT/1M'],
      body.data.map((model) => [
        model.id,
        model.context_length ?? 0,
        perMillion(model.sats_pricing?.prompt),
        perMillion(model.sats_pricing?.completion),
        perMillion(model.pricing?.prompt),
        perMillion(model.pricing?.completion),
      ]),
    ),
  );
}

async function ask(url: string): Promise<{ status: number; body: unknown }> {
  const signal = AbortSignal.timeout(LIMITS.config.askTimeoutMs);
  const answer = await fetch(url, { signal, redirect: 'error' }).catch((error: unknown) => {
    throw new ExitError(EXIT.unreachable, `nothing answers at ${url}; is the node running?`, error);
  });
  const body: unknown = await answer.json().catch(() => undefined);
  return { status: answer.status, body };
}

const isModelList = (body: unknown): body is { data: ListedModel[] } =>
  typeof body === 'object' && body !== null && Array.isArray((body as { data?: unknown }).data);
