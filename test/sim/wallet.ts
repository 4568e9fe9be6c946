/** The wallet port on simulated mints: the node's own plans and swap rounds, without curve arithmetic. */
import { NodeError } from '../../src/base/error.ts';
import type { Logger } from '../../src/base/log.ts';
import { fromSat } from '../../src/base/money.ts';
import type { OutputPlan, StoredProof } from '../../src/base/proof.ts';
import { Secret } from '../../src/base/secret.ts';
import type { Clock } from '../../src/base/time.ts';
import { tokenTextHash } from '../../src/base/token-text.ts';
import { type Breaker, createBreaker } from '../../src/wallet/breaker.ts';
import type { Curve } from '../../src/wallet/curve.ts';
import { createLightning } from '../../src/wallet/lightning-mint.ts';
import type { MintAnswer } from '../../src/wallet/mint-http.ts';
import { claimOf } from '../../src/wallet/token.ts';
import { unknownKeyset } from '../../src/wallet/keysets.ts';
import { readStates } from '../../src/wallet/mint-answers.ts';
import type { Mint, Mints } from '../../src/wallet/mints.ts';
import { planReceive } from '../../src/wallet/plan.ts';
import { anyChangeSplit } from '../../src/wallet/split.ts';
import { swapRound } from '../../src/wallet/swap.ts';
import type { InputProof, TokenInfo, Wallet } from '../../src/wallet/wallet.ts';
import type { SimLightning } from './lightning.ts';
import { type SimMint, yOf } from './mint.ts';
import { type SimKeyset, blindedOf } from './mint-book.ts';

const SEED = new Uint8Array(64).fill(3);
const KEYS = Object.fromEntries(Array.from({ length: 24 }, (_, i) => [String(2 ** i), 'key']));
const PREFIX = 'cashuB';

export function encodeToken(mint: string, proofs: readonly InputProof[]): string {
  const sorted = [...proofs].sort((a, b) => a.amount - b.amount || (a.secret < b.secret ? -1 : 1));
  return PREFIX + Buffer.from(JSON.stringify({ mint, proofs: sorted })).toString('base64url');
}
export function decodeToken(text: string): { mint: string; proofs: InputProof[] } {
  if (!text.startsWith(PREFIX)) throw new NodeError('invalid_cashu_token', 'not a token');
  return JSON.parse(Buffer.from(text.slice(PREFIX.length), 'base64url').toString()) as never;
}

/** Secrets of the node follow from keyset and counter, as in life (NUT-13). */
const ownProof = ({ keyset, counter, amount, blindSignature }: StoredProof): InputProof => ({
  id: keyset,
  amount,
  secret: secretOf(keyset, counter),
  C: blindSignature,
});
const secretOf = (keyset: string, counter: number): string => `n:${keyset}:${counter}`;
export const proofsOfNode = (proofs: readonly StoredProof[]): InputProof[] => proofs.map(ownProof);
const sumOf = (proofs: readonly { amount: number }[]): number =>
  proofs.reduce((sum, { amount }) => sum + amount, 0);

export function createSimWallet(parts: {
  mints: readonly SimMint[];
  lightning: SimLightning;
  /** True if an address does not answer this time. */
  addressFails: () => boolean;
  clock: Clock;
  log: Logger;
}): Wallet {
  const { lightning, addressFails, clock, log } = parts;
  const mints = new Map(parts.mints.map((mint) => [mint.url, openMint(mint)]));
  const refusals = new Map<string, number>();

  const mintOf = (url: string): Mint => {
    const mint = mints.get(url);
    if (mint === undefined) throw new NodeError('untrusted_mint', 'not listed');
    return mint;
  };

  async function statesOf(url: string, secrets: readonly string[]) {
    const Ys = secrets.map(yOf);
    const answer = await mintOf(url).client.post('/v1/checkstate', JSON.stringify({ Ys }));
    const states = answer.kind === 'ok' ? readStates(answer.body, Ys) : undefined;
    return states ?? secrets.map(() => 'UNKNOWN' as const);
  }

  function inspect(text: string): TokenInfo {
    const { mint, proofs } = decodeToken(text);
    return {
      mint,
      unit: 'sat',
      face: fromSat(sumOf(proofs)),
      textHash: tokenTextHash(text),
      claims: proofs.map(({ secret }) => claimOf(secret)).sort(),
      proofs: new Secret(proofs),
    };
  }

  async function outdated(mint: Mint, inputs: InputProof[], plan: OutputPlan): Promise<boolean> {
    const { keysets } = mint;
    keysets.suspect(plan.keyset);
    await keysets.load();
    if (keysets.get(plan.keyset)?.active !== true) return true;
    const ppk = inputs.reduce((sum, { id }) => sum + (keysets.get(id)?.feePpk ?? 0), 0);
    return sumOf(inputs) - Math.ceil(ppk / 1000) !== sumOf(plan.amounts.map((amount) => ({ amount })));
  }

  return {
    inspect,
    planReceive: (info) => planReceive(info, mintOf(info.mint)),
    swap: async ({ mint: url, inputs: given, plan, oldPlans = [], firstAttempt }) => {
      const mint = mintOf(url);
      const inputs = given.map((proof) => ('secret' in proof ? proof : ownProof(proof)));
      const { outcome } = await swapRound(
        { inputs, plan, oldPlans, firstAttempt },
        {
          client: mint.client,
          clock,
          log,
          blind: ({ keyset, counter, amounts }) =>
            Promise.resolve(amounts.map((_, i) => blindedOf(secretOf(keyset, counter + i)))),
          ys: (secrets) => Promise.resolve(secrets.map(yOf)),
          outdated: (presented, outputs) => outdated(mint, presented, outputs),
          countUnknownRefusal: ({ keyset, counter }) => {
            const count = (refusals.get(`${keyset}:${counter}`) ?? 0) + 1;
            refusals.set(`${keyset}:${counter}`, count);
            return count;
          },
        },
      );
      if (outcome.outcome === 'replan') mint.keysets.suspect(plan.keyset);
      if (outcome.outcome === 'contradiction') mint.quarantine(outcome.detail);
      return outcome;
    },
    prepare: () => undefined,
    encodeToken: (mint, _unit, proofs) => Promise.resolve(encodeToken(mint, proofsOfNode(proofs))),
    activeKeyset: async (url) => {
      const { keysets } = mintOf(url);
      await keysets.load();
      const active = keysets.active('sat');
      if (active === undefined) throw new NodeError('mint_unreachable', 'no keyset');
      return { keyset: active.id, feePpk: (id) => keysets.get(id)?.feePpk ?? active.feePpk };
    },
    split: anyChangeSplit,
    checkStates: (url, _unit, proofs) =>
      statesOf(
        url,
        proofsOfNode(proofs).map(({ secret }) => secret),
      ),
    spentClaims: async ({ mint, proofs }) => {
      const secrets = proofs.reveal().map(({ secret }) => secret);
      const states = await statesOf(mint, secrets);
      return secrets.filter((_, i) => states[i] === 'SPENT').map(claimOf);
    },
    lightning: createLightning({
      survey: () => Promise.resolve(),
      mints: { get: mintOf, unitsOf: (url: string) => mints.get(url)?.units } as unknown as Mints,
      curve: {
        blind: (keyset: string, counter: number, count: number) =>
          Promise.resolve(Array.from({ length: count }, (_, i) => blindedOf(secretOf(keyset, counter + i)))),
        run: ({ secrets }: { secrets: string[] }) => Promise.resolve(secrets.map(yOf)),
      } as unknown as Curve,
      purse: {
        unblind: (_mint, proofs) => Promise.resolve(proofs.map(ownProof)),
        encode: () => Promise.reject(new Error('not simulated')),
      },
      dleqWatch: { check: () => undefined },
      addresses: {
        invoiceOf: async (address, amount) => {
          await clock.sleep(20);
          if (addressFails()) throw new NodeError('address_unreachable', 'silent');
          return lightning.invoiceOf(address, amount);
        },
        close: () => undefined,
      },
      seed: SEED,
      clock,
      log,
    }),
    paymentRequest: () => 'creqA',
    mints: () =>
      [...mints.values()].map((mint) => ({
        url: mint.url,
        unit: 'sat',
        reachable: true,
        quarantined: mint.quarantined(),
      })),
    start: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };

  /** What the wallet knows of keysets is a copy, as old as the last time it asked. */
  function openMint(sim: SimMint): Mint {
    let known = new Map<string, SimKeyset>();
    let stale = true;
    let quarantined = false;
    const breaker = createBreaker(clock);
    const infoOf = (id: string) => {
      const keyset = known.get(id);
      return keyset && { ...keyset, unit: 'sat' as const, keys: KEYS };
    };
    const load = async (): Promise<void> => {
      if (!stale) return;
      await clock.sleep(5);
      known = new Map(sim.keysets.map((keyset) => [keyset.id, { ...keyset }]));
      stale = false;
    };
    return {
      url: sim.url,
      units: ['sat'],
      client: {
        get: (path) => guarded(breaker, () => sim.get(path)),
        post: (path, body) => guarded(breaker, () => sim.post(path, body)),
        reachable: breaker.closed,
        close: () => undefined,
      },
      quarantine: () => {
        quarantined = true;
      },
      quarantined: () => quarantined,
      // Hints change when a quote is asked about, not what is believed: these mints give none.
      hints: { watch: () => () => undefined, close: () => undefined },
      keysets: {
        loaded: () => !stale,
        load,
        refresh: () => {
          stale = true;
          return load();
        },
        suspect: () => {
          stale = true;
        },
        active: () => infoOf([...known.values()].findLast((keyset) => keyset.active)?.id ?? ''),
        get: infoOf,
        expiring: () => false,
        matching: () => [],
        keysOf: (id) => (known.has(id) ? Promise.resolve(KEYS) : Promise.reject(unknownKeyset())),
        keysOfOurs: () => Promise.resolve(KEYS),
      },
    };
  }
}

/** As the real client does: what failed too often, or asked for a pause, is left alone for a while. */
async function guarded(breaker: Breaker, send: () => Promise<MintAnswer>): Promise<MintAnswer> {
  const wait = breaker.enter();
  if (wait !== undefined)
    return { kind: wait.why === 'limited' ? 'limited' : 'closed', retryAfterMs: wait.ms };
  const answer = await send();
  if (answer.kind === 'limited') breaker.limited(answer.retryAfterMs);
  else if (answer.kind === 'failed') breaker.failed();
  else breaker.succeeded();
  return answer;
}
