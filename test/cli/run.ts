/** The real command line in a process of its own, as a script would call it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { onTestFinished } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const TSX = import.meta.resolve('tsx');

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  /** The first line of stdout; rejects if the process ends without one. */
  firstLine: Promise<string>;
  finished: Promise<Finished>;
}

export function launch(
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string> },
): Running {
  const child = spawn(process.execPath, ['--import', TSX, resolve(ROOT, 'src/main.ts'), ...args], {
    cwd: options.cwd,
    env: { PATH: process.env['PATH'] ?? '', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const seen: Finished = { code: null, stdout: '', stderr: '' };
  const finished = new Promise<Finished>((done) => {
    child.on('close', (code) => done({ ...seen, code }));
  });
  const firstLine = new Promise<string>((done, fail) => {
    child.stdout.on('data', (chunk: Buffer) => {
      seen.stdout += chunk.toString();
      if (seen.stdout.includes('\n')) done(seen.stdout.slice(0, seen.stdout.indexOf('\n')));
    });
    void finished.then(({ code, stderr }) => fail(new Error(`ended with ${code}: ${stderr}`)));
  });
  firstLine.catch(() => undefined);
  child.stderr.on('data', (chunk: Buffer) => (seen.stderr += chunk.toString()));
  return { child, firstLine, finished };
}

export const run = (
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string> },
): Promise<Finished> => launch(args, options).finished;

/** The one error object on stderr. */
export const errorOf = ({ stderr }: Finished): { code: string; message: string } =>
  (JSON.parse(stderr) as { error: { code: string; message: string } }).error;

/** A server that gives one answer to everything. */
export async function answering(status: number, body: unknown): Promise<number> {
  const server: Server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}
