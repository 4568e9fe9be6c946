/** The node as a process: how it ends, and what others on its machine can read of it. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory, write } from '../config/fixture.ts';
import { launch, run } from './run.ts';
import { freePort } from '../node-kit.ts';

const CANARY = 'canary-4c1d';

/** A node of its own; its mint and its upstream are away. */
async function makeNode(): Promise<string> {
  const cwd = temporaryDirectory();
  const away = `http://127.0.0.1:${await freePort()}`;
  const model = { id: 'echo', input_usd_per_million: 1, output_usd_per_million: 2, context_length: 8192 };
  const settings = {
    listen: { port: await freePort() },
    announce: { enabled: false },
    relays: [],
    mints: [{ url: away, allow_private: true }],
    upstreams: [{ id: 'a', base_url: `${away}/v1`, models: [model] }],
    pricing: { btc_usd: 100_000 },
  };
  write(join(cwd, 'node.yaml'), JSON.stringify(settings));
  expect((await run(['init', '--yes'], { cwd })).code).toBe(0);
  return cwd;
}

const drift = async (cwd: string): Promise<number> => {
  const { stdout, stderr } = await run(['audit', '--offline', '--json'], { cwd });
  if (stdout === '') throw new Error(stderr);
  return (JSON.parse(stdout) as { drift_msat: number }).drift_msat;
};

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  '%s ends the node in order, and nobody else on the machine could read its files',
  async (signal) => {
    const cwd = await makeNode();
    const node = launch(['start'], { cwd });
    await node.firstLine;
    const data = join(cwd, 'data');
    const entries = readdirSync(data, { recursive: true, withFileTypes: true });
    expect(entries.length).toBeGreaterThan(8);
    for (const entry of entries) {
      const path = join(entry.parentPath, entry.name);
      expect((statSync(path).mode & 0o077).toString(8), path).toBe('0');
    }
    expect((statSync(data).mode & 0o077).toString(8)).toBe('0');
    node.child.kill(signal);
    const { code, stderr } = await node.finished;
    expect([code, stderr.includes('node.server.stopped')]).toEqual([0, true]);
    expect(await drift(cwd)).toBe(0);
  },
  120_000,
);

test.each([
  ['an exception that nobody caught', 'throw new Error(text)'],
  ['a rejection that nobody handled', 'void Promise.reject(new Error(text))'],
])(
  '%s ends the node with 70 and says nothing of its words; the next start goes on',
  async (_what, deed) => {
    const cwd = await makeNode();
    const fault = join(cwd, 'fault.mjs');
    write(fault, `const text = '${CANARY}'; process.on('SIGUSR2', () => { ${deed}; });`);
    const node = launch(['start'], { cwd, env: { NODE_OPTIONS: `--import ${fault}` } });
    await node.firstLine;
    node.child.kill('SIGUSR2');
    const { code, stdout, stderr } = await node.finished;
    expect(code).toBe(70);
    const crash = JSON.stringify({ error: { code: 'crash', message: 'Error' } });
    expect(stderr.split('\n')).toContain(crash);
    expect(stdout + stderr).not.toContain(CANARY);
    const again = launch(['start'], { cwd });
    expect(JSON.parse(await again.firstLine)).toMatchObject({ event: 'node.ready' });
    again.child.kill('SIGTERM');
    expect((await again.finished).code).toBe(0);
    expect(await drift(cwd)).toBe(0);
  },
  120_000,
);
