/** `doctor`: says whether the node could start and serve, line by line, and what to do about what is wrong. */
import type { Command } from 'commander';
import { EXIT, ExitError } from './base/error.ts';
import { createLogger } from './base/log.ts';
import { systemClock } from './base/time.ts';
import { type CommandContext, type CommonOptions, withConfig } from './cli-context.ts';
import { printable } from './cli-output.ts';
import type { Config } from './config.ts';
import { type Check, about, exitCodeOf } from './doctor-check.ts';

export function addDoctorCommand(program: Command, context: CommandContext): void {
  withConfig(program.command('doctor'))
    .description('look at configuration, files, mints, AI servers and relays; exit 0 if the node could serve')
    .action((options: CommonOptions) => doctor(context, options));
}

async function doctor(context: CommandContext, options: CommonOptions): Promise<void> {
  const { checks, config } = await configuration(context, options);
  if (config !== undefined) {
    const { examine } = await import('./doctor.ts');
    checks.push(...(await examine(config, { clock: systemClock, log: createLogger({ level: 'silent' }) })));
  }
  const exit = exitCodeOf(checks);
  context.output(options).result({ ok: exit === EXIT.ok, exit_code: exit, checks }, () => text(checks));
  context.exit(exit);
}

/** What `start` would refuse, in its own words; the rest is looked at as far as it can be read all the same. */
async function configuration(
  context: CommandContext,
  options: CommonOptions,
): Promise<{ checks: Check[]; config?: Config }> {
  const { warn, fail } = about('config');
  try {
    const config = await context.load(options, { quiet: true });
    const { warnings } = config;
    return {
      config,
      checks: [
        about('config', config.file).ok('can be read'),
        ...warnings.map((warning) => warn(warning, 'correct it, unless it is meant')),
      ],
    };
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    const { exitCode, message } = error;
    const checks = message
      .split('\n')
      .map((line) => fail(exitCode, line, 'correct it; start refuses it as well'));
    const config = await context.load(options, { lenient: true, quiet: true }).catch((again: unknown) => {
      if (again instanceof ExitError) return undefined;
      throw again;
    });
    if (config === undefined) return { checks };
    return { checks: [...checks, about('config', config.file).ok('everything else can be read')], config };
  }
}

function text(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ check }) => check.length));
  const lines = checks.flatMap(({ check, subject, state, says, next }) => {
    const what = subject === undefined ? says : `${subject}: ${says}`;
    const advice = next === undefined ? [] : [`${' '.repeat(width + 8)}-> ${printable(next)}`];
    return [`${state.padEnd(4)}  ${check.padEnd(width)}  ${printable(what)}`, ...advice];
  });
  const failed = checks.filter(({ state }) => state === 'fail').length;
  const verdict =
    failed === 0
      ? 'The node can start and serve.'
      : `${failed} of ${checks.length} checks failed: the node cannot start, or not serve all that it promises.`;
  return [...lines, '', verdict].join('\n');
}
