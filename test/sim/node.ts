/** A simulated process: the real ledger and the real gateway on simulated ports, until it dies. */
import { silentLogger } from '../../src/base/log.ts';
import { createSealer } from '../../src/base/seal.ts';
import { ZERO } from '../../src/base/money.ts';
import { Secret } from '../../src/base/secret.ts';
import { type Gateway, createGateway } from '../../src/gateway/gateway.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/level.ts';
import type { RateSource } from '../../src/pricing/rate.ts';
import type { Wallet } from '../../src/wallet/wallet.ts';
import { withPoints } from '../faults/points.ts';
import type { Disk } from './disk.ts';
import type { SimLightning } from './lightning.ts';
import type { SimMint } from './mint.ts';
import type { VirtualTime } from './time.ts';
import { type UpstreamMood, createSimCatalogue, createSimUpstream } from './upstream.ts';
import { createSimWallet } from './wallet.ts';

export interface SimNode {
  ledger: Ledger;
  gateway: Gateway;
  death: Promise<void>;
  isDead: () => boolean;
  die: () => void;
}

/** A node with one mistake in it: its ports as they come, and as the gateway gets them. */
export type Mutant = (ports: { ledger: Ledger; wallet: Wallet; time: VirtualTime }) => {
  ledger: Ledger;
  wallet: Wallet;
};

export class Died extends Error {
  constructor() {
    super('the process died');
  }
}

export const OPERATOR_ADDRESS = 'operator@sim.test';
const KEY = new Uint8Array(32).fill(7);

export interface SimNodeParts {
  time: VirtualTime;
  random: () => number;
  disk: Disk;
  mints: readonly SimMint[];
  lightning: SimLightning;
  addressFails: () => boolean;
  upstreamMood: () => UpstreamMood;
  /** Visits a point; true if the process dies there. */
  diesAt: (point: string) => boolean;
  mutant: Mutant | undefined;
}

/** Rejects with `Died` when it dies while it starts; `onProcess` is told before that. */
export async function startSimNode(
  parts: SimNodeParts,
  onProcess: (die: () => void) => void,
): Promise<SimNode> {
  const { time, random, disk, mints, lightning, addressFails, upstreamMood, diesAt, mutant } = parts;
  let dead = false;
  let announce: () => void = () => undefined;
  const death = new Promise<void>((resolve) => (announce = resolve));
  const isDead = (): boolean => dead;
  function die(): void {
    if (dead) return;
    dead = true;
    disk.crash();
    announce();
  }
  onProcess(die);
  function point(name: string): void {
    if (!dead && diesAt(name)) die();
    if (dead) throw new Died();
  }

  const clock = time.clockFor(isDead);
  const log = silentLogger;
  const opened = openLedger({ dir: 'simulated', clock, log, storage: disk.storageFor(isDead) });
  const real = await Promise.race([
    opened,
    death.then(() => {
      throw new Died();
    }),
  ]);
  const ports = {
    ledger: real,
    wallet: createSimWallet({ mints, lightning, addressFails, clock, log }),
    time,
  };
  const { ledger, wallet } = mutant?.(ports) ?? ports;
  const upstreams = ['one', 'two'].map((id) =>
    withPoints('upstream', createSimUpstream({ id, clock, random, mood: upstreamMood }), point),
  );
  const gateway = withPoints(
    'gateway',
    createGateway({
      ledger: withPoints('ledger', ledger, point),
      wallet: withPoints('wallet', wallet, point),
      catalogue: createSimCatalogue(upstreams),
      rate: { msatPerUsd: () => 1_000_000 } as unknown as RateSource,
      limits: { requestsPerMinute: 0, identicalRequests: 0 },
      childKeyCost: ZERO,
      payout: { lightningAddress: OPERATOR_ADDRESS, thresholdSats: 20 },
      secrets: { sealer: createSealer(KEY), keySecret: new Secret(KEY) },
      clock,
      log,
    }),
    point,
  );
  gateway.start();
  return { ledger: real, gateway, death, isDead, die };
}
