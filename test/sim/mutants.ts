/** Planted mistakes: each breaks one rule of money in the ports of an otherwise sound node, and must be caught. */
import type { AccountId } from '../../src/base/id.ts';
import { msat } from '../../src/base/money.ts';
import type { Account, Ledger } from '../../src/ledger/ledger.ts';
import type { Mutant } from './node.ts';

const atOnce = <T extends object>(outcome: T): T =>
  'durable' in outcome ? { ...outcome, durable: Promise.resolve() } : outcome;

const POINT = `02${'79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'}`;

export const MUTANTS: Record<string, Mutant> = {
  /** The mint is asked before the intent is on disk. */
  'no intent before swap': ({ ledger, wallet }) => ({
    ledger: {
      ...ledger,
      openReceive: (intent) => atOnce(ledger.openReceive(intent)),
      openSend: (intent) => atOnce(ledger.openSend(intent)),
    },
    wallet,
  }),

  /** A spent token is taken for one that we swapped. */
  'credit without proofs': ({ ledger, wallet }) => ({
    ledger,
    wallet: {
      ...wallet,
      swap: async (request) => {
        const outcome = await wallet.swap(request);
        if (outcome.outcome === 'signed' || 'blindSignature' in (request.inputs[0] ?? {})) return outcome;
        const blindSignatures = request.plan.amounts.map(() => POINT);
        return { outcome: 'signed', blindSignatures, plan: request.plan };
      },
    },
  }),

  /** A request that ends twice is charged twice. */
  'settle not guarded': ({ ledger, wallet }) => ({
    ledger: {
      ...ledger,
      settle: (id, cost) => {
        const account = accounts.get(id);
        const outcome = ledger.settle(id, cost);
        if (account === undefined || outcome.outcome !== 'settled') return outcome;
        const again = ledger.hold({ id: `${id}:again`, account, amount: outcome.charged });
        if (again.outcome === 'held') ledger.settle(`${id}:again`, outcome.charged);
        return outcome;
      },
      hold: (request) => {
        accounts.set(request.id, request.account);
        return ledger.hold(request);
      },
    },
    wallet,
  }),

  /** The token leaves before its debit is on disk. */
  'debit after minting refund': ({ ledger, wallet }) => ({
    ledger: {
      ...ledger,
      openSend: (intent) => {
        const outcome = ledger.openSend(intent);
        return outcome.outcome === 'issued' || outcome.outcome === 'replayed' ? atOnce(outcome) : outcome;
      },
      completeSend: (id, signatures, plan) => atOnce(ledger.completeSend(id, signatures, plan)),
    },
    wallet,
  }),

  /** A bill is told before it is on disk. */
  'charge told too early': ({ ledger, wallet }) => ({
    ledger: { ...ledger, settle: (id, cost) => atOnce(ledger.settle(id, cost)) },
    wallet,
  }),

  /** A balance is told before it is on disk. */
  'credit told too early': ({ ledger, wallet }) => ({
    ledger: {
      ...ledger,
      completeReceive: (id, signatures, plan) => atOnce(ledger.completeReceive(id, signatures, plan)),
    },
    wallet,
  }),

  /** Requests at the same time all see the balance of before, and none of them takes it. */
  'check-then-act hold': ({ ledger, wallet, time }) => {
    const seen = new Map<AccountId, { account: Account | undefined; until: number }>();
    return {
      ledger: {
        ...ledger,
        account: (id) => {
          const known = seen.get(id);
          if (known !== undefined && known.until > time.now()) return known.account;
          const account = ledger.account(id);
          if (account?.kind === 'key') seen.set(id, { account, until: time.now() + 50 });
          return account;
        },
        hold: (request) => {
          const outcome = ledger.hold(request);
          if (outcome.outcome !== 'insufficient') return outcome;
          return { outcome: 'held', amount: request.amount, durable: Promise.resolve() };
        },
      },
      wallet,
    };
  },

  /** No answer is taken for a no, and what was asked for in vain is not looked for any more. */
  'timeout treated as failure': ({ ledger, wallet }) => ({
    ledger,
    wallet: {
      ...wallet,
      swap: async ({ oldPlans: _oldPlans, ...request }) => {
        const outcome = await wallet.swap(request);
        return outcome.outcome === 'unresolved' ? { outcome: 'refused', code: 10001 } : outcome;
      },
    },
  }),

  /** No answer to a payment is taken for a no. */
  'payment without an answer given back': ({ ledger, wallet }) => ({
    ledger,
    wallet: {
      ...wallet,
      lightning: {
        ...wallet.lightning,
        melt: async (request) => {
          const outcome = await wallet.lightning.melt(request);
          return outcome.outcome === 'unresolved' ? { outcome: 'unpaid', code: 0 } : outcome;
        },
      },
    },
  }),

  /** An invoice is credited when it is paid, whether or not the mint signs anything for it. */
  'invoice credited before it is minted': ({ ledger, wallet }) => ({
    ledger,
    wallet: {
      ...wallet,
      lightning: {
        ...wallet.lightning,
        mintTokens: (request) => {
          const { plan } = request;
          return Promise.resolve({ outcome: 'signed', blindSignatures: plan.amounts.map(() => POINT), plan });
        },
      },
    },
  }),

  /** Whatever an upstream says was used is charged. */
  'unclamped usage': ({ ledger, wallet }) => ({
    ledger: { ...ledger, settle: (id, cost) => ledger.settle(id, msat(cost * 10)) },
    wallet,
  }),

  /** A refund whose answer was lost cannot be found again. */
  'refund token not stored': ({ ledger, wallet }) => ({
    ledger: {
      ...ledger,
      account: (id) => withoutRefund(ledger.account(id)),
      openSend: ({ idempotency: _idempotency, ...intent }) => ledger.openSend(intent),
    },
    wallet,
  }),
};

/** Accounts of holds, for the mutant that settles twice. */
const accounts = new Map<string, AccountId>();

function withoutRefund(account: ReturnType<Ledger['account']>): ReturnType<Ledger['account']> {
  if (account === undefined) return undefined;
  const { lastRefund: _lastRefund, ...rest } = account;
  return rest;
}
