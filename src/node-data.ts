/** What belongs to a node and must survive it: Nostr key, seed, ledger. Made by `init`, read at every start. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, ExitError } from './base/error.ts';
import { exists } from './base/missing.ts';
import { createHmac } from 'node:crypto';
import { type Sealer, createSealer } from './base/seal.ts';
import { Secret } from './base/secret.ts';
import type { Logger } from './base/log.ts';
import { type Clock, systemClock } from './base/time.ts';
import type { Config } from './config.ts';
import { initLedger } from './ledger/genesis.ts';
import type { Ledger } from './ledger/ledger.ts';
import { generateNsec, nodeKey } from './relay/key.ts';
import type { NodeKey } from './relay/relay.ts';
import { createMnemonic, seedFromMnemonic } from './wallet/seed.ts';

export const ledgerDir = (config: Config): string => join(config.data_dir, 'ledger');
/** Undefined where the operator wants none. */
export function mirrorDir({ ledger, data_dir }: Config): string | undefined {
  return ledger.mirror === false ? undefined : (ledger.mirror ?? join(data_dir, 'mirror'));
}
export const seedFile = ({ data_dir }: Pick<Config, 'data_dir'>): string => join(data_dir, 'seed');

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
    if (await exists(ledgerDir(config))) throw seedLost(config);
    await writeFile(seedFile(config), `${createMnemonic()}\n`, { mode: 0o600, flag: 'wx' });
    created.push(seedFile(config));
  }
  if (!(await exists(ledgerDir(config)))) {
    await initLedger({ dir: ledgerDir(config), clock, nodeId: pubkey });
    created.push(ledgerDir(config));
  }
  return { npub, created };
}

/** Value of the ledger that names its seed; absent before the first start. */
export const SEED_MARK = 'node.seed';

export const seedMark = ({ seed }: NodeSecrets): string =>
  createHmac('sha256', seed).update('routstr-node/seed-mark/1').digest('hex').slice(0, 16);

/** The first start notes whose seed it is; a ledger is never opened for business with another one. */
export async function checkSeed(ledger: Ledger, secrets: NodeSecrets): Promise<void> {
  const mark = seedMark(secrets);
  const known = ledger.getValue(SEED_MARK);
  if (known === undefined) await ledger.putValue(SEED_MARK, mark).durable;
  else if (known !== mark) throw new ExitError(EXIT.refused, FOREIGN_SEED);
}

export const FOREIGN_SEED =
  'the seed is not the one that this ledger was made with: every token made of its ecash would be worthless; ' +
  'restore the seed that belongs to it';

/** Tokens made of a ledger's proofs with another seed are worthless, and the clients' balances would pay for them. */
const seedLost = (config: Config): ExitError =>
  new ExitError(
    EXIT.refused,
    `${seedFile(config)} is missing, but ${ledgerDir(config)} holds ecash that only this seed can spend; ` +
      'put the twelve words of your backup into that file (a new seed would make every refund worthless)',
  );

/** Throws ExitError(78) when the node was never initialised, or when its seed is lost. */
export async function readNodeSecrets(config: Config): Promise<NodeSecrets> {
  const { nsec } = config.secrets;
  if (!nsec) throw new ExitError(EXIT.refused, 'there is no Nostr key here; run: routstr-node init');
  const words = await readFile(seedFile(config), 'utf8').catch(async (cause: unknown) => {
    if (await exists(ledgerDir(config))) throw seedLost(config);
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
