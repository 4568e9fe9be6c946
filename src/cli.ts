/** createCli: reads the command line, runs one command and answers with the exit code. */
import { Command, CommanderError } from 'commander';
import { EXIT, ExitError, NodeError } from './base/error.ts';
import { errorKind } from './base/log.ts';
import { addAnnounceCommands } from './cli-announce.ts';
import { addBackupCommands } from './cli-backup.ts';
import { addBuyerCommands } from './cli-buyer.ts';
import { addConfigCommands } from './cli-config.ts';
import { addDoctorCommand } from './cli-doctor.ts';
import { addInitCommand } from './cli-init.ts';
import { addKeysCommands } from './cli-keys.ts';
import { addNodeCommands } from './cli-node.ts';
import { addPayoutCommand } from './cli-payout.ts';
import { addWalletCommands } from './cli-wallet.ts';
import type { CliIo, CommandContext } from './cli-context.ts';
import { createOutput } from './cli-output.ts';
import { loadConfig } from './config.ts';

export async function createCli(io: CliIo): Promise<number> {
  let exitCode: number = EXIT.ok;
  const context: CommandContext = {
    io,
    output: (options) => createOutput({ ...io, json: options.json === true }),
    load: async (options, how) => {
      const { env, cwd } = io;
      const flags = options.set ?? {};
      const config = await loadConfig({
        file: options.config,
        env,
        flags,
        cwd,
        lenient: how?.lenient ?? false,
      });
      if (how?.quiet !== true)
        for (const warning of config.warnings) context.output(options).note(`warning: ${warning}`);
      return config;
    },
    exit: (code) => (exitCode = code),
  };
  try {
    await createProgram(context).parseAsync(io.argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(error, io);
  }
}

function createProgram(context: CommandContext): Command {
  const { io } = context;
  const program = new Command('routstr-node')
    .description('Sells AI inference for ecash, found and reached over Nostr.')
    .version(io.version, '--version', 'print the version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.isTTY && io.stderr.write(text),
      outputError: () => undefined,
    });
  addInitCommand(program, context);
  addNodeCommands(program, context);
  addDoctorCommand(program, context);
  addKeysCommands(program, context);
  addPayoutCommand(program, context);
  addWalletCommands(program, context);
  addAnnounceCommands(program, context);
  addConfigCommands(program, context);
  addBackupCommands(program, context);
  addBuyerCommands(program, context);
  return program;
}

/** Prints the error and picks the exit code. Messages of libraries are never shown: they may quote anything. */
function report(error: unknown, io: CliIo): number {
  const { code, message, exitCode } = explain(error);
  if (exitCode === EXIT.ok) return exitCode;
  const json = !io.isTTY || io.argv.includes('--json');
  io.stderr.write(json ? `${JSON.stringify({ error: { code, message } })}\n` : `error: ${message}\n`);
  return exitCode;
}

function explain(error: unknown): { code: string; message: string; exitCode: number } {
  if (error instanceof CommanderError) {
    const shown = error.code === 'commander.helpDisplayed' || error.code === 'commander.version';
    const message = error.code === 'commander.help' ? 'no command given; see --help' : error.message;
    return {
      code: 'usage',
      message: message.replace(/^error: /, ''),
      exitCode: shown ? EXIT.ok : EXIT.usage,
    };
  }
  if (error instanceof ExitError) {
    return {
      code: EXIT_NAMES.get(error.exitCode) ?? 'error',
      message: error.message,
      exitCode: error.exitCode,
    };
  }
  if (error instanceof NodeError) {
    return {
      code: error.code,
      message: error.message,
      exitCode: EXIT_OF_STATUS.get(error.status) ?? EXIT.error,
    };
  }
  const kind = errorKind(error);
  const message = SYSTEM_ERRORS[kind.split(':')[1] ?? ''] ?? `unexpected failure (${kind})`;
  return { code: 'internal_error', message, exitCode: EXIT.error };
}

/** What a client would be told as this status ends a command with this code. */
const EXIT_OF_STATUS = new Map<number, number>([
  [401, EXIT.auth],
  [402, EXIT.insufficientFunds],
  [404, EXIT.notFound],
  [503, EXIT.unreachable],
]);

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address to listen on is taken; stop the other program or change listen.port',
  EADDRNOTAVAIL: 'this machine does not have the address listen.host',
  EACCES: 'no permission for a file or port; see data_dir and listen.port',
  ENOSPC: 'the disk is full',
};

const EXIT_NAMES = new Map<number, string>([
  [EXIT.error, 'error'],
  [EXIT.usage, 'usage'],
  [EXIT.unreachable, 'unreachable'],
  [EXIT.auth, 'auth'],
  [EXIT.notFound, 'not_found'],
  [EXIT.insufficientFunds, 'insufficient_funds'],
  [EXIT.unavailable, 'unavailable'],
  [EXIT.ledgerInUse, 'ledger_in_use'],
  [EXIT.storageFull, 'storage_full'],
  [EXIT.refused, 'refused'],
]);
