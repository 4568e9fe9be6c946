/** Account use cases of the balance routes: create, info, top up, refund. */
import type { AccountId, OperationId } from '../base/id.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { type Msat, ZERO, minMsat, unitToMsat } from '../base/money.ts';
import { Secret } from '../base/secret.ts';
import { tokenTextHash } from '../base/token-text.ts';
import type { Idempotency, Remembered } from '../ledger/idempotency.ts';
import type { Account, AccountTerms, Ledger, SendOperation } from '../ledger/ledger.ts';
import type { Wallet } from '../wallet/wallet.ts';
import {
  nothingToRefund,
  refundBusy,
  refundNotFound,
  refundPending,
  refundSwept,
  refundTooMuch,
  refundTooSmall,
} from './account-refusal.ts';
import { requireParent } from './child-keys.ts';
import type { Deposits } from './deposit.ts';
import type { Once, RequestKey } from './idempotency.ts';
import { type Payers, deadKey, unopened } from './payer.ts';
import type { PaidOut, Payouts } from './payout.ts';
import type { Credential, Receipt } from './request.ts';

/** Terms a key may be created with; all optional, checked by the face. */
export type { Account, AccountTerms } from '../ledger/ledger.ts';

export interface AccountInfo {
  account: Account;
  /** The key itself, for whoever proved to hold it; of a public key its name, which is no credential. */
  apiKey: Secret;
  /** What the key can spend now: the balance, or less where a limit of a child key leaves less. */
  spendable: Msat;
  children: Account[];
}

export interface Accounts {
  create: (
    token: Secret,
    terms: AccountTerms,
    given?: RequestKey,
    source?: Credential['source'],
  ) => Promise<{ apiKey: Secret; balance: Msat; replayed: boolean }>;
  info: (credential: Credential) => Promise<AccountInfo>;
  topUp: (
    credential: Credential,
    token: Secret,
    given?: RequestKey,
  ) => Promise<{ credited: Msat; replayed: boolean }>;
  /** Throws refund_busy, nothing_to_refund, refund_too_small, invalid_api_key, mint_unreachable. */
  refund: (credential: Credential, amountSats?: number, given?: RequestKey) => Promise<PaidOut>;
  /**
   * The token of one refund, by the id that it has in the history, whatever moved since: its answer may never have
   * arrived. Throws refund_not_found, and like `refund` while it is not made yet.
   */
  refundOf: (credential: Credential, operation: string) => Promise<PaidOut>;
  /** The account that a refund would be of; an unseen token stays its owner's. Throws invalid_api_key, child_key_not_allowed. */
  refundable: (credential: Credential) => Promise<AccountId>;
  /** Change of a one-shot payment by its original token; the same token again until it is spent. */
  claimChange: (original: Secret) => Promise<PaidOut>;
  /** Makes the change of a one-shot payment that has just been settled; less than one unit stays with the node. */
  changeOf: (account: AccountId, receipt: Receipt) => Promise<Receipt>;
}

export function createAccounts(parts: {
  ledger: Ledger;
  wallet: Wallet;
  payers: Payers;
  deposits: Deposits;
  payouts: Payouts;
  once: Once;
  log: Logger;
}): Accounts {
  const { ledger, wallet, payers, deposits, payouts, once, log } = parts;

  const existing = (id: AccountId): Account => {
    const account = ledger.account(id);
    if (!account) throw deadKey();
    return account;
  };

  /** The `sk-` form of a kept credential. A known token is read again only to derive its key. */
  function apiKeyOf(credential: Credential): Secret {
    if (credential.kind === 'key') return credential.key;
    if (credential.kind === 'pubkey') return new Secret(`npub:${credential.pubkey}`);
    return new Secret(payers.keyOfToken(wallet.inspect(credential.token.reveal())));
  }

  /** An unspent copy of an earlier payout is handed out again; undefined once it is spent at the mint. */
  async function repeat(operation: SendOperation): Promise<PaidOut | undefined> {
    const paid = await payouts.again(operation.id);
    const states = await wallet.checkStates(operation.mint, operation.unit, operation.token ?? []);
    return states.length > 0 && states.every((state) => state === 'SPENT') ? undefined : paid;
  }

  const lastPayout = (account: Account): SendOperation | undefined => {
    const operation = account.lastRefund === undefined ? undefined : ledger.operation(account.lastRefund);
    return operation?.kind === 'send' && operation.state !== 'failed' ? operation : undefined;
  };

  /** Of money from several mints one part is given after the other, and again until it is spent: it may not have arrived. */
  async function unspentPart(account: Account): Promise<PaidOut | undefined> {
    const last = lastPayout(account);
    if (last?.partial !== true || last.state === 'blocked') return undefined;
    return repeat(last);
  }

  return {
    create: async (token, terms, given, source) => {
      const info = wallet.inspect(token.reveal());
      const credential: Credential = { kind: 'token', token, remainder: 'keep', ...(source && { source }) };
      // The token itself makes a creation happen once; its key is derived anew, so that it need not be stored.
      const act = async (idempotency?: Idempotency) => {
        const known = ledger.operationOfText(info.textHash)?.state === 'done';
        const id = await payers.account(credential, { terms, idempotency });
        const apiKey = new Secret(payers.keyOfToken(info));
        return { apiKey, balance: existing(id).available, replayed: known };
      };
      return once.run(info.textHash, given, act, () => undefined);
    },

    info: async (credential) => {
      const id = await payers.account(credential);
      const account = credential.kind === 'pubkey' ? (ledger.account(id) ?? unopened(id)) : existing(id);
      const left = account.parent === undefined ? undefined : ledger.limitLeft(id);
      const spendable = minMsat(account.available, left ?? account.available);
      // Nobody is told of a credit that a crash could still take back.
      await ledger.flushed();
      return { account, apiKey: apiKeyOf(credential), spendable, children: ledger.children(id) };
    },

    topUp: async (credential, token, given) => {
      const asked = await payers.account(credential);
      // A child key has no money of its own: what it brings is its parent's. A public key may bring its first.
      const id = credential.kind === 'pubkey' ? asked : (existing(asked).parent ?? asked);
      const info = wallet.inspect(token.reveal());
      const act = async (idempotency?: Idempotency) => {
        const to = { account: id, accountKind: 'key', purpose: 'topup', idempotency } as const;
        const { operation, replayed } = await deposits.deposit(info, to, credential.source?.());
        const units = operation.plan.amounts.reduce((sum, amount) => sum + amount, 0);
        return { credited: unitToMsat(units, operation.unit), replayed };
      };
      return once.run(id, given, act, () => undefined);
    },

    refundable,

    refundOf: async (credential, name) => {
      const account = await refundable(credential);
      const operation = /^op_[0-9a-f]{32}$/.test(name) ? ledger.operation(name as OperationId) : undefined;
      const isOurs = operation?.kind === 'send' && operation.account === account;
      if (!isOurs || operation.state === 'failed') throw refundNotFound();
      return payouts.again(operation.id);
    },

    refund: async (credential, amountSats, given) => {
      const id = await refundable(credential);
      const units = amountSats === undefined ? undefined : unitsOf(existing(id), amountSats);
      // A key that was used before gives its own payout again, whatever is left by now; one that failed, a new one.
      const again = ({ operation }: Remembered) =>
        operation !== undefined && ledger.operation(operation)?.state !== 'failed'
          ? payouts.again(operation)
          : undefined;
      return once.run(id, given, (idempotency) => refund(id, units, idempotency), again);
    },

    changeOf: async (id, receipt) => {
      try {
        const paid = await change(id);
        return paid ? { ...receipt, change: paid.token } : receipt;
      } catch (error) {
        // The answer is paid and must arrive; its change stays on record and is claimed with the original token.
        log.warn('gateway.change.delayed', { request_id: receipt.requestId, error: errorKind(error) });
        return receipt;
      }
    },

    claimChange: async (original) => {
      const operation = ledger.operationOfText(tokenTextHash(original.reveal()));
      if (operation?.purpose !== 'pay' || operation.state === 'failed') throw refundNotFound();
      // Waiting does not help where an operator has to decide: `settled` says so.
      if (operation.state === 'blocked') await deposits.settled(operation.id);
      const account = ledger.account(operation.account);
      if (operation.state !== 'done' || !account || account.held > ZERO) throw refundPending();
      const last = lastPayout(account);
      const more = hasUnit(account);
      // What was made before comes first, and what its fees gave back once that is spent: it may not have arrived.
      const again = last && !(more && last.state === 'blocked') ? await repeat(last) : undefined;
      const paid = again ?? (more ? await change(account.id, account.lastRefund) : undefined);
      if (paid) return paid;
      if (existing(account.id).held > ZERO) throw refundPending();
      throw last ? refundSwept() : refundNotFound();
    },
  };

  async function refund(
    id: AccountId,
    units: number | undefined,
    idempotency: Idempotency | undefined,
  ): Promise<PaidOut> {
    const promised = idempotency ? undefined : payouts.promised(id, units);
    if (promised) return payouts.again(promised);
    if (existing(id).held > ZERO) throw refundBusy();
    const known = existing(id).lastRefund;
    const part = units === undefined && idempotency === undefined && (await unspentPart(existing(id)));
    if (part) return part;
    if (units !== undefined || hasUnit(existing(id))) {
      const what = units === undefined ? { after: known } : { amount: units };
      const paid = await payouts.send({ account: id, purpose: 'refund', ...what, idempotency });
      if (paid) return paid;
    }
    const account = existing(id);
    if (units !== undefined) throw refundTooMuch(account);
    const last = lastPayout(account);
    const again = last && !hasUnit(account) ? await repeat(last) : undefined;
    if (again) return again;
    throw account.available === ZERO || (last && !hasUnit(account)) ? nothingToRefund() : refundTooSmall();
  }

  /** Everything left in whole units, once; whoever comes second gets the same token. */
  async function change(id: AccountId, after = existing(id).lastRefund): Promise<PaidOut | undefined> {
    const paid = await payouts.send({ account: id, purpose: 'change', after });
    const account = existing(id);
    if (account.available > ZERO && account.held === ZERO) await ledger.sweepDust(id).durable;
    if (paid) return paid;
    const last = lastPayout(account);
    return last ? payouts.again(last.id) : undefined;
  }

  /** A refund never creates an account: an unseen token stays its owner's, and one under way is waited for. */
  async function refundable(credential: Credential): Promise<AccountId> {
    if (credential.kind !== 'token') {
      const id = payers.known(credential);
      if (credential.kind === 'pubkey' && ledger.account(id) === undefined) throw nothingToRefund();
      requireParent(existing(id));
      return id;
    }
    const known = ledger.operationOfText(tokenTextHash(credential.token.reveal()));
    if (known?.purpose !== 'create' || !ledger.account(known.account)) throw deadKey();
    if (known.state !== 'done') await deposits.settled(known.id);
    return known.account;
  }
}

const hasUnit = (account: Account): boolean => account.available >= unitToMsat(1, account.unit);

/** The ledger refuses what is more than there is; a sum beyond exact numbers must not even be asked for. */
function unitsOf(account: Account, sats: number): number {
  const wanted = account.unit === 'sat' ? sats : sats * 1000;
  if (wanted > Number.MAX_SAFE_INTEGER / 1000) throw refundTooMuch(account);
  return wanted;
}
