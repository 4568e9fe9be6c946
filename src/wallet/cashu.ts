/** createWallet: the conversation with the listed mints, on the codecs and curve arithmetic of cashu-ts. */
import { PaymentRequest } from '@cashu/cashu-ts';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import { msatPerUnit, satCeil, type Unit } from '../base/money.ts';
import type { OutputPlan, StoredProof } from '../base/proof.ts';
import type { Clock } from '../base/time.ts';
import { createCurve } from './curve.ts';
import { createDleqWatch } from './dleq-watch.ts';
import type { WalletMemory } from './keyset-memory.ts';
import { createLightning } from './lightning-mint.ts';
import { createAddressBook } from './lnurl.ts';
import { readStates } from './mint-answers.ts';
import { createMints, type ListedMint, type Mint } from './mints.ts';
import { planReceive } from './plan.ts';
import { createPurse } from './purse.ts';
import { anyChangeSplit } from './split.ts';
import { type CounterMemory, createSurvey } from './survey.ts';
import { swapRound } from './swap.ts';
import { claimOf, inspectToken } from './token.ts';
import type { InputProof, MintStatus, SwapOutcome, SwapRequest, TokenInfo, Wallet } from './wallet.ts';

export interface WalletOptions {
  mints: readonly ListedMint[];
  /** 64 bytes (BIP-39); every secret of our proofs follows from it. Never leaves this thread and the worker. */
  seed: Uint8Array;
  /** Keeps the public keys of mints over a restart, so that tokens can be made while a mint is away. */
  memory?: WalletMemory;
  /** Given for a ledger that was restored. */
  counters?: CounterMemory | undefined;
  /** Lets Lightning addresses lead to this machine or a local network. */
  allowPrivateAddresses?: boolean;
  clock: Clock;
  log: Logger;
}

/** A token that pays a quoted amount may consist of this many proofs, and still its input fee is covered. */
const FEE_ROOM_PROOFS = 16;

export function createWallet(options: WalletOptions): Wallet {
  const { seed, clock, log } = options;
  const curve = createCurve({ seed, log });
  const mints = createMints({ listed: options.mints, memory: options.memory, clock, log });
  const purse = createPurse(curve);
  const survey = createSurvey({ curve, memory: options.counters, log });
  const dleqWatch = createDleqWatch({ curve, log });
  const addresses = createAddressBook({ allowPrivate: options.allowPrivateAddresses ?? false, clock, log });
  const unknownRefusals = new Map<string, number>();

  function countUnknownRefusal(plan: OutputPlan): number {
    const name = `${plan.keyset}:${plan.counter}`;
    const count = (unknownRefusals.get(name) ?? 0) + 1;
    unknownRefusals.delete(name);
    unknownRefusals.set(name, count);
    const oldest = unknownRefusals.keys().next();
    if (unknownRefusals.size > LIMITS.mint.keysetsMax && !oldest.done) unknownRefusals.delete(oldest.value);
    return count;
  }

  async function inputsOf(mint: Mint, proofs: SwapRequest['inputs']): Promise<InputProof[]> {
    const [first] = proofs;
    if (first === undefined || 'secret' in first) return proofs as InputProof[];
    return purse.unblind(mint, proofs as StoredProof[], 0);
  }

  async function isOutdated(mint: Mint, inputs: InputProof[], outputs: OutputPlan): Promise<boolean> {
    const { keysets } = mint;
    keysets.suspect(outputs.keyset);
    await keysets.load();
    if (keysets.get(outputs.keyset)?.active !== true) return true;
    const ppk = inputs.reduce((total, input) => total + (keysets.get(input.id)?.feePpk ?? 0), 0);
    return sumOf(inputs) - Math.ceil(ppk / 1000) !== outputs.amounts.reduce((sum, amount) => sum + amount, 0);
  }

  async function swap(request: SwapRequest): Promise<SwapOutcome> {
    const mint = mints.get(request.mint);
    const { plan, oldPlans = [], firstAttempt } = request;
    const inputs = await inputsOf(mint, request.inputs);
    const { outcome, signed } = await swapRound(
      { inputs, plan, oldPlans, firstAttempt },
      {
        client: mint.client,
        clock,
        log,
        blind: (outputs) => curve.blind(outputs.keyset, outputs.counter, outputs.amounts.length),
        outdated: (presented, outputs) => isOutdated(mint, presented, outputs),
        ys: (secrets) => curve.run({ type: 'ys', secrets }, 0),
        countUnknownRefusal,
      },
    );
    if (outcome.outcome === 'replan') mint.keysets.suspect(plan.keyset);
    if (outcome.outcome === 'contradiction') mint.quarantine(outcome.detail);
    if (outcome.outcome === 'signed' && signed) dleqWatch.check(mint, signed);
    return outcome;
  }

  /** A mint that is away must not keep exact coins from being paid out: what it said earlier will do for a plan. */
  async function loadOrRemember(keysets: Mint['keysets'], unit: Unit): Promise<void> {
    if (keysets.active(unit) === undefined) return keysets.load();
    const answered = new AbortController();
    const loading = keysets
      .load()
      .catch((error: unknown) => log.info('wallet.keysets.remembered', { unit, error: errorKind(error) }))
      .finally(() => answered.abort());
    await Promise.race([loading, clock.sleep(LIMITS.mint.rememberedWaitMs, answered.signal)]);
  }

  async function activeKeyset(mintUrl: string, unit: Unit, how?: { fresh: boolean }) {
    const mint = mints.get(mintUrl);
    const { keysets } = mint;
    if (how?.fresh) await keysets.refresh();
    else await loadOrRemember(keysets, unit);
    const active = keysets.active(unit);
    if (active === undefined) throw new NodeError('mint_unreachable', 'The mint has no usable keyset.');
    await survey(mint, active.id);
    const feePpk = (keyset: string) => keysets.get(keyset)?.feePpk ?? active.feePpk;
    return { keyset: active.id, feePpk, facts: keysets.get };
  }

  async function checkStates<T>(mintUrl: string, proofs: T[], ysOf: (portion: T[]) => Promise<string[]>) {
    const { client } = mints.get(mintUrl);
    const size = LIMITS.mint.statesPerRequest;
    const states: ('UNSPENT' | 'PENDING' | 'SPENT' | 'UNKNOWN')[] = [];
    for (let start = 0; start < proofs.length; start += size) {
      const portion = proofs.slice(start, start + size);
      const Ys = await ysOf(portion);
      const answer = await client.post('/v1/checkstate', JSON.stringify({ Ys }));
      const known = answer.kind === 'ok' ? readStates(answer.body, Ys) : undefined;
      states.push(...(known ?? portion.map(() => 'UNKNOWN' as const)));
    }
    return states;
  }

  async function spentClaims(info: TokenInfo): Promise<string[]> {
    const secrets = info.proofs.reveal().map((proof) => proof.secret);
    const states = await checkStates(info.mint, secrets, (portion) =>
      curve.run({ type: 'ys', secrets: portion }, 0),
    );
    return secrets.filter((_, i) => states[i] === 'SPENT').map(claimOf);
  }

  function paymentRequest(...[amount]: Parameters<Wallet['paymentRequest']>): string {
    const offered = mints.all().filter((mint) => !mint.quarantined());
    const units: readonly Unit[] = ['sat', 'msat'];
    const unit = units.find((candidate) => offered.some((mint) => mint.units.includes(candidate))) ?? 'sat';
    const accepting = offered.filter((mint) => mint.units.includes(unit));
    const ppk = Math.max(0, ...accepting.map((mint) => mint.keysets.active(unit)?.feePpk ?? 0));
    const room = Math.ceil((ppk * FEE_ROOM_PROOFS) / 1000);
    const price = msatPerUnit(unit) === 1000 ? satCeil(amount) : amount;
    const urls = accepting.map((mint) => mint.url);
    return new PaymentRequest(undefined, undefined, price + room, unit, urls).toEncodedCreqA();
  }

  function statuses(): MintStatus[] {
    return mints.all().flatMap((mint) =>
      mint.units.map((unit) => {
        const active = mint.keysets.active(unit);
        return {
          url: mint.url,
          unit,
          reachable: mint.keysets.loaded() && mint.client.reachable(),
          quarantined: mint.quarantined(),
          ...(active === undefined ? {} : { activeKeyset: active.id, inputFeePpk: active.feePpk }),
        };
      }),
    );
  }

  return {
    inspect: (token) => inspectToken(token, mints.unitsOf),
    planReceive: async (info) => {
      const mint = mints.get(info.mint);
      const plan = await planReceive(info, mint);
      await survey(mint, plan.keyset);
      return plan;
    },
    swap: async (request) => {
      try {
        return await swap(request);
      } catch (error) {
        // Keys could not be fetched, or the wallet is closing: nothing is known, and that is the answer.
        log.warn('wallet.swap.interrupted', { error: errorKind(error) });
        const retryAfterMs = error instanceof NodeError ? error.options.retryAfterMs : undefined;
        return { outcome: 'unresolved', ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
      }
    },
    prepare: (mint, _unit, proofs) => {
      purse.unblind(mints.get(mint), proofs, 1).catch((error: unknown) => {
        log.warn('wallet.prepare.failed', { error: errorKind(error) });
      });
    },
    encodeToken: (mint, unit, proofs) => purse.encode(mints.get(mint), unit, proofs),
    activeKeyset,
    split: anyChangeSplit,
    checkStates: (mint, _unit, proofs) =>
      checkStates(mint, proofs, (portion) => curve.run({ type: 'own-ys', proofs: portion }, 2)),
    spentClaims,
    paymentRequest,
    lightning: createLightning({ mints, survey, curve, purse, dleqWatch, addresses, seed, clock, log }),
    mints: statuses,
    start: () => mints.start(),
    close: async () => {
      mints.close();
      addresses.close();
      await curve.close();
    },
  };
}

const sumOf = (proofs: readonly InputProof[]): number => proofs.reduce((sum, proof) => sum + proof.amount, 0);
