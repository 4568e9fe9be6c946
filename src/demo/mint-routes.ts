/** Paths of the play-money mint and the shapes of their bodies. */
import { hex } from '../base/id.ts';
import type { Unit } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { MintBook, MintInput, MintOutput } from './mint-book.ts';
import { type MintFault, spoil } from './mint-faults.ts';
import type { MintKeys, MintKeyset } from './mint-keys.ts';
import type { MintMelts } from './mint-melts.ts';
import type { MintQuotes } from './mint-quotes.ts';
import { MintRefusal } from './mint-refusal.ts';
import { SOCKET_KINDS } from './mint-socket.ts';
import type { MintStats } from './mint.ts';
import { playInvoice } from './play-invoice.ts';

export interface MintRoute {
  /** Path without ids, for statistics. */
  name: string;
  run: (body: unknown, fault: MintFault | undefined) => unknown;
}

export function createMintRoutes(parts: {
  unit: Unit;
  keys: MintKeys;
  book: MintBook;
  quotes: MintQuotes;
  melts: MintMelts;
  stats: MintStats;
  clock: Clock;
  /** Offers NUT-17. */
  hints: boolean;
}): (method: string, path: string) => MintRoute | undefined {
  const { unit, keys, book, quotes, melts, stats, clock, hints } = parts;

  const fixed: Record<string, MintRoute['run']> = {
    'GET /v1/info': () => info(unit, unixSeconds(clock), hints),
    'GET /v1/keys': () => ({
      keysets: keys
        .all()
        .filter((keyset) => keyset.active)
        .map(keysOf),
    }),
    'GET /v1/keysets': () => ({ keysets: keys.all().map(keysetOf) }),
    'POST /v1/swap': (body, fault) => {
      const signatures = book.swap(inputsOf(body), outputsOf(body));
      stats.swaps += 1;
      return { signatures: spoil(fault, signatures) };
    },
    'POST /v1/checkstate': (body) => {
      const ys = list(field(body, 'Ys')).map(text);
      return { states: ys.map((Y) => ({ Y, state: book.stateOf(Y), witness: null })) };
    },
    'POST /v1/restore': (body, fault) => {
      const { outputs, signatures } = book.restore(outputsOf(body));
      return { outputs, signatures: spoil(fault, signatures) };
    },
    'POST /v1/mint/quote/bolt11': (body, fault) => {
      if (field(body, 'unit') !== unit) throw new MintRefusal(11013, 'unit is not supported');
      const pubkey = field(body, 'pubkey');
      const amount = Number(field(body, 'amount'));
      const quote = quotes.open(amount, typeof pubkey === 'string' ? pubkey : undefined);
      if (fault === 'wrong-invoice') return { ...quote, request: playInvoice(amount * 2_000) };
      return fault === 'wrong-lock' ? { ...quote, pubkey: `02${'11'.repeat(32)}` } : quote;
    },
    'POST /v1/mint/bolt11': (body, fault) => {
      const signature = field(body, 'signature');
      const known = typeof signature === 'string' ? signature : undefined;
      return { signatures: spoil(fault, quotes.mint(text(field(body, 'quote')), outputsOf(body), known)) };
    },
    'POST /v1/melt/quote/bolt11': (body) => {
      if (field(body, 'unit') !== unit) throw new MintRefusal(11013, 'unit is not supported');
      return melts.open(text(field(body, 'request')));
    },
    'POST /v1/melt/bolt11': (body, fault) => {
      const blanks = field(body, 'outputs') && fault !== 'keep-change' ? outputsOf(body) : [];
      const quote = melts.melt(text(field(body, 'quote')), inputsOf(body), blanks);
      return { ...quote, change: quote.change && spoil(fault, quote.change) };
    },
  };
  const withId: { prefix: string; run: (id: string) => unknown }[] = [
    { prefix: 'GET /v1/keys/', run: (id) => ({ keysets: [keysOf(keys.find(id))] }) },
    { prefix: 'GET /v1/mint/quote/bolt11/', run: quotes.quote },
    { prefix: 'GET /v1/melt/quote/bolt11/', run: melts.quote },
  ];

  return (method, path) => {
    const asked = `${method} ${path}`;
    const run = Object.hasOwn(fixed, asked) ? fixed[asked] : undefined;
    if (run !== undefined) return { name: path, run };
    const route = withId.find(({ prefix }) => asked.startsWith(prefix));
    if (route === undefined) return undefined;
    const id = asked.slice(route.prefix.length);
    return { name: route.prefix.slice('GET '.length, -1), run: () => route.run(id) };
  };
}

const keysetOf = (keyset: MintKeyset) => ({
  id: keyset.id,
  unit: keyset.unit,
  active: keyset.active,
  input_fee_ppk: keyset.feePpk,
});
const keysOf = (keyset: MintKeyset) => ({ ...keysetOf(keyset), keys: keyset.publicKeys });

function info(unit: Unit, time: number, hints: boolean): unknown {
  const bolt11 = { methods: [{ method: 'bolt11', unit, min_amount: 1, max_amount: 1_000_000_000 }] };
  const yes = { supported: true };
  return {
    name: 'Play money mint',
    pubkey: `02${hex(new Uint8Array(32).fill(1))}`,
    version: 'routstr-node-play/1.0.0',
    description: 'Tokens of this mint are worth nothing.',
    contact: [],
    time,
    nuts: {
      4: { ...bolt11, disabled: false },
      5: { ...bolt11, disabled: false },
      7: yes,
      8: yes,
      9: yes,
      10: yes,
      11: yes,
      12: yes,
      ...(hints && { 17: { supported: [{ method: 'bolt11', unit, commands: SOCKET_KINDS }] } }),
      20: yes,
    },
  };
}

// Bodies: whatever has the wrong shape is refused before the book is touched.

function field(body: unknown, name: string): unknown {
  if (typeof body !== 'object' || body === null) throw new MintRefusal(0, 'body is not an object');
  return (body as Record<string, unknown>)[name];
}
function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new MintRefusal(0, 'a list is missing');
  return value;
}
function text(value: unknown): string {
  if (typeof value !== 'string') throw new MintRefusal(0, 'a text is missing');
  return value;
}
function amountOf(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new MintRefusal(0, 'amount is not valid');
  return value as number;
}
function inputsOf(body: unknown): MintInput[] {
  return list(field(body, 'inputs')).map((item) => {
    const witness = field(item, 'witness');
    return {
      id: text(field(item, 'id')),
      amount: amountOf(field(item, 'amount')),
      secret: text(field(item, 'secret')),
      C: text(field(item, 'C')),
      ...(typeof witness === 'string' ? { witness } : {}),
    };
  });
}
function outputsOf(body: unknown): MintOutput[] {
  return list(field(body, 'outputs')).map((item) => ({
    id: text(field(item, 'id')),
    amount: amountOf(field(item, 'amount')),
    B_: text(field(item, 'B_')),
  }));
}
