/** A node as a process of its own, with a mint and a model that outlive it: for tests that kill it, or break its disk. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { type TestMint, createTestMint } from '../../src/demo/mint.ts';
import { createTestModel } from '../../src/demo/model.ts';
import { MODEL, freePort, nodeSettings } from '../node-kit.ts';
import { type Json, until } from './support.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
const run = promisify(execFile);

export interface NodeProcess {
  /** Output of a command; a command that fails shows everything it said. */
  cli: (...words: string[]) => Promise<string>;
  /** Its process id; the node is not ready yet. */
  start: () => number;
  /** Resolves once it is gone; at once if it does not run. */
  stop: (signal: 'SIGKILL' | 'SIGTERM') => Promise<void>;
}

/** The node whose node.yaml lies in `dir`, started from its sources as often as a test wants. */
export function nodeProcess(dir: string): NodeProcess {
  const file = join(dir, 'node.yaml');
  let child: ChildProcess | undefined;
  return {
    cli: async (...words) => {
      try {
        const { stdout } = await run(process.execPath, ['--import', 'tsx', MAIN, ...words, '--config', file]);
        return stdout;
      } catch (error) {
        const { stdout, stderr } = error as { stdout?: string; stderr?: string };
        throw new Error(`${words.join(' ')} failed: ${stdout ?? ''}${stderr ?? ''}`, { cause: error });
      }
    },
    start: () => {
      child = spawn(
        process.execPath,
        ['--import', 'tsx', MAIN, 'start', '--config', file, '--log-level', 'error'],
        { stdio: ['ignore', 'ignore', 'inherit'] },
      );
      return child.pid ?? 0;
    },
    stop: async (signal) => {
      const dying = child;
      child = undefined;
      if (dying === undefined || dying.exitCode !== null || dying.signalCode !== null) return;
      const ended = new Promise((done) => dying.once('exit', done));
      dying.kill(signal);
      await ended;
    },
  };
}

export interface ProcessWorld extends Omit<NodeProcess, 'start'> {
  mint: TestMint;
  dir: string;
  url: string;
  /** Resolves with the process id once the node is ready. */
  start: () => Promise<number>;
  isReady: () => Promise<boolean>;
  /** A call that may be cut off: undefined then. */
  attempt: (path: string, body: unknown, headers: Record<string, string>) => Promise<Json>;
}

/** Ends with the test that asked for it. */
export async function processWorld(): Promise<ProcessWorld> {
  const mint = await createTestMint({ dleq: false });
  const model = await createTestModel({ models: [MODEL] });
  const dir = await mkdtemp(join(tmpdir(), 'routstr-process-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { cli, start, stop } = nodeProcess(dir);
  onTestFinished(async () => {
    await stop('SIGKILL');
    await Promise.all([mint.close(), model.close()]);
    await rm(dir, { recursive: true, force: true });
  });
  const settings = nodeSettings({ port, mint: mint.url, model: model.url });
  await writeFile(join(dir, 'node.yaml'), JSON.stringify(settings), { mode: 0o600 });
  await cli('init', '--yes');

  const isReady = (): Promise<boolean> =>
    fetch(`${url}/readyz`).then(
      (answer) => answer.status === 200,
      () => false,
    );

  async function attempt(path: string, body: unknown, headers: Record<string, string>): Promise<Json> {
    try {
      const answer = await fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      const text = await answer.text();
      return { status: answer.status, change: answer.headers.get('x-cashu'), json: JSON.parse(text) };
    } catch {
      return undefined;
    }
  }

  return {
    mint,
    dir,
    url,
    cli,
    start: async () => {
      const pid = start();
      await until('the node is ready', isReady);
      return pid;
    },
    stop,
    isReady,
    attempt,
  };
}
