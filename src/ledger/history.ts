/** History: the movements of one account, newest first, read along a chain of entries instead of a scan. */
import type { AccountId, RequestId } from '../base/id.ts';
import type { Asides } from './asides.ts';
import { LIMITS } from '../base/limits.ts';
import { type Msat, msat } from '../base/money.ts';
import { type Entry, type EntryKind, type Group, decodeEntry } from './journal.ts';
import type { Operation } from './ledger.ts';
import type { Store } from './store.ts';

/** Where a page begins: an entry of the account, and the balance after it. */
export interface HistoryCursor {
  entry: number;
  balance: Msat;
}

export interface HistoryLine extends HistoryCursor {
  /** Unix milliseconds. */
  at: number;
  kind: EntryKind;
  /** Id of the hold, operation or account that moved. */
  id: string;
  /** Negative when money left. What is only set aside for a request is no movement. */
  change: Msat;
  operation?: Operation;
  /** The child key that spent it. */
  child?: AccountId;
}

export interface Charge {
  state: 'pending' | 'done';
  /** Msat charged; what is held while pending. */
  amount: Msat;
  at?: number;
}

export interface History {
  /** Reads a bounded number of journal values; `next` is there as long as older lines are. */
  history: (
    account: AccountId,
    page: { limit: number; from?: HistoryCursor },
  ) => Promise<{ lines: HistoryLine[]; next?: HistoryCursor }>;
  /** What one request cost this account; undefined for none, or one that lies too far back to be looked for. */
  charge: (account: AccountId, requestId: RequestId) => Promise<Charge | undefined>;
}

export function createHistory(store: Store, asides: Asides): History {
  /** Entries of the account from `start` backwards, as far as a bounded number of reads leads. */
  async function* walk(account: AccountId, start: number): AsyncGenerator<Entry, undefined> {
    let group: Group | undefined;
    let reads = 0;
    for (let at = start; at > 0;) {
      if (group === undefined || at < group.first || at > group.last) {
        if (reads++ === LIMITS.history.readsMax) return;
        group = await store.group(at);
      }
      const line = group?.lines[at - group.first];
      if (line === undefined) return;
      const entry = decodeEntry(line, at);
      // A cursor is in the hands of the client: it opens nobody else's entries.
      if (entry.a !== account) return;
      yield entry;
      at = entry.b ?? 0;
    }
  }

  function lineOf(entry: Entry, balance: Msat): HistoryLine {
    const operation = entry.i.startsWith('op_') ? store.operation(entry.i as Operation['id']) : undefined;
    const child = childIn(entry);
    return {
      entry: entry.n,
      balance,
      at: entry.t,
      kind: entry.k,
      id: entry.i,
      change: changeOf(entry),
      ...(operation && { operation }),
      ...(child !== undefined && { child }),
    };
  }

  return {
    history: async (id, { limit, from }) => {
      const account = store.account(id);
      const newest = { entry: account?.lastEntry ?? 0, balance: msat(0) };
      if (account) newest.balance = msat(account.available + account.held);
      await store.flushed();
      let next: HistoryCursor | undefined = from ?? newest;
      const lines: HistoryLine[] = [];
      for await (const entry of walk(id, next.entry)) {
        const line = lineOf(entry, next.balance);
        lines.push(line);
        next = entry.b ? { entry: entry.b, balance: msat(line.balance - line.change) } : undefined;
        if (next === undefined || lines.length === limit) break;
      }
      return { lines, ...(lines.length > 0 && next && { next }) };
    },
    charge: async (id, requestId) => {
      const parent = (store.row(`c!${id}`) as { parent?: AccountId } | undefined)?.parent;
      const payer = parent ?? id;
      const isOurs = (account: string | undefined): boolean => parent === undefined || account === id;
      for (let index = 0; index < LIMITS.history.attemptsMax; index++) {
        const hold = store.books.holds.get(`${requestId}:${index}`);
        if (hold?.account === payer && isOurs(asides.childOf(`${requestId}:${index}`)))
          return { state: 'pending', amount: msat(hold.amount) };
      }
      const start = store.account(payer)?.lastEntry ?? 0;
      await store.flushed();
      for await (const entry of walk(payer, start)) {
        if (entry.k === 'settle' && entry.i.startsWith(`${requestId}:`) && isOurs(childIn(entry)))
          return { state: 'done', amount: msat(0 - changeOf(entry)), at: entry.t };
      }
      return undefined;
    },
  };
}

const changeOf = ({ p }: Entry): Msat => msat((p['avail'] ?? 0) + (p['held'] ?? 0));

/** A settlement of a child key carries the row of that child. */
const childIn = ({ k, r }: Entry): AccountId | undefined =>
  k === 'settle' && r
    ? (Object.keys(r)
        .find((key) => key.startsWith('c!'))
        ?.slice(2) as AccountId | undefined)
    : undefined;
