/** A world on loopback: relay, mint with play money, echo model and a node, all real servers in one process. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from './base/log.ts';
import { type Clock, systemClock } from './base/time.ts';
import { type Config, loadConfig } from './config.ts';
import { type TestMint, type TestMintOptions, createTestMint } from './demo/mint.ts';
import { type TestModel, createTestModel } from './demo/model.ts';
import { type TestRelay, createTestRelay } from './demo/relay.ts';
import { type RunningNode, createNode, initNode } from './node.ts';
import { verifyEvent } from './relay/event.ts';

/** Sold in the demo: small prices, so that a thousand play sats last for a while. */
export const DEMO_MODELS = ['demo/echo', 'demo/echo-large'];

export interface WorldOptions {
  log: Logger;
  clock?: Clock;
  /** Port of the node; 0 or absent takes any free one. */
  port?: number;
  mint?: TestMintOptions;
  /** Laid over the node's configuration. */
  settings?: Record<string, unknown>;
}

export interface World {
  relay: TestRelay;
  mint: TestMint;
  model: TestModel;
  node: RunningNode;
  config: Config;
  /** Starts another node object on the same data; for restarts. */
  reopen: () => RunningNode;
  /** Stops everything and removes the data. */
  close: () => Promise<void>;
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const { log, clock = systemClock } = options;
  const relay = await createTestRelay({ verify: (event) => verifyEvent(event) !== undefined });
  const mint = await createTestMint(options.mint);
  const model = await createTestModel({ models: DEMO_MODELS });
  const dir = await mkdtemp(join(tmpdir(), 'routstr-demo-'));
  const port = options.port || (await freePort());
  const file = join(dir, 'node.yaml');
  const settings = { ...worldSettings({ relay, mint, model, port }), ...options.settings };
  await writeFile(file, JSON.stringify(settings), { mode: 0o600 });

  const load = (): Promise<Config> => loadConfig({ file, env: {}, cwd: dir });
  await initNode(await load(), { clock });
  const config = await load();
  let node = createNode(config, { log, clock });
  await node.start();

  return {
    relay,
    mint,
    model,
    get node() {
      return node;
    },
    config,
    reopen: () => {
      node = createNode(config, { log, clock });
      return node;
    },
    close: async () => {
      await node.stop();
      await Promise.all([relay.close(), mint.close(), model.close()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function worldSettings(parts: { relay: TestRelay; mint: TestMint; model: TestModel; port: number }) {
  const { relay, mint, model, port } = parts;
  return {
    name: 'Demo node',
    about: 'Sells echoes for play money.',
    public_urls: [`http://127.0.0.1:${port}`],
    data_dir: './data',
    listen: { host: '127.0.0.1', port },
    relays: [{ url: relay.url, roles: ['announce', 'discover', 'dm', 'rpc'] }],
    mints: [{ url: mint.url, unit: mint.unit, allow_private: true }],
    upstreams: [
      {
        id: 'echo',
        base_url: `${model.url}/v1`,
        models: DEMO_MODELS.map((id, i) => ({
          id,
          input_usd_per_million: 5 * (i + 1),
          output_usd_per_million: 15 * (i + 1),
          context_length: 128_000,
          max_output_tokens: 4_096,
        })),
      },
    ],
    pricing: { btc_usd: 100_000 },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}
