/** A node as a process of its own, with a mint and a model that outlive it: for tests that kill it, or break its disk. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { type TestMint, createTestMint } from '../../src/demo/mint.ts';
import { createTestModel } from '../../src/demo/model.ts';
import { type Json, until } from './support.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
const run = promisify(execFile);

export interface ProcessWorld {
  mint: TestMint;
  dir: string;
  url: string;
  /** Output of a command; a command that fails shows everything it said. */
  cli: (...words: string[]) => Promise<string>;
  /** Resolves with the process id once the node is ready. */
  start: () => Promise<number>;
  stop: (signal: 'SIGKILL' | 'SIGTERM') => Promise<void>;
  isReady: () => Promise<boolean>;
  /** A call that may be cut off: undefined then. */
  attempt: (path: string, body: unknown, headers: Record<string, string>) => Promise<Json>;
}

/** Ends with the test that asked for it. */
export async function processWorld(): Promise<ProcessWorld> {
  const mint = await createTestMint({ dleq: false });
  const model = await createTestModel({ models: ['demo/echo'] });
  const dir = await mkdtemp(join(tmpdir(), 'routstr-process-'));
  const file = join(dir, 'node.yaml');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  onTestFinished(async () => {
    await stop('SIGKILL');
    await Promise.all([mint.close(), model.close()]);
    await rm(dir, { recursive: true, force: true });
  });
  await writeFile(file, JSON.stringify(settings(port, mint.url, model.url)), { mode: 0o600 });
  await cli('init', '--yes');

  async function cli(...words: string[]): Promise<string> {
    try {
      const { stdout } = await run(process.execPath, ['--import', 'tsx', MAIN, ...words, '--config', file]);
      return stdout;
    } catch (error) {
      const { stdout, stderr } = error as { stdout?: string; stderr?: string };
      throw new Error(`${words.join(' ')} failed: ${stdout ?? ''}${stderr ?? ''}`, { cause: error });
    }
  }

  async function start(): Promise<number> {
    child = spawn(
      process.execPath,
      ['--import', 'tsx', MAIN, 'start', '--config', file, '--log-level', 'error'],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    await until('the node is ready', isReady);
    return child.pid ?? 0;
  }

  async function stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const dying = child;
    if (!dying) return;
    child = undefined;
    const ended = new Promise((done) => dying.once('exit', done));
    dying.kill(signal);
    await ended;
  }

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

  return { mint, dir, url, cli, start, stop, isReady, attempt };
}

const settings = (port: number, mintUrl: string, modelUrl: string) => ({
  data_dir: './data',
  listen: { host: '127.0.0.1', port },
  relays: [],
  mints: [{ url: mintUrl, unit: 'sat', allow_private: true }],
  upstreams: [
    {
      id: 'echo',
      base_url: `${modelUrl}/v1`,
      models: [
        {
          id: 'demo/echo',
          input_usd_per_million: 50,
          output_usd_per_million: 150,
          context_length: 8_000,
          max_output_tokens: 500,
        },
      ],
    },
  ],
  pricing: { btc_usd: 100_000 },
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as { port: number };
  await new Promise<void>((done) => probe.close(() => done()));
  return port;
}
