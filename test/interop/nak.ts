/**
 * Nostr software in Go that this project did not write: `nak` (relay and command line), and a small program on the
 * library go-nostr. Both are installed into a folder of the caller where the Go toolchain is; nothing else is touched.
 */
import { execFile, spawn } from 'node:child_process';
import { cp } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

/** A command line program; `run` gives what it printed and rejects if it failed or took too long. */
export interface Program {
  path: string;
  run: (args: readonly string[], input?: string) => Promise<string>;
}

export type Installed = Program | { skipped: string };

const NAK = 'github.com/fiatjaf/nak@latest';
const INSTALL_MS = 240_000;
const RUN_MS = 30_000;

/**
 * `nak` as NAK names it, or built by `go install`. Usual commands:
 * `['event', '-k', '14', '-c', text, '-p', hex]`, `['gift', 'wrap', '--sec', nsec, '-p', hex]`, `['event', relay]`,
 * `['req', '-k', '1059', '-p', hex, relay]`, `['gift', 'unwrap', '--sec', nsec]`; events go in and out as JSON lines.
 */
export async function installNak(dir: string): Promise<Installed> {
  const ready = process.env['NAK'];
  if (ready !== undefined && ready !== '') return program(ready);
  const failure = await go(['install', NAK], { cwd: dir, bin: join(dir, 'bin') });
  return failure === undefined ? program(join(dir, 'bin', 'nak')) : { skipped: failure };
}

/** The program of `go-client/main.go`; its commands stand there. */
export async function buildGoClient(dir: string): Promise<Installed> {
  const source = join(dir, 'go-client');
  await cp(resolve(import.meta.dirname, 'go-client'), source, { recursive: true });
  const failure = await go(['build', '-o', join(dir, 'bin', 'go-client'), '.'], { cwd: source, bin: dir });
  return failure === undefined ? program(join(dir, 'bin', 'go-client')) : { skipped: failure };
}

/** `nak serve`: an in-memory relay on khatru. Rejects if it does not listen within half a minute. */
export async function serveNak(
  nak: Program,
  port: number,
): Promise<{ url: string; stop: () => Promise<void> }> {
  const child = spawn(nak.path, ['serve', '--hostname', '127.0.0.1', '--port', String(port)], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const ended = new Promise<void>((done) => {
    child.once('exit', () => done());
    child.once('error', () => done());
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.pid !== undefined) child.kill('SIGTERM');
    await ended;
  };
  for (let tries = 0; tries < 120; tries += 1) {
    const up = await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(2_000) }).then(
      () => true,
      () => false,
    );
    if (up) return { url: `ws://127.0.0.1:${port}`, stop };
    if (child.exitCode !== null) throw new Error(`nak serve ended with code ${child.exitCode}`);
    await new Promise((done) => setTimeout(done, 250));
  }
  await stop();
  throw new Error('nak serve does not listen');
}

/** Reads JSON lines of a program that keeps running, such as `nak req --stream`. */
export async function* jsonLines(path: string, args: readonly string[], ms: number): AsyncGenerator<unknown> {
  const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'ignore'], timeout: ms });
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.startsWith('{')) yield JSON.parse(line) as unknown;
    }
  } finally {
    child.kill('SIGTERM');
  }
}

function program(path: string): Program {
  return {
    path,
    run: (args, input = '') =>
      new Promise((done, fail) => {
        const child = execFile(
          path,
          [...args],
          { timeout: RUN_MS, maxBuffer: 8 << 20 },
          (error, stdout, stderr) => {
            // The command line may hold a secret key, so the error of execFile is not passed on.
            if (error === null) done(stdout);
            else fail(new Error(`${args[0] ?? path} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`));
          },
        );
        child.stdin?.end(input);
      }),
  };
}

/** Undefined if it went well, else why not, in one line. */
function go(args: readonly string[], at: { cwd: string; bin: string }): Promise<string | undefined> {
  const env = { GOTOOLCHAIN: 'auto', ...process.env, GOBIN: at.bin, GOFLAGS: '-buildvcs=false' };
  return new Promise((done) => {
    execFile('go', [...args], { cwd: at.cwd, env, timeout: INSTALL_MS }, (error, _stdout, stderr) => {
      if (error === null) return done(undefined);
      if (error.code === 'ENOENT') return done('there is no Go toolchain');
      if (error.killed === true) return done(`go ${args[0] ?? ''} took longer than ${INSTALL_MS / 1000} s`);
      done(stderr.trim().split('\n')[0]?.slice(0, 200) ?? `go ended with ${error.code ?? 'an error'}`);
    });
  });
}
