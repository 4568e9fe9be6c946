/** The account rooms of the gateway on a real ledger, with a wallet in memory whose mint does what a test says. */
import { onTestFinished } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { type AccountId, sha256Hex } from '../../src/base/id.ts';
import { silentLogger } from '../../src/base/log.ts';
import { type Unit, msat, unitToMsat } from '../../src/base/money.ts';
import { createSealer } from '../../src/base/seal.ts';
import { Secret } from '../../src/base/secret.ts';
import { tokenTextHash } from '../../src/base/token-text.ts';
import { createAccounts } from '../../src/gateway/account.ts';
import { createDeposits } from '../../src/gateway/deposit.ts';
import { createDeadTokens } from '../../src/gateway/dead-tokens.ts';
import { createDriver } from '../../src/gateway/drive.ts';
import { createJunkLimit } from '../../src/gateway/rate.ts';
import { createOnce } from '../../src/gateway/idempotency.ts';
import { createPayers } from '../../src/gateway/payer.ts';
import { createPayouts } from '../../src/gateway/payout.ts';
import type { Credential } from '../../src/gateway/request.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import type { SwapOutcome, SwapRequest, TokenInfo, Wallet } from '../../src/wallet/wallet.ts';
import { anyChangeSplit } from '../../src/wallet/split.ts';
import { fakeClock } from '../base/clock.ts';
import { newLedger } from '../ledger/fixture.ts';

export const A = 'https://a.test';
export const B = 'https://b.test';
const keysetOf = (mint: string): string => `00${sha256Hex(mint).slice(0, 14)}`;

/** Text of a token of this toy mint; `name` stands for its proofs. */
export const token = (amount: number, name: string, mint = A, unit: Unit = 'sat'): string =>
  `cashuT${mint}|${unit}|${amount}|${name}`;

export interface ToyWallet extends Wallet {
  /** What the mint does with the next swaps; it signs when nothing is ordered. */
  answers: ((request: SwapRequest) => SwapOutcome | Promise<SwapOutcome>)[];
  /** Tokens whose proofs were redeemed elsewhere. */
  spend: (text: string) => void;
  /** Lets the mint call the proof of this name SPENT (NUT-07). */
  spendProof: (name: string) => void;
  swaps: () => number;
}

export const signs = ({ plan }: SwapRequest): SwapOutcome => ({
  outcome: 'signed',
  blindSignatures: plan.amounts.map((_, i) => `02${String(plan.counter + i).padStart(64, '0')}`),
  plan,
});
export const refuses = (): SwapOutcome => ({ outcome: 'refused', code: 10001 });

/** Several proofs in another text: `name` up to the first `~` is the proof. */
const inspect = (text: string): TokenInfo => {
  const [mint = '', unit, amount, name = ''] = text.slice('cashuT'.length).split('|');
  const proof = name.split('~')[0] ?? '';
  if (!text.startsWith('cashuT')) throw new NodeError('invalid_cashu_token', 'not of this toy');
  return {
    mint,
    unit: unit as Unit,
    face: unitToMsat(Number(amount), unit as Unit),
    textHash: tokenTextHash(text),
    claims: [sha256Hex(proof).slice(0, 32)],
    proofs: new Secret([{ id: keysetOf(mint), amount: Number(amount), secret: proof, C: '02' }]),
  };
};

export function toyWallet(): ToyWallet {
  const spent = new Set<string>();
  const spentProofs = new Set<string>();
  const answers: ToyWallet['answers'] = [];
  let swaps = 0;
  return {
    answers,
    spend: (text) => void spent.add(text),
    spendProof: (name) => void spentProofs.add(sha256Hex(name).slice(0, 32)),
    swaps: () => swaps,
    inspect,
    planReceive: (info) => {
      const net = info.face / unitToMsat(1, info.unit);
      const inputs = info.proofs.reveal();
      return Promise.resolve({
        keyset: keysetOf(info.mint),
        fee: 0,
        net,
        amounts: anyChangeSplit(net),
        inputs,
      });
    },
    swap: async (request) => {
      swaps += 1;
      return (answers.shift() ?? signs)(request);
    },
    prepare: () => undefined,
    encodeToken: (mint, unit, proofs) =>
      Promise.resolve(
        token(
          proofs.reduce((sum, { amount }) => sum + amount, 0),
          proofs.map(({ counter }) => counter).join('+'),
          mint,
          unit,
        ),
      ),
    activeKeyset: (mint) => Promise.resolve({ keyset: keysetOf(mint), feePpk: () => 0 }),
    split: anyChangeSplit,
    checkStates: async (mint, unit, proofs) => {
      const text = token(
        proofs.reduce((sum, { amount }) => sum + amount, 0),
        proofs.map(({ counter }) => counter).join('+'),
        mint,
        unit,
      );
      return proofs.map(() => (spent.has(text) ? 'SPENT' : 'UNSPENT'));
    },
    spentClaims: (info) => Promise.resolve(info.claims.filter((claim) => spentProofs.has(claim))),
    paymentRequest: () => 'creqA',
    lightning: new Proxy({} as Wallet['lightning'], {
      get: () => () => Promise.reject(new Error('this toy has no Lightning')),
    }),
    mints: () => [A, B].map((url) => ({ url, unit: 'sat', reachable: true, quarantined: false })),
    start: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

export async function newTill(wrap: (ledger: Ledger) => Ledger = (ledger) => ledger) {
  const { ledger: inner } = await newLedger();
  const ledger = wrap(inner);
  const clock = fakeClock();
  const wallet = toyWallet();
  const log = silentLogger;
  const driver = createDriver({ clock, log });
  onTestFinished(() => driver.close());
  const sealer = createSealer(Buffer.alloc(32, 7));
  const junk = createJunkLimit({ clock });
  const dead = createDeadTokens({ clock });
  const deposits = createDeposits({ ledger, wallet, sealer, driver, dead, junk, log });
  const payouts = createPayouts({ ledger, wallet, driver, log });
  const payers = createPayers({ ledger, wallet, deposits, keySecret: new Secret(Buffer.alloc(32, 9)), junk });
  const once = createOnce({ ledger });
  const accounts = createAccounts({ ledger, wallet, payers, deposits, payouts, once, log });
  const asKey = (key: Secret): Credential => ({ kind: 'key', key });
  return {
    ledger,
    clock,
    wallet,
    driver,
    deposits,
    payouts,
    payers,
    accounts,
    /** The same ledger in the hands of a command of the operator, which resumes nothing by itself. */
    command: async () => {
      await driver.close();
      const next = createDriver({ clock, log });
      onTestFinished(() => next.close());
      return {
        deposits: createDeposits({ ledger, wallet, sealer, driver: next, dead, junk, log }),
        payouts: createPayouts({ ledger, wallet, driver: next, log }),
      };
    },
    /** A request that was answered for so many msat. */
    spendFrom: (account: AccountId, cost: number): void => {
      ledger.hold({ id: `hold of ${account}`, account, amount: msat(cost) });
      ledger.settle(`hold of ${account}`, msat(cost));
    },
    /** A new prepaid key. */
    key: async (amount: number, name: string, mint = A): Promise<Credential> =>
      asKey((await accounts.create(new Secret(token(amount, name, mint)), {})).apiKey),
    balance: async (credential: Credential): Promise<number> =>
      (await accounts.info(credential)).account.available,
  };
}

export type Till = Awaited<ReturnType<typeof newTill>>;

/** Who pays for a request with this credential; whatever is thrown on the way rejects. */
export const payerOf = async (till: Till, ...asked: Parameters<Till['payers']['resolve']>) =>
  till.payers.resolve(...asked);

/** Code of the NodeError that a promise rejects with, or what it resolves to. */
export const outcome = async <T>(promise: Promise<T>): Promise<T | string> =>
  promise.catch((error: unknown) => (error instanceof NodeError ? error.code : String(error)));

/** Lets everything that waits for disk and promises run. */
export async function settleDown(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 40));
}
