/** What belongs to a node and must survive it: Nostr key, seed, ledger. Made by `init`, read at every start. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, ExitError } from './base/error.ts';
import { createHmac } from 'node:crypto';
import { type Sealer, createSealer } from './base/seal.ts';
import { Secret } from './base/secret.ts';
import type { Logger } from './base/log.ts';
import { type Clock, systemClock } from './base/time.ts';
import type { Config } from './config.ts';
import { initLedger } from './ledger/genesis.ts';
import { generateNsec, nodeKey } from './relay/key.ts';
import type { NodeKey } from './relay/relay.ts';
import { createMnemonic, seedFromMnemonic } from './wallet/seed.ts';

export const ledgerDir = (config: Config): string => join(config.data_dir, 'ledger');
export const seedFile = (config: Config): string => join(config.data_dir, 'seed');

export interface NodeSecrets {
  key: NodeKey;
  /** 64 bytes from which every secret of the node's ecash follows. */
  seed: Uint8Array;
  sealer: Sealer;
  keySecret: Secret<Uint8Array>;
}

/** Creates what is missing, touches nothing that exists. `created` lists the files made. */
export async function initNode(
  config: Config,
  options: { log?: Logger; clock?: Clock } = {},
): Promise<{ npub: string; created: string[] }> {
  const clock = options.clock ?? systemClock;
  const created: string[] = [];
  await mkdir(config.data_dir, { recursive: true, mode: 0o700 });
  let nsec = config.secrets.nsec;
  if (!nsec) {
    const { nsecFile } = config.secrets;
    if (nsecFile === undefined)
      throw new ExitError(EXIT.refused, 'identity.nsec: the environment variable is not set');
    nsec = generateNsec();
    await writeFile(nsecFile, `${nsec.reveal()}\n`, { mode: 0o600, flag: 'wx' });
    created.push(nsecFile);
  }
  const { npub, pubkey } = nodeKey(nsec);
  if (!(await exists(seedFile(config)))) {
    await writeFile(seedFile(config), `${createMnemonic()}\n`, { mode: 0o600, flag: 'wx' });
    created.push(seedFile(config));
  }
  if (!(await exists(ledgerDir(config)))) {
    await initLedger({ dir: ledgerDir(config), clock, nodeId: pubkey });
    created.push(ledgerDir(config));
  }
  return { npub, created };
}

/** Throws ExitError(78) when the node was never initialised. */
export async function readNodeSecrets(config: Config): Promise<NodeSecrets> {
  const { nsec } = config.secrets;
  if (!nsec) throw new ExitError(EXIT.refused, 'there is no Nostr key here; run: routstr-node init');
  const words = await readFile(seedFile(config), 'utf8').catch((cause: unknown) => {
    throw new ExitError(
      EXIT.refused,
      `there is no seed at ${seedFile(config)}; run: routstr-node init`,
      cause,
    );
  });
  const seed = seedFromMnemonic(words);
  const master = createHmac('sha256', seed).update('routstr-node/master/1').digest();
  const keySecret = createHmac('sha256', seed).update('routstr-node/api-keys/1').digest();
  return {
    key: nodeKey(nsec),
    seed,
    sealer: createSealer(master),
    keySecret: new Secret<Uint8Array>(keySecret),
  };
}

const exists = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
