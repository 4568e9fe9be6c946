/** The node under test: the real binary with a real ledger on disk and a prepaid key. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTestMint } from '../src/demo/mint.ts';
import { type Running, freePort, startProcess } from './processes.ts';

export interface PaidNode extends Running {
  key: string;
  /** Free balance and holds, to check the bills of a whole run against. */
  account: () => Promise<{ balance: number; reserved: number; total_spent: number; total_requests: number }>;
  close: () => Promise<void>;
}

export async function startPaidNode(upstreamPort: number): Promise<PaidNode> {
  const mint = await createTestMint({ dleq: false });
  const dir = await mkdtemp(join(tmpdir(), 'routstr-bench-'));
  const config = join(dir, 'node.yaml');
  const port = await freePort();
  await writeFile(config, JSON.stringify(settings(mint.url, port, upstreamPort)), { mode: 0o600 });
  const main = join(import.meta.dirname, '../src/main.js');
  await promisify(execFile)(process.execPath, [main, 'init', '--yes', '--config', config]);
  const running = await startProcess('src/main.js', ['start', '--config', config, '--log-level', 'error'], {
    port,
    core: 0,
    // As the first line of the binary and the image have it.
    nodeFlags: ['--max-semi-space-size=32'],
  });
  const url = `http://127.0.0.1:${port}`;
  const created = await fetch(`${url}/v1/balance/create`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ cashu_token: await mint.issue(1_000_000) }),
  });
  const { api_key: key } = (await created.json()) as { api_key: string };
  return {
    ...running,
    key,
    account: async () => {
      const answer = await fetch(`${url}/v1/wallet/info`, { headers: { authorization: `Bearer ${key}` } });
      return (await answer.json()) as Awaited<ReturnType<PaidNode['account']>>;
    },
    close: async () => {
      await running.stop();
      await mint.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

const settings = (mintUrl: string, port: number, upstreamPort: number) => ({
  listen: { host: '127.0.0.1', port },
  relays: [],
  mints: [{ url: mintUrl, unit: 'sat', allow_private: true }],
  upstreams: [
    {
      id: 'bench',
      base_url: `http://127.0.0.1:${upstreamPort}/v1`,
      models: [
        {
          id: 'bench/model',
          input_usd_per_million: 0.01,
          output_usd_per_million: 0.01,
          context_length: 8_000,
          max_output_tokens: 1_000,
        },
      ],
    },
  ],
  pricing: { btc_usd: 100_000 },
  // One key sends one body thousands of times: exactly what these are there to stop.
  limits: { requests_per_minute: 0, identical_requests: 0 },
});
