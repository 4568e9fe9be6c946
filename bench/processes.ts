/** Child processes of the bench: each proxy on the first core, everything that loads it on the second. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, platform } from 'node:os';
import { join } from 'node:path';

export interface Running {
  pid: number;
  port: number;
  /** Microseconds of CPU used so far, all threads; NaN where /proc does not exist. */
  cpuMicros: () => number;
  stop: () => Promise<void>;
}

const children = new Set<ChildProcess>();
const canPin = platform() === 'linux' && cpus().length > 1 && hasTaskset();
export const pinned = canPin;

/** Starts a file of the compiled tree, e.g. `src/main.js`, and waits until it accepts connections. */
export async function startProcess(
  file: string,
  args: readonly string[],
  options: { port: number; core: 0 | 1; nodeFlags?: readonly string[] },
): Promise<Running> {
  const words = [
    process.execPath,
    ...(options.nodeFlags ?? []),
    join(import.meta.dirname, '..', file),
    ...args,
  ];
  const [command = '', ...rest] = canPin ? ['taskset', '-c', String(options.core), ...words] : words;
  const child = spawn(command, rest, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  children.add(child);
  await accepts(options.port, child);
  const pid = child.pid ?? 0;
  return {
    pid,
    port: options.port,
    cpuMicros: () => cpuMicros(pid),
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        children.delete(child);
        child.kill('SIGTERM');
      }),
  };
}

export function pinSelf(core: 0 | 1): void {
  if (canPin)
    execFileSync('taskset', ['-a', '-p', '-c', String(core), String(process.pid)], { stdio: 'ignore' });
}

export function stopAll(): void {
  for (const child of children) child.kill('SIGKILL');
}

export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}

function cpuMicros(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // utime and stime in ticks of 10 ms (proc(5), fields 14 and 15).
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  } catch {
    return NaN;
  }
}

async function accepts(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) throw new Error(`a bench process ended with code ${child.exitCode}`);
    const up = await fetch(`http://127.0.0.1:${port}/readyz`, { method: 'POST' }).then(
      () => true,
      () => false,
    );
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('a bench process did not start');
}

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
