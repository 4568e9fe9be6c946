/** The audit's own fold: every balance by its full name, in the plainest way, sharing nothing with the serving code. */
import type { OperationState } from './ledger.ts';
import type { Entry } from './journal.ts';
import type { PoolProof } from './pool.ts';

export type RowKind = 'account' | 'proof' | 'counter' | 'operation' | 'child' | 'value';

interface AuditAccount {
  fields: Record<string, unknown>;
  requests: number;
  spent: number;
  lastEntry?: number;
}

export interface AuditFold {
  apply: (entry: Entry) => void;
  holds: ReadonlyMap<string, { account: string; amount: number }>;
  /** Expected rows by key without prefix. */
  rows: (kind: RowKind) => Map<string, unknown>;
  proofs: () => PoolProof[];
  operationsIn: (state: OperationState) => OperationFacts[];
  /** Balances with those of accounts and operations added up. */
  totals: () => Map<string, number>;
  /** What must hold at the end; calls `differ` with a sentence for the first thing that does not. */
  check: (differ: (what: string) => never) => void;
}

/** The part of an operation row that balances can be checked against. */
interface OperationFacts {
  id: string;
  kind: string;
  state: OperationState;
  unit: string;
  debit?: number;
  swap?: { inputs: { amount: number }[] };
  spend?: { inputs: { amount: number }[] };
}

const LETTERS = { proof: 'p', counter: 'k', operation: 'o', child: 'c', value: 'v' } as const;
const ASSET = /^(proofs:|inflight)/;
const EQUITY = new Set(['revenue', 'payouts', 'mint_fees', 'keyset_fees', 'rounding', 'losses']);

export function createFold(): AuditFold {
  const balances = new Map<string, number>();
  const accounts = new Map<string, AuditAccount>();
  const holds = new Map<string, { account: string; amount: number }>();
  const stored = new Map<string, Map<string, unknown>>(
    Object.values(LETTERS).map((letter) => [letter, new Map()]),
  );
  const rowsOf = (letter: string): Map<string, unknown> => stored.get(letter) ?? new Map<string, unknown>();
  const operations = (): OperationFacts[] => [...rowsOf('o').values()] as OperationFacts[];
  const proofs = (): PoolProof[] => [...rowsOf('p').values()] as PoolProof[];
  let wrong: string | undefined;

  function fullName(name: string, entry: Entry): string {
    if (name === 'avail' || name === 'held') return `${name}:${entry.a ?? ''}`;
    if (name === 'owed' || name === 'inflight' || name === 'suspense') return `${name}:${entry.i}`;
    return name;
  }

  function post(entry: Entry): void {
    let drift = 0;
    for (const [name, delta] of Object.entries(entry.p)) {
      drift += ASSET.test(name) ? delta : -delta;
      const full = fullName(name, entry);
      const balance = (balances.get(full) ?? 0) + delta;
      balances.set(full, balance);
      if (balance < 0 && !EQUITY.has(name)) wrong ??= `entry ${entry.n} overdraws ${name}`;
    }
    if (drift !== 0) wrong ??= `entry ${entry.n} does not sum to zero`;
  }

  function changeAccount(entry: Entry): void {
    if (entry.a === undefined) return;
    const account = accounts.get(entry.a) ?? { fields: {}, requests: 0, spent: 0 };
    accounts.set(entry.a, account);
    for (const [field, value] of Object.entries(entry.s ?? {})) {
      if (value === null) delete account.fields[field];
      else account.fields[field] = value;
    }
    if (entry.b !== undefined) {
      if (entry.b !== (account.lastEntry ?? 0)) wrong ??= `entry ${entry.n} does not name the one before it`;
      account.lastEntry = entry.n;
    }
    account.requests += entry.m?.[0] ?? 0;
    account.spent += entry.m?.[1] ?? 0;
  }

  function changeRows(entry: Entry): void {
    for (const [key, value] of Object.entries(entry.r ?? {})) {
      const rows = stored.get(key[0] ?? '');
      if (key[1] !== '!' || rows === undefined) continue;
      if (value === null) rows.delete(key.slice(2));
      else rows.set(key.slice(2), value);
    }
  }

  function accountRow(id: string, account: AuditAccount): Record<string, unknown> {
    const { fields, requests, spent, lastEntry } = account;
    const available = balances.get(`avail:${id}`) ?? 0;
    const held = balances.get(`held:${id}`) ?? 0;
    const chained = lastEntry === undefined ? {} : { lastEntry };
    return { id, ...fields, available, held, totalRequests: requests, totalSpent: spent, ...chained };
  }

  return {
    holds,
    apply: (entry) => {
      post(entry);
      changeAccount(entry);
      changeRows(entry);
      if (entry.k === 'hold') holds.set(entry.i, { account: entry.a ?? '', amount: entry.p['held'] ?? 0 });
      if (entry.k === 'settle' || entry.k === 'release') holds.delete(entry.i);
    },
    rows: (kind) => {
      if (kind !== 'account') return rowsOf(LETTERS[kind]);
      return new Map([...accounts].map(([id, account]) => [id, accountRow(id, account)]));
    },
    proofs,
    operationsIn: (state) => operations().filter((operation) => operation.state === state),
    totals: () => {
      const totals = new Map<string, number>();
      for (const [name, balance] of balances) {
        const short = name.startsWith('proofs:') ? name : (name.split(':')[0] ?? name);
        totals.set(short, (totals.get(short) ?? 0) + balance);
      }
      return totals;
    },
    check: (differ) => {
      if (wrong !== undefined) differ(wrong);
      checkHolds(holds, balances, differ);
      checkPool(proofs(), balances, differ);
      checkOperations(operations(), balances, differ);
    },
  };
}

type Differ = (what: string) => never;
type Balances = ReadonlyMap<string, number>;

function checkHolds(holds: AuditFold['holds'], balances: Balances, differ: Differ): void {
  const held = sumBy(holds.values(), ({ account, amount }) => [`held:${account}`, amount]);
  for (const [name, balance] of balances) {
    if (name.startsWith('held:') && balance !== (held.get(name) ?? 0)) differ('held money has no open hold');
  }
}

function checkPool(proofs: PoolProof[], balances: Balances, differ: Differ): void {
  const worth = (unit: string): number => (unit === 'sat' ? 1000 : 1);
  const pool = sumBy(proofs, ({ mint, unit, amount }) => [`proofs:${mint}|${unit}`, amount * worth(unit)]);
  for (const name of new Set([...pool.keys(), ...balances.keys()])) {
    if (name.startsWith('proofs:') && (pool.get(name) ?? 0) !== (balances.get(name) ?? 0))
      differ(`the proofs in the pool do not add up to ${name}`);
  }
}

/** Money owed or in flight belongs to exactly the operations that are under way. */
function checkOperations(operations: OperationFacts[], balances: Balances, differ: Differ): void {
  const expected = new Map<string, number>();
  for (const { id, kind, state, unit, debit, swap, spend } of operations) {
    if ((kind !== 'send' && kind !== 'melt') || (state !== 'executing' && state !== 'blocked')) continue;
    const units = ((swap ?? spend)?.inputs ?? []).reduce((sum, { amount }) => sum + amount, 0);
    expected.set(`owed:${id}`, debit ?? 0);
    expected.set(`inflight:${id}`, units * (unit === 'sat' ? 1000 : 1));
  }
  for (const [name, balance] of balances) {
    if (/^(owed|inflight|suspense):/.test(name) && balance !== (expected.get(name) ?? 0))
      differ(`${name.split(':')[0] ?? ''} does not match its operation`);
  }
}

function sumBy<T>(items: Iterable<T>, entry: (item: T) => readonly [string, number]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const item of items) {
    const [name, amount] = entry(item);
    sums.set(name, (sums.get(name) ?? 0) + amount);
  }
  return sums;
}
