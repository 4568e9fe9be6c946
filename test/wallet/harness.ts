/** A wallet, its play-money mint, a clock that tests move, and the few lines a ledger would add. */
import { createTestMint, type TestMint, type TestMintOptions } from '../../src/demo/mint.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { LogFields, Logger } from '../../src/base/log.ts';
import type { OutputPlan, StoredProof } from '../../src/base/proof.ts';
import type { Clock } from '../../src/base/time.ts';
import { createWallet } from '../../src/wallet/cashu.ts';
import type { WalletMemory } from '../../src/wallet/keyset-memory.ts';
import type { MintStatus, SwapOutcome, SwapRequest, Wallet } from '../../src/wallet/wallet.ts';

export const SEED = Uint8Array.from({ length: 64 }, (_, i) => (i * 7 + 3) % 256);

export interface TestClock extends Clock {
  /** Moves time; whoever sleeps until then wakes up. */
  advance: (ms: number) => void;
}
/** Sleeps end by `advance` only, except the second look at a spent token, which is not worth waiting for. */
export function testClock(): TestClock {
  let offset = 0;
  const sleepers = new Set<{ due: number; wake: () => void }>();
  const monotonic = () => performance.now() + offset;
  return {
    now: () => Date.now() + offset,
    monotonic,
    advance: (ms) => {
      offset += ms;
      for (const sleeper of sleepers) if (sleeper.due <= monotonic()) sleeper.wake();
    },
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const sleeper = { due: monotonic() + ms, wake: () => (sleepers.delete(sleeper), resolve()) };
        if (signal?.aborted || ms === LIMITS.mint.lookTwiceMs) return resolve();
        sleepers.add(sleeper);
        signal?.addEventListener('abort', sleeper.wake, { once: true });
      }),
  };
}

export interface LogLine {
  level: keyof Logger;
  event: string;
  fields: LogFields | undefined;
}
export function recordingLogger(lines: LogLine[]): Logger {
  const record = (level: keyof Logger) => (event: string, fields?: LogFields) => {
    lines.push({ level, event, fields });
  };
  return { debug: record('debug'), info: record('info'), warn: record('warn'), error: record('error') };
}

export interface World {
  mint: TestMint;
  wallet: Wallet;
  clock: TestClock;
  log: LogLine[];
  /** What the wallet says about this mint. */
  status: () => MintStatus | undefined;
  /** What a ledger writes down before the mint hears of it: the request, with counters never used before. */
  request: (token: string) => Promise<SwapRequest>;
  /** The whole receive; throws unless it is signed. */
  receive: (token: string) => Promise<StoredProof[]>;
  /** Counters that the ledger gives to the next plan. */
  plan: (keyset: string, amounts: number[]) => OutputPlan;
  [Symbol.asyncDispose]: () => Promise<void>;
}
export interface WalletParts {
  seed?: Uint8Array;
  memory?: WalletMemory;
}

export async function createWorld(options: TestMintOptions & WalletParts = {}): Promise<World> {
  const { seed, memory, ...mint } = options;
  const parts = { ...(seed && { seed }), ...(memory && { memory }) };
  return (await createWorlds({ only: mint }, parts)).only;
}

/** Several mints, one wallet: its worker thread takes half a second to start, and reputations are per mint. */
export async function createWorlds<Name extends string>(
  mints: Record<Name, TestMintOptions>,
  { seed = SEED, memory }: WalletParts = {},
): Promise<Record<Name, World>> {
  const entries = await Promise.all(
    // DLEQ proofs take most of the time of a mint; tests that are about them ask for them.
    Object.entries<TestMintOptions>(mints).map(
      async ([name, options]) => [name, await createTestMint({ dleq: false, ...options })] as const,
    ),
  );
  const clock = testClock();
  const log: LogLine[] = [];
  const wallet = createWallet({
    mints: entries.map(([, { url, unit }]) => ({ url, unit, allowPrivate: true })),
    seed,
    ...(memory && { memory }),
    clock,
    log: recordingLogger(log),
  });
  await wallet.start();
  const counters = new Map<string, number>();
  const plan = (keyset: string, amounts: number[]): OutputPlan => {
    const counter = counters.get(keyset) ?? 0;
    counters.set(keyset, counter + amounts.length);
    return { keyset, counter, amounts };
  };
  const request = async (token: string): Promise<SwapRequest> => {
    const info = wallet.inspect(token);
    const { keyset, amounts, inputs } = await wallet.planReceive(info);
    return { mint: info.mint, unit: info.unit, inputs, plan: plan(keyset, amounts), firstAttempt: true };
  };
  const worldOf = (mint: TestMint): World => ({
    mint,
    wallet,
    clock,
    log,
    status: () => wallet.mints().find(({ url }) => url === mint.url),
    plan,
    request,
    receive: async (token) => proofsOf(await wallet.swap(await request(token))),
    [Symbol.asyncDispose]: async () => {
      await wallet.close();
      await Promise.all(entries.map(([, each]) => each.close()));
    },
  });
  return Object.fromEntries(entries.map(([name, mint]) => [name, worldOf(mint)])) as Record<Name, World>;
}

/** A memory that survives the wallet, as the ledger does. `puts` lists the keys in the order of writing. */
export function walletMemory(): WalletMemory & { values: Map<string, string>; puts: string[] } {
  const values = new Map<string, string>();
  const puts: string[] = [];
  return {
    values,
    puts,
    get: (key) => values.get(key),
    put: async (key, value) => {
      puts.push(key);
      values.set(key, value);
    },
  };
}

export function proofsOf(outcome: SwapOutcome): StoredProof[] {
  if (outcome.outcome !== 'signed') throw new Error(`expected signatures, got ${JSON.stringify(outcome)}`);
  const { plan, blindSignatures } = outcome;
  return blindSignatures.map((blindSignature, i) => ({
    keyset: plan.keyset,
    counter: plan.counter + i,
    amount: plan.amounts[i] ?? 0,
    blindSignature,
  }));
}

export const total = (proofs: { amount: number }[]): number =>
  proofs.reduce((sum, proof) => sum + proof.amount, 0);

export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  if (!condition()) throw new Error('waited in vain');
}
