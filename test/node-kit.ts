/** What tests of whole nodes share, wherever they stand: a port to listen on, and the node.yaml of a node that sells one model. */
import { createServer } from 'node:net';

export const MODEL = 'demo/echo';

/** A port on which nothing listens. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as { port: number };
  await new Promise<void>((done) => probe.close(() => done()));
  return port;
}

/** @param more keys of node.yaml, instead of these or besides them. */
export const nodeSettings = (
  at: { port: number; mint: string; model: string },
  more: Record<string, unknown> = {},
) => ({
  data_dir: './data',
  listen: { host: '127.0.0.1', port: at.port },
  relays: [],
  mints: [{ url: at.mint, unit: 'sat', allow_private: true }],
  upstreams: [
    {
      id: 'echo',
      base_url: `${at.model}/v1`,
      models: [
        {
          id: MODEL,
          input_usd_per_million: 50,
          output_usd_per_million: 150,
          context_length: 8_000,
          max_output_tokens: 500,
        },
      ],
    },
  ],
  pricing: { btc_usd: 100_000 },
  ...more,
});
