/** The keys in the ledger of a stopped node, as the journal has them. A key itself is not there: only its hash is. */
import { EXIT, ExitError } from './base/error.ts';
import { type AccountId, accountOfKey, accountOfPubkey } from './base/id.ts';
import { unixSeconds } from './base/time.ts';
import type { Config } from './config.ts';
import { childId } from './gateway/child-keys.ts';
import { auditLedger } from './ledger/level.ts';
import type { Child } from './ledger/children.ts';
import type { Account } from './ledger/ledger.ts';
import { type LimitFacts, limitLeft } from './ledger/limit.ts';
import { ledgerDir } from './node-data.ts';
import type { Tools } from './node-wallet.ts';
import { pubkeyOf } from './relay/key.ts';

export interface KeyFacts {
  /** Names it in commands; no credential. */
  id: string;
  kind: 'key' | 'child';
  /** Of a child key: its parent's, which is what it spends. */
  balance_msat: number;
  held_msat: number;
  spent_msat: number;
  requests: number;
  created_at: number;
  /** Unix seconds after which it pays for nothing. */
  expires_at?: number;
  expired: boolean;
  limit_msat?: number;
  limit_reset?: string;
  limit_left_msat?: number;
  /** Where its refunds are made. */
  mint?: string;
  unit?: string;
  refund_address?: string;
  child_keys?: number;
  parent?: string;
  models?: string[];
}

export interface KeyList {
  /** Richest first, children after their parents; at most as many as were asked for. */
  keys: KeyFacts[];
  total: number;
  balance_msat: number;
}

/** Name of an account of kind `key` in lists; sixteen digits are enough to be the only one. */
export const keyId = (account: AccountId): string => account.slice(0, 16);

/** Every key that clients hold, public keys with a balance among them. Throws ExitError 73, 78. */
export async function listKeys(config: Config, tools: Tools, most: number): Promise<KeyList> {
  const book = await readKeys(config, tools);
  const parents = [...book.accounts.values()].sort((a, b) => b.available + b.held - (a.available + a.held));
  const keys = parents.flatMap((account) => [
    accountFacts(account, book, tools),
    ...childrenOf(account.id, book).map(([id, child]) => childFacts(id, child, book, tools)),
  ]);
  return {
    keys: keys.slice(0, most),
    total: keys.length,
    balance_msat: parents.reduce((sum, { available, held }) => sum + available + held, 0),
  };
}

/** Throws ExitError 5 where there is no such key, 2 where the id fits several. */
export async function showKey(config: Config, tools: Tools, wanted: WantedKey): Promise<KeyFacts> {
  const book = await readKeys(config, tools);
  const { account, child } = findKey(book, wanted);
  return child === undefined
    ? accountFacts(account, book, tools)
    : childFacts(child.id, child.row, book, tools);
}

/** An id as lists show it or its beginning, an npub, or the account of a key that somebody holds. */
export type WantedKey = { id: string } | { account: AccountId };

export interface KeyBook {
  accounts: ReadonlyMap<string, Account>;
  children: ReadonlyMap<string, Child>;
}

export async function readKeys(config: Config, { log }: Pick<Tools, 'log'>): Promise<KeyBook> {
  const audit = await auditLedger({ dir: ledgerDir(config), log });
  const accounts = audit.rows('account') as ReadonlyMap<string, Account>;
  return {
    // One-shot payments have accounts too, but no key.
    accounts: new Map([...accounts].filter(([, { kind }]) => kind === 'key')),
    children: audit.rows('child') as ReadonlyMap<string, Child>,
  };
}

export interface FoundKey {
  account: Account;
  child?: { id: AccountId; row: Child };
}

export function findKey({ accounts, children }: KeyBook, wanted: WantedKey): FoundKey {
  const fits = fitting(wanted);
  const ids = [...accounts.keys(), ...children.keys()].filter((id) =>
    fits(id as AccountId, children.has(id)),
  );
  const [id] = ids as AccountId[];
  if (id === undefined)
    throw new ExitError(EXIT.notFound, 'there is no such key here; see: routstr-node keys list');
  if (ids.length > 1)
    throw new ExitError(EXIT.usage, `${ids.length} keys begin like this: give more of the id`);
  const row = children.get(id);
  const account = accounts.get(row?.parent ?? id);
  if (account === undefined)
    throw new ExitError(EXIT.refused, 'a child key has no parent: run routstr-node audit');
  return row === undefined ? { account } : { account, child: { id, row } };
}

function fitting(wanted: WantedKey): (id: AccountId, isChild: boolean) => boolean {
  if ('account' in wanted) return (id) => id === wanted.account;
  const text = wanted.id.toLowerCase();
  if (text.startsWith('npub1')) {
    const pubkey = pubkeyOf(text);
    const account = pubkey === undefined ? undefined : accountOfPubkey(pubkey);
    return (id) => id === account;
  }
  if (/^ck_[0-9a-f]{8,32}$/.test(text)) return (id, isChild) => isChild && childId(id).startsWith(text);
  if (/^[0-9a-f]{8,64}$/.test(text)) return (id, isChild) => !isChild && id.startsWith(text);
  throw new ExitError(
    EXIT.usage,
    'expected an id of at least 8 digits as in keys list, an npub, or the key itself as env:NAME or file:PATH',
  );
}

export const wantedByKey = (key: string): WantedKey => ({ account: accountOfKey(key) });

const childrenOf = (parent: string, { children }: KeyBook): [AccountId, Child][] =>
  ([...children] as [AccountId, Child][]).filter(([, child]) => child.parent === parent);

function accountFacts(account: Account, book: KeyBook, tools: Tools): KeyFacts {
  const count = childrenOf(account.id, book).length;
  return {
    id: keyId(account.id),
    kind: 'key',
    ...common(account, account, tools),
    mint: account.mint,
    unit: account.unit,
    ...(account.refundAddress === undefined ? {} : { refund_address: account.refundAddress }),
    ...(count === 0 ? {} : { child_keys: count }),
  };
}

function childFacts(id: AccountId, child: Child, { accounts }: KeyBook, tools: Tools): KeyFacts {
  // Its holds ended with the process that made them.
  const facts = { ...child, held: 0 as Account['held'] };
  return {
    id: childId(id),
    kind: 'child',
    ...common(facts, accounts.get(child.parent), tools),
    held_msat: 0,
    parent: keyId(child.parent),
    ...(child.models === undefined ? {} : { models: child.models }),
  };
}

function common(
  facts: LimitFacts & Pick<Account, 'totalRequests' | 'createdAt' | 'validityDate'>,
  purse: Account | undefined,
  { clock }: Tools,
) {
  const { balanceLimit, balanceLimitReset, validityDate } = facts;
  return {
    balance_msat: purse?.available ?? 0,
    held_msat: purse?.held ?? 0,
    spent_msat: facts.totalSpent,
    requests: facts.totalRequests,
    created_at: facts.createdAt,
    ...(validityDate === undefined ? {} : { expires_at: validityDate }),
    expired: validityDate !== undefined && validityDate <= unixSeconds(clock),
    ...(balanceLimit === undefined
      ? {}
      : { limit_msat: balanceLimit, limit_left_msat: limitLeft(facts, clock.now()) ?? 0 }),
    ...(balanceLimitReset === undefined ? {} : { limit_reset: balanceLimitReset }),
  };
}
