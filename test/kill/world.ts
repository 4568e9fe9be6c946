/** What survives every kill: a mint, a model, the buyers' tokens, and the data of the node. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getDecodedToken } from '@cashu/cashu-ts';
import { type TestMint, createTestMint } from '../../src/demo/mint.ts';
import { createTestModel } from '../../src/demo/model.ts';
import { SATS_LEAST } from '../shop/shopper.ts';
import type { Purse, Token } from '../shop/till.ts';
import { type KillStreets, createStreets } from './streets.ts';

export const MODEL = 'demo/echo';

export interface KillWorld {
  url: string;
  file: string;
  mint: TestMint;
  purse: Purse;
  streets: KillStreets;
  /** Tokens that the shoppers own now. */
  owned: () => readonly Token[];
  close: () => Promise<void>;
}

/** @param fails true if an address does not answer this time. */
export async function createKillWorld(random: () => number, fails: () => boolean): Promise<KillWorld> {
  const mint = await createTestMint({ dleq: false, autoPay: false });
  const streets = await createStreets({ mint, fails });
  const model = await createTestModel({ models: [MODEL] });
  const dir = await mkdtemp(join(tmpdir(), 'routstr-kill-'));
  const port = await freePort();
  const file = join(dir, 'node.yaml');
  await writeFile(
    file,
    JSON.stringify(settings({ port, mint: mint.url, model: model.url, operator: streets.operator })),
    {
      mode: 0o600,
    },
  );

  const owned: Token[] = [];
  return {
    url: `http://127.0.0.1:${port}`,
    file,
    mint,
    streets,
    owned: () => owned,
    purse: {
      faceOf: (text) =>
        getDecodedToken(text, [mint.keyset()]).proofs.reduce((sum, { amount }) => sum + Number(amount), 0),
      // Money goes round: what was paid out pays again, and so proves to be good.
      take: async () => {
        const at = owned.findIndex(({ sats }) => sats >= SATS_LEAST);
        const [token] = at >= 0 && random() < 0.8 ? owned.splice(at, 1) : [];
        if (token) return token;
        const sats = SATS_LEAST + Math.floor(random() * 100);
        return { text: await mint.issue(sats), sats, fee: 0 };
      },
      put: (text, sats) => {
        if (!owned.some((token) => token.text === text)) owned.push({ text, sats, fee: 0 });
      },
    },
    close: async () => {
      await Promise.all([mint.close(), model.close(), streets.close()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

const settings = (at: { port: number; mint: string; model: string; operator: string }) => ({
  data_dir: './data',
  listen: { host: '127.0.0.1', port: at.port },
  relays: [],
  lightning: { allow_private: true },
  payout: { lightning_address: at.operator, threshold_sats: 20 },
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
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as { port: number };
  await new Promise<void>((done) => probe.close(() => done()));
  return port;
}
