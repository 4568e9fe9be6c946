#!/usr/bin/env -S node --max-semi-space-size=32
/** Entry of the binary, and the only file that touches the process. */
import { errorKind } from './base/log.ts';
import { createCli } from './cli.ts';
import { VERSION } from './version.ts';

process.umask(0o077);
/** Only the kind is printed, since a message may quote a request. The next start finishes what was on its way. */
const crash = (error: unknown): never => {
  process.stderr.write(`${JSON.stringify({ error: { code: 'crash', message: errorKind(error) } })}\n`);
  process.exit(70);
};
process.on('uncaughtException', crash).on('unhandledRejection', crash);
process.stdout.on('error', () => process.exit(1));

const { argv, env, stdin, stdout, stderr } = process;
const io = { env, stdin, stdout, stderr, cwd: process.cwd(), isTTY: stdout.isTTY, version: VERSION };
/** The first signal asks for an orderly stop; the second finds the default again and ends the process at once. */
const onSignal = (stop: () => void) =>
  process.once('SIGTERM', stop).once('SIGINT', stop).once('SIGHUP', stop);
// Timers, idle connections and the wallet's worker do not keep the process alive; a command that is not done does.
setInterval(() => undefined, 2 ** 30);
const code = await createCli({ ...io, argv: argv.slice(2), onSignal });
stdout.write('', () => process.exit(code));
