/** A server that only tells its keysets, whatever the test puts into them; and keysets to put there. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createNewMintKeys, getPubKeyFromPrivKey, serializeMintKeys } from '@cashu/cashu-ts';
import { hex } from '../../src/base/id.ts';

export interface ServedKeyset {
  id: string;
  unit: string;
  active: boolean;
  input_fee_ppk: number;
  final_expiry?: number;
  keys: Record<string, string>;
}

export function makeKeyset(
  options: { version?: 0 | 1; feePpk?: number; finalExpiry?: number; active?: boolean; unit?: string } = {},
): ServedKeyset {
  const { version = 1, feePpk = 0, finalExpiry, active = true, unit = 'sat' } = options;
  const expiry = finalExpiry === undefined ? {} : { expiry: finalExpiry };
  const made = createNewMintKeys(8, undefined, {
    unit,
    input_fee_ppk: feePpk,
    versionByte: version,
    ...expiry,
  });
  return {
    id: made.keysetId,
    unit,
    active,
    input_fee_ppk: feePpk,
    ...(finalExpiry === undefined ? {} : { final_expiry: finalExpiry }),
    keys: serializeMintKeys(made.pubKeys),
  };
}

export interface KeysetMint {
  url: string;
  /** What is served; may be changed at any time. */
  keysets: ServedKeyset[];
  close: () => Promise<void>;
}

export async function createKeysetMint(keysets: ServedKeyset[], port = 0): Promise<KeysetMint> {
  const served: KeysetMint = { url: '', keysets, close };
  const server = createServer((request, response) => {
    const [, , what, id] = (request.url ?? '').split('/');
    const wanted = served.keysets.filter((keyset) => (id === undefined ? keyset.active : keyset.id === id));
    const list = served.keysets.map(({ keys: _keys, ...keyset }) => keyset);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keysets: what === 'keys' ? wanted : list }));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  served.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return served;

  async function close(): Promise<void> {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const C = hex(getPubKeyFromPrivKey(new Uint8Array(32).fill(5)));

/** A token that reads well; whether its proof is good only a real mint could tell. */
export function paperToken(mint: string, keysetId: string, amount = 8): string {
  const token = { token: [{ mint, proofs: [{ id: keysetId, amount, secret: 'paper', C }] }], unit: 'sat' };
  return `cashuA${Buffer.from(JSON.stringify(token)).toString('base64url')}`;
}
