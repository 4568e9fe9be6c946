/** Books: the state that follows from the journal. `apply` is the only way it changes, live and at replay alike. */
import { invariant } from '../base/error.ts';
import type { AccountId, OperationId } from '../base/id.ts';
import { type BatchOp, type Database, CHECKPOINT_KEY, sealValue } from './database.ts';
import type { Entry, RowChanges } from './journal.ts';
import type { Account, Operation, OperationState } from './ledger.ts';
import { type Pool, type PoolProof, createPool } from './pool.ts';
import { assertBalanced } from './postings.ts';
import { type Rows, createRows } from './rows.ts';

export interface Hold {
  account: AccountId;
  amount: number;
}
/** Row `u!<operation>`: operations that are not finished, so that a start need not read all of them. */
export interface Unfinished {
  state: OperationState;
  /** Rows that an older version wrote lack it. */
  kind?: Operation['kind'];
  /** Journal entry that began it. */
  since: number;
}

/** Value under `meta!checkpoint`: rows on disk are the fold of the first `n` entries. */
export interface Checkpoint {
  n: number;
  /** Hash of the group that ends with entry n. */
  hash: string;
  genesis: string;
  balances: Record<string, number>;
  holds: [id: string, account: AccountId, amount: number][];
}

export interface Books {
  /** Number of the last entry applied. */
  sequence: () => number;
  account: (id: AccountId) => Account | undefined;
  operation: (id: OperationId) => Operation | undefined;
  row: (key: string) => unknown;
  /** Changed rows that no checkpoint has written yet. */
  dirtyRows: () => number;
  /** The last checkpoint is on disk. */
  stored: () => void;
  pool: Pool;
  balances: ReadonlyMap<string, number>;
  holds: ReadonlyMap<string, Hold>;
  unfinished: ReadonlyMap<OperationId, Unfinished>;
  /** Checks everything, then changes everything; throws without having changed anything. */
  apply: (entry: Entry) => void;
  /** All dirty rows and the checkpoint that makes them valid, for one atomic batch. */
  checkpoint: (hash: string) => BatchOp[];
}

/** Accounts that cannot be overdrawn, whatever happens. */
const NEVER_NEGATIVE = ['avail', 'held', 'owed', 'inflight', 'suspense'];

export async function loadBooks(db: Database, checkpoint: Checkpoint, readRow: RowReader): Promise<Books> {
  const rows: Rows = createRows(db);
  /** Apart from the others, because every hold and settlement looks one up. */
  const accounts: Rows = createRows(db, 'a!');
  const pool = createPool();
  const unfinished = new Map<OperationId, Unfinished>();
  for await (const [, proof] of readRow('p!')) pool.add(proof as PoolProof);
  for await (const [key, row] of readRow('u!'))
    unfinished.set(key.slice(2) as OperationId, row as Unfinished);
  const balances = new Map(Object.entries(checkpoint.balances));
  const holds = new Map<string, Hold>(
    checkpoint.holds.map(([id, account, amount]) => [id, { account, amount }]),
  );
  let sequence = checkpoint.n;

  const account = (id: AccountId): Account | undefined => accounts.get(id) as Account | undefined;

  /** The account as it will be; the stored one is untouched until every check has passed. */
  function nextAccount(entry: Entry): Account | undefined {
    const { avail = 0, held = 0 } = entry.p;
    if (entry.a === undefined) {
      invariant(avail === 0 && held === 0 && entry.s === undefined, 'client money belongs to an account');
      return undefined;
    }
    const before = account(entry.a as AccountId) ?? newAccount(entry);
    const next = copyOf(before);
    next.available = (next.available + avail) as Account['available'];
    next.held = (next.held + held) as Account['held'];
    invariant(next.available >= 0 && next.held >= 0, 'no account is overdrawn');
    invariant(Number.isSafeInteger(next.available + next.held), 'balances stay exact');
    if (entry.b !== undefined) next.lastEntry = entry.n;
    if (entry.m !== undefined) {
      next.totalRequests += entry.m[0];
      next.totalSpent = (next.totalSpent + entry.m[1]) as Account['totalSpent'];
    }
    return entry.s === undefined ? next : withFields(next, entry.s);
  }

  function checkTotals(entry: Entry): void {
    for (const name in entry.p) {
      const balance = (balances.get(name) ?? 0) + (entry.p[name] ?? 0);
      invariant(Number.isSafeInteger(balance), 'totals stay exact');
      if (balance < 0 && mustNotBeNegative(name)) invariant(false, `${name} is not overdrawn`);
    }
  }

  function checkProofs(changes: RowChanges): void {
    for (const key in changes) {
      if (key.startsWith('p!'))
        invariant(pool.has(key) === (changes[key] === null), 'a proof enters and leaves the pool once');
    }
  }

  function applyRows(changes: RowChanges): void {
    for (const key in changes) {
      const value = changes[key] ?? null;
      if (key.startsWith('p!')) {
        if (value === null) pool.remove(key);
        else pool.add(value as PoolProof);
      } else if (key.startsWith('u!')) {
        const id = key.slice(2) as OperationId;
        if (value === null) unfinished.delete(id);
        else unfinished.set(id, value as Unfinished);
      }
      rows.set(key, value);
    }
  }

  function applyHold(entry: Entry): void {
    if (entry.k === 'hold')
      holds.set(entry.i, { account: entry.a as AccountId, amount: entry.p['held'] ?? 0 });
    else if (entry.k === 'settle' || entry.k === 'release') holds.delete(entry.i);
  }

  return {
    sequence: () => sequence,
    account,
    operation: (id) => rows.get(`o!${id}`) as Operation | undefined,
    row: rows.get,
    dirtyRows: () => rows.dirty() + accounts.dirty(),
    stored: () => {
      rows.stored();
      accounts.stored();
    },
    pool,
    balances,
    holds,
    unfinished,
    apply: (entry) => {
      invariant(entry.n === sequence + 1, 'entries are gapless');
      assertBalanced(entry.p);
      checkTotals(entry);
      if (entry.r !== undefined) checkProofs(entry.r);
      const next = nextAccount(entry);
      sequence = entry.n;
      if (next !== undefined) accounts.set(next.id, next);
      for (const name in entry.p) balances.set(name, (balances.get(name) ?? 0) + (entry.p[name] ?? 0));
      if (entry.r !== undefined) applyRows(entry.r);
      applyHold(entry);
    },
    checkpoint: (hash) => {
      const value: Checkpoint = {
        n: sequence,
        hash,
        genesis: checkpoint.genesis,
        balances: Object.fromEntries(balances),
        holds: [...holds].map(([id, hold]) => [id, hold.account, hold.amount]),
      };
      const meta = sealValue(CHECKPOINT_KEY, JSON.stringify(value));
      return [...accounts.drain(), ...rows.drain(), { type: 'put', key: CHECKPOINT_KEY, value: meta }];
    },
  };
}

/** Rows whose key begins with `prefix`, checked and parsed. */
export type RowReader = (prefix: string) => AsyncIterable<readonly [key: string, row: unknown]>;

const mustNotBeNegative = (name: string): boolean =>
  NEVER_NEGATIVE.includes(name) || name.startsWith('proofs:');

/**
 * Field by field: of an object whose shape is not written down V8 makes a copy ten times more slowly, and each entry
 * makes one. The type asks for every field there is.
 */
const copyOf = (account: Account): { [Field in keyof Required<Account>]: Account[Field] } => ({
  id: account.id,
  kind: account.kind,
  available: account.available,
  held: account.held,
  totalRequests: account.totalRequests,
  totalSpent: account.totalSpent,
  createdAt: account.createdAt,
  mint: account.mint,
  unit: account.unit,
  refundAddress: account.refundAddress,
  validityDate: account.validityDate,
  balanceLimit: account.balanceLimit,
  balanceLimitReset: account.balanceLimitReset,
  limitPeriod: account.limitPeriod,
  limitSpentBefore: account.limitSpentBefore,
  lastRefund: account.lastRefund,
  lastEntry: account.lastEntry,
  parent: account.parent,
  models: account.models,
});

function newAccount(entry: Entry): Account {
  invariant(entry.s?.['kind'] !== undefined, 'an account is created before it is used');
  return {
    id: entry.a as AccountId,
    kind: 'key',
    available: 0 as Account['available'],
    held: 0 as Account['held'],
    totalRequests: 0,
    totalSpent: 0 as Account['totalSpent'],
    createdAt: 0,
    mint: '',
    unit: 'sat',
  };
}

function withFields(account: Account, fields: NonNullable<Entry['s']>): Account {
  const next: Record<string, unknown> = { ...account };
  for (const name in fields) {
    if (fields[name] === null) delete next[name];
    else next[name] = fields[name];
  }
  return next as unknown as Account;
}
