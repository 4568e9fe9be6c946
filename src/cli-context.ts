/** What every command of the command line shares: streams, common options, the loaded configuration. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Output, Sink } from './cli-output.ts';
import type { Config } from './config.ts';
import type { Env } from './config-read.ts';

export interface CliIo {
  /** Arguments after the program's name. */
  argv: readonly string[];
  env: Env;
  cwd: string;
  stdin: NodeJS.ReadableStream;
  stdout: Sink;
  stderr: Sink;
  /** Whether a person reads stdout. */
  isTTY: boolean;
  /** Called once by commands that run until told to stop. */
  onSignal: (stop: () => void) => void;
  version: string;
}

/** Options that every command with a configuration understands. */
export interface CommonOptions {
  config?: string;
  set?: Record<string, string>;
  json?: boolean;
}

/** What a command gets to work with. `exit` sets another exit code than 0. */
export interface CommandContext {
  io: CliIo;
  output: (options: CommonOptions) => Output;
  /** `quiet`: the caller tells the warnings itself. */
  load: (options: CommonOptions, how?: { lenient?: boolean; quiet?: boolean }) => Promise<Config>;
  exit: (code: number) => void;
}

/** Adds --config, --set and --json. */
export function withConfig(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file (default: $ROUTSTR_CONFIG, then ./node.yaml)')
    .addOption(
      new Option('--set <path=value>', 'override one value of the file; may be repeated').argParser(
        collectSetting,
      ),
    )
    .option('--json', 'print JSON');
}

/** A whole number within bounds; anything else is a usage error. */
export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}`);
  };

function collectSetting(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('expected path=value, e.g. listen.port=9000');
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) };
}
