/** The node as a child process: started on the same data again and again, and killed. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

const ROOT = resolve(import.meta.dirname, '../..');
const BINARY = resolve(ROOT, 'dist/main.js');
/** The same node with points around its ports, compiled as well: a loader for TypeScript would take most of each start. */
const WITH_FAULTS = resolve(ROOT, 'dist-kill/test/kill/node-with-faults.js');
const run = promisify(execFile);

export interface NodeProcess {
  startedAt: number;
  /** Resolves when the process is gone, however it went. */
  gone: Promise<void>;
  isGone: () => boolean;
  kill: (signal: 'SIGKILL' | 'SIGTERM') => Promise<void>;
  /** What it said on stderr. */
  said: () => string;
}

/** @param fault a point at which it kills itself, `name:occurrence`; else the built binary is started as it is. */
export function startNode(file: string, fault?: string): NodeProcess {
  const words = ['--config', file];
  const args =
    fault === undefined ? [BINARY, 'start', ...words, '--log-level', 'error'] : [WITH_FAULTS, file];
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'], ...(fault !== undefined && { FAULT: fault }) },
  });
  let gone = false;
  let said = '';
  child.stderr?.on('data', (data: Buffer) => {
    if (said.length < 20_000) said += data.toString();
  });
  const ended = new Promise<void>((done) => {
    child.once('exit', () => {
      gone = true;
      done();
    });
  });
  return {
    startedAt: performance.now(),
    gone: ended,
    isGone: () => gone,
    kill: async (signal) => {
      child.kill(signal);
      await ended;
    },
    said: () => said,
  };
}

export function requireBinary(): void {
  if (!existsSync(BINARY)) throw new Error('there is no dist/main.js; run `npm run build` first');
  if (!existsSync(WITH_FAULTS))
    throw new Error('start this with `npm run kill-loop`, which compiles what it needs');
}

/** Runs a command of the built binary and returns what it printed. */
export async function command(file: string, ...words: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [BINARY, ...words, '--config', file], {
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout;
}
