/** The command line with streams that a test can read, in this process. */
import { PassThrough } from 'node:stream';
import { createCli } from '../../src/cli.ts';

export interface Terminal {
  /** Runs the command; its exit code. */
  done: () => Promise<number>;
  out: () => string;
  err: () => string;
  signal: () => void;
}

export function fakeTerminal(options: {
  argv: readonly string[];
  cwd?: string;
  env?: Record<string, string>;
  isTTY?: boolean;
  /** What the person types. */
  types?: string;
  /** Whether it is a person who types, and not a pipe. */
  person?: boolean;
}): Terminal {
  const written = { out: '', err: '' };
  const stdin = new PassThrough();
  if (options.types !== undefined) stdin.end(options.types);
  if (options.person === true) Object.assign(stdin, { isTTY: true });
  let stop = (): void => undefined;
  return {
    done: () =>
      createCli({
        argv: options.argv,
        env: options.env ?? {},
        cwd: options.cwd ?? '/nonexistent',
        stdin,
        stdout: { write: (text) => (written.out += text) },
        stderr: { write: (text) => (written.err += text) },
        isTTY: options.isTTY ?? true,
        onSignal: (handler) => (stop = handler),
        version: 'test',
      }),
    out: () => written.out,
    err: () => written.err,
    signal: () => stop(),
  };
}
