/** What survives every kill: a mint, a model, the buyers' tokens, and the data of the node. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getDecodedToken } from '@cashu/cashu-ts';
import { type TestMint, createTestMint } from '../../src/demo/mint.ts';
import { createTestModel } from '../../src/demo/model.ts';
import { MODEL, freePort, nodeSettings } from '../node-kit.ts';
import { SATS_LEAST } from '../shop/shopper.ts';
import type { Purse, Token } from '../shop/till.ts';
import { type KillStreets, createStreets } from './streets.ts';

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
  const settings = nodeSettings(
    { port, mint: mint.url, model: model.url },
    {
      lightning: { allow_private: true },
      payout: { lightning_address: streets.operator, threshold_sats: 20 },
    },
  );
  await writeFile(file, JSON.stringify(settings), { mode: 0o600 });

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
