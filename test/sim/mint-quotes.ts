/** Quotes of a simulated mint: ecash for paid invoices (NUT-04), and invoices paid with ecash (NUT-05, NUT-08). */
import type { MintAnswer } from '../../src/wallet/mint-http.ts';
import { invoiceMsats } from '../../src/demo/play-invoice.ts';
import type { InputProof } from '../../src/wallet/wallet.ts';
import type { SimLightning } from './lightning.ts';
import { type MintBook, type Output, sumOf } from './mint-book.ts';
import type { VirtualTime } from './time.ts';

/** How a payment goes: at once, never, or after a while the one or the other. */
export type Route = 'paid' | 'fails' | 'pending' | 'pending-fails';

export interface MintQuotes {
  /** Undefined: no path of this part. */
  carryOut: (path: string, body: string) => MintAnswer | undefined;
  /** Quotes that were paid for and not minted. */
  unissued: () => number;
}

interface MintQuote {
  quote: string;
  request: string;
  amount: number;
  unit: 'sat';
  pubkey: string;
  state: 'UNPAID' | 'PAID' | 'ISSUED';
}
interface MeltQuote {
  quote: string;
  request: string;
  amount: number;
  fee_reserve: number;
  state: 'UNPAID' | 'PENDING' | 'PAID';
  change: { id: string; amount: number; C_: string }[];
}

const PENDING_MS = 40_000;
const refused = (code: number): MintAnswer => ({ kind: 'refused', code });

export function createMintQuotes(parts: {
  name: string;
  book: MintBook;
  lightning: SimLightning;
  time: VirtualTime;
  random: () => number;
  route: () => Route;
  signature: string;
}): MintQuotes {
  const { name, book, lightning, time, random, route, signature } = parts;
  const mintQuotes = new Map<string, MintQuote>();
  const meltQuotes = new Map<string, MeltQuote>();
  const signatures = (outputs: readonly Output[]) =>
    outputs.map(({ id, amount }) => ({ id, amount, C_: signature }));

  function quoteMint({ amount, pubkey }: { amount: number; pubkey: string }): MintAnswer {
    const quote = `q${name}${mintQuotes.size}`;
    const request = lightning.invoice(amount * 1000, () => (made.state = 'PAID'));
    const made: MintQuote = { quote, request, amount, unit: 'sat', pubkey, state: 'UNPAID' };
    mintQuotes.set(quote, made);
    return { kind: 'ok', body: { ...made } };
  }

  function mint({ quote, outputs }: { quote: string; outputs: Output[] }): MintAnswer {
    const known = mintQuotes.get(quote);
    if (known === undefined) return refused(0);
    if (known.state === 'UNPAID') return refused(20001);
    if (known.state === 'ISSUED') return refused(20002);
    const wrong = book.refuseOutputs(outputs);
    if (wrong !== undefined) return refused(wrong);
    if (sumOf(outputs) !== known.amount) return refused(11005);
    book.sign(outputs);
    known.state = 'ISSUED';
    return { kind: 'ok', body: { signatures: signatures(outputs) } };
  }

  function quoteMelt({ request }: { request: string }): MintAnswer {
    const amount = (invoiceMsats(request) ?? 0) / 1000;
    const quote = `m${name}${meltQuotes.size}`;
    const made: MeltQuote = {
      quote,
      request,
      amount,
      fee_reserve: 2 + Math.floor(random() * 3),
      state: 'UNPAID',
      change: [],
    };
    meltQuotes.set(quote, made);
    return { kind: 'ok', body: { ...made } };
  }

  function pay(quote: MeltQuote, inputs: readonly InputProof[], blanks: readonly Output[]): boolean {
    book.setPending(inputs, false);
    if (!lightning.pay(quote.request)) {
      quote.state = 'UNPAID';
      return false;
    }
    quote.state = 'PAID';
    book.spend(inputs);
    const fee = Math.floor(random() * (quote.fee_reserve + 1));
    const change = sumOf(inputs) - book.feeOf(inputs) - quote.amount - fee;
    const amounts = [...change.toString(2)].reverse().flatMap((bit, i) => (bit === '1' ? [2 ** i] : []));
    const given = blanks.slice(0, amounts.length).map((blank, i) => ({ ...blank, amount: amounts[i] ?? 0 }));
    book.sign(given);
    quote.change = signatures(given);
    return true;
  }

  function melt(request: { quote: string; inputs: InputProof[]; outputs?: Output[] }): MintAnswer {
    const { inputs, outputs = [] } = request;
    const quote = meltQuotes.get(request.quote);
    if (quote === undefined) return refused(0);
    if (quote.state === 'PAID') return refused(20006);
    if (quote.state === 'PENDING') return refused(20005);
    const wrong = book.refuseInputs(inputs) ?? book.refuseOutputs(outputs);
    if (wrong !== undefined) return refused(wrong);
    if (sumOf(inputs) - book.feeOf(inputs) < quote.amount + quote.fee_reserve) return refused(11005);
    const way = route();
    if (way === 'fails') return refused(20004);
    if (way === 'paid')
      return pay(quote, inputs, outputs) ? { kind: 'ok', body: { ...quote } } : refused(20004);
    quote.state = 'PENDING';
    book.setPending(inputs, true);
    time.at(random() * PENDING_MS, () => {
      if (way === 'pending') return void pay(quote, inputs, outputs);
      book.setPending(inputs, false);
      quote.state = 'UNPAID';
    });
    return { kind: 'ok', body: { ...quote } };
  }

  function stateOf(quotes: ReadonlyMap<string, MintQuote | MeltQuote>, path: string): MintAnswer {
    const quote = quotes.get(path.slice(path.lastIndexOf('/') + 1));
    return quote === undefined ? refused(0) : { kind: 'ok', body: { ...quote } };
  }

  return {
    carryOut: (path, body) => {
      if (path.startsWith('/v1/mint/quote/bolt11/')) return stateOf(mintQuotes, path);
      if (path.startsWith('/v1/melt/quote/bolt11/')) return stateOf(meltQuotes, path);
      const request = JSON.parse(body) as never;
      if (path === '/v1/mint/quote/bolt11') return quoteMint(request);
      if (path === '/v1/melt/quote/bolt11') return quoteMelt(request);
      if (path === '/v1/mint/bolt11') return mint(request);
      return path === '/v1/melt/bolt11' ? melt(request) : undefined;
    },
    unissued: () => [...mintQuotes.values()].filter(({ state }) => state === 'PAID').length,
  };
}
