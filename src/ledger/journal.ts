/** Journal: entries as JSON lines, packed into hash-chained groups, one LevelDB value each. */
import { sha256Hex } from '../base/id.ts';
import { refuse } from './database.ts';
import type { Postings } from './postings.ts';

export type EntryKind =
  | 'hold'
  | 'settle'
  | 'release'
  | 'receive-open'
  | 'receive-replan'
  | 'receive-done'
  | 'send-open'
  | 'send-replan'
  | 'send-done'
  | 'rotate-open'
  | 'mint-open'
  | 'mint-plan'
  | 'mint-done'
  | 'mint-handed'
  | 'melt-open'
  | 'melt-reclaim'
  | 'melt-done'
  | 'fail'
  | 'block'
  | 'retry'
  | 'dust'
  | 'children'
  | 'terms'
  | 'value';

/** What changes besides balances: whole rows by key; null removes a row. */
export type RowChanges = Record<string, unknown>;

/** One movement. Everything the ledger knows is a fold over these, in order. Keys are short: they repeat millions of times. */
export interface Entry {
  /** Running number, gapless from 1. */
  n: number;
  /** Unix milliseconds. */
  t: number;
  k: EntryKind;
  /** Id of the hold, operation, account or value that this is about. */
  i: string;
  /** Account that `avail` and `held` belong to. */
  a?: string | undefined;
  p: Postings;
  /** The entry before this one that moved money of the same account; 0 for the first. */
  b?: number | undefined;
  /** Added to the account's [requests, spent]. */
  m?: readonly [number, number] | undefined;
  /** Fields of the account that are set; null clears one. Naming `kind` creates the account. */
  s?: Readonly<Record<string, string | number | null>> | undefined;
  r?: RowChanges | undefined;
}
export type Movement = Omit<Entry, 'n' | 't' | 'b'>;

/** What an account's history shows: its total changed. Setting money aside for a request moves nothing. */
export const movesMoney = ({ a, p }: Pick<Entry, 'a' | 'p'>): boolean =>
  a !== undefined && (p['avail'] ?? 0) + (p['held'] ?? 0) !== 0;

export interface Group {
  first: number;
  last: number;
  /** Hash of the group before; the genesis record's for the first. */
  prev: string;
  hash: string;
  lines: string[];
}

const JOURNAL = 'j!';
export const groupKey = (first: number): string => JOURNAL + String(first).padStart(16, '0');
/** Key range of groups that begin at entry `from` or later. */
export const groupsFrom = (from: number) => ({ gte: groupKey(from), lt: 'j"' });
/** Key range of groups that begin before entry `below`. */
export const groupsBelow = (below: number) => ({ gte: JOURNAL, lt: groupKey(below) });

/** Holds and their ends are most of a journal; their few fields are put together by hand, which halves the time. */
export function encodeEntry(entry: Entry): string {
  const { n, t, k, i, a, p, b, m, s, r } = entry;
  if (a === undefined || s !== undefined || r !== undefined || !PLAIN.test(i) || !PLAIN.test(a))
    return JSON.stringify(entry);
  let postings = '';
  for (const name in p) {
    if (p[name] !== undefined) postings += `${postings === '' ? '' : ','}"${name}":${p[name]}`;
  }
  const back = b === undefined ? '' : `,"b":${b}`;
  const memo = m === undefined ? '' : `,"m":[${m[0]},${m[1]}]`;
  return `{"n":${n},"t":${t},"k":"${k}","i":"${i}","a":"${a}","p":{${postings}}${back}${memo}}`;
}

/** What needs no escaping in JSON. */
const PLAIN = /^[\w:.-]*$/;

const hashOf = (first: number, last: number, prev: string, body: string): string =>
  sha256Hex(`1 ${first} ${last} ${prev}\n${body}`);

/** Header line and entry lines; the caller seals it with a checksum as it does every value. */
export function encodeGroup(
  first: number,
  prev: string,
  lines: readonly string[],
): { text: string; hash: string } {
  const body = lines.join('\n');
  const last = first + lines.length - 1;
  const hash = hashOf(first, last, prev, body);
  return { hash, text: `${JSON.stringify({ v: 1, first, last, prev, hash })}\n${body}` };
}

/** Reads a group and refuses one whose header, hash or place in the chain is not what it must be. */
export function decodeGroup(text: string, expected: { first: number; prev?: string }): Group {
  const end = text.indexOf('\n');
  const body = text.slice(end + 1);
  const { v, first, last, prev, hash } = header(text.slice(0, end));
  if (v !== 1) refuse(`journal group ${first} has the unknown version ${String(v)}`);
  if (first !== expected.first) refuse(`journal entries from ${expected.first} to ${first - 1} are missing`);
  if (hash !== hashOf(first, last, prev, body)) refuse(`journal group ${first} does not match its hash`);
  if (expected.prev !== undefined && prev !== expected.prev)
    refuse(`journal group ${first} does not follow the one before it`);
  const lines = body.split('\n');
  if (lines.length !== last - first + 1) refuse(`journal group ${first} has a wrong number of entries`);
  return { first, last, prev, hash, lines };
}

export function decodeEntry(line: string, expected: number): Entry {
  const entry = JSON.parse(line) as Entry;
  if (entry.n !== expected || typeof entry.k !== 'string' || typeof entry.p !== 'object')
    refuse(`journal entry ${expected} is not in its place`);
  return entry;
}

function header(line: string): { v: unknown; first: number; last: number; prev: string; hash: string } {
  const parsed = JSON.parse(line) as Record<string, unknown>;
  const { v, first, last, prev, hash } = parsed;
  if (
    typeof first !== 'number' ||
    typeof last !== 'number' ||
    typeof prev !== 'string' ||
    typeof hash !== 'string'
  )
    refuse('a journal group has no valid header');
  return { v, first, last, prev, hash };
}
