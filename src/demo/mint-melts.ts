/** Melt quotes of the play-money mint: pretended bolt11 payments out, as a test wants them to end (NUT-05, NUT-08). */
import { hex, systemRandom } from '../base/id.ts';
import { msatPerUnit, type Unit } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { type MintBook, type MintInput, type MintOutput, yOf } from './mint-book.ts';
import type { BlindSignature } from './mint-keys.ts';
import { MintRefusal } from './mint-refusal.ts';
import { invoiceMsats } from './play-invoice.ts';

const QUOTE_SECONDS = 3_600;

export interface MeltQuote {
  quote: string;
  request: string;
  amount: number;
  unit: Unit;
  fee_reserve: number;
  state: 'UNPAID' | 'PENDING' | 'PAID';
  expiry: number;
  payment_preimage: string | null;
  change: BlindSignature[] | null;
}
/** `failed` answers 20004 and leaves everything as it was; `pending` waits for `settle`. */
export type MeltEnding = 'paid' | 'pending' | 'failed';

export interface MintMelts {
  open: (invoice: string) => MeltQuote;
  quote: (id: string) => MeltQuote;
  melt: (id: string, inputs: MintInput[], blanks: MintOutput[]) => MeltQuote;
  /** How the next payments end, one order for each; paid without an order. */
  order: (ending: MeltEnding) => void;
  /** Takes back orders that no payment has met yet. */
  calm: () => void;
  /** Ends every payment that is pending. */
  settle: (ending: 'paid' | 'failed') => void;
  /** What the pretended routes cost from now on; at most the reserve is taken. */
  setRoute: (cost: { fee?: number; reserve?: number }) => void;
  all: () => MeltQuote[];
}

export function createMintMelts(options: {
  unit: Unit;
  book: MintBook;
  clock: Clock;
  /** The keyset that change of a melt is signed with. */
  activeKeyset: () => string;
  /** Told of every quote whose payment began or ended. */
  changed: (quote: MeltQuote) => void;
}): MintMelts {
  const { unit, book, clock, activeKeyset, changed } = options;
  const quotes = new Map<string, MeltQuote>();
  const paid = new Set<string>();
  const orders: MeltEnding[] = [];
  const waiting = new Map<string, { inputs: MintInput[]; blanks: MintOutput[]; over: number }>();
  let routeFee = 0;
  let reserve: number | undefined;

  function find(id: string): MeltQuote {
    const quote = quotes.get(id);
    if (quote === undefined) throw new MintRefusal(20000, 'quote not found');
    return quote;
  }

  function pay(quote: MeltQuote, inputs: MintInput[], blanks: MintOutput[], over: number): void {
    const change = fillBlanks(blanks, over - Math.min(routeFee, quote.fee_reserve), activeKeyset());
    if (change.length > 0) book.checkOutputs(change);
    quote.change = book.sign(change);
    book.spend(inputs);
    quote.state = 'PAID';
    quote.payment_preimage = hex(systemRandom(32));
    paid.add(quote.request);
  }

  return {
    quote: find,
    all: () => [...quotes.values()],
    order: (ending) => void orders.push(ending),
    calm: () => void (orders.length = 0),
    setRoute: (cost) => {
      routeFee = cost.fee ?? routeFee;
      reserve = cost.reserve ?? reserve;
    },
    open: (invoice) => {
      const msats = invoiceMsats(invoice);
      if (msats === undefined) throw new MintRefusal(20004, 'invoice cannot be read or has no amount');
      const amount = Math.ceil(msats / msatPerUnit(unit));
      const quote: MeltQuote = {
        quote: hex(systemRandom(16)),
        request: invoice,
        amount,
        unit,
        fee_reserve: reserve ?? Math.max(1, Math.ceil(amount / 100)),
        state: 'UNPAID',
        expiry: unixSeconds(clock) + QUOTE_SECONDS,
        payment_preimage: null,
        change: null,
      };
      quotes.set(quote.quote, quote);
      return quote;
    },
    melt: (id, inputs, blanks) => {
      const quote = find(id);
      if (quote.state === 'PAID' || paid.has(quote.request))
        throw new MintRefusal(20006, 'invoice already paid');
      if (quote.state === 'PENDING') throw new MintRefusal(20005, 'quote is pending');
      if (unixSeconds(clock) > quote.expiry) throw new MintRefusal(20007, 'quote is expired');
      if (blanks.some((blank) => blank.id !== activeKeyset()))
        throw new MintRefusal(12002, 'keyset is inactive');
      const { sum, fee } = book.check(inputs);
      const over = sum - fee - quote.amount;
      if (over < quote.fee_reserve)
        throw new MintRefusal(11005, 'inputs do not cover amount and fee reserve');
      const ending = orders.shift() ?? 'paid';
      if (ending === 'failed') throw new MintRefusal(20004, 'no route found');
      if (ending === 'pending') {
        for (const input of inputs) book.setPending(yOf(input.secret), true);
        waiting.set(id, { inputs, blanks, over });
        quote.state = 'PENDING';
      } else pay(quote, inputs, blanks, over);
      changed(quote);
      return quote;
    },
    settle: (ending) => {
      for (const [id, { inputs, blanks, over }] of waiting) {
        for (const input of inputs) book.setPending(yOf(input.secret), false);
        const quote = find(id);
        if (ending === 'paid') pay(quote, inputs, blanks, over);
        else quote.state = 'UNPAID';
        waiting.delete(id);
        changed(quote);
      }
    },
  };
}

/** NUT-08: gives the blank outputs amounts that sum up to as much of `over` as fits. */
function fillBlanks(blanks: MintOutput[], over: number, keyset: string): MintOutput[] {
  const amounts: number[] = [];
  for (let bit = 31; bit >= 0 && amounts.length < blanks.length; bit--) {
    if (Math.floor(over / 2 ** bit) % 2 === 1) amounts.push(2 ** bit);
  }
  return amounts.map((amount, i) => ({ id: keyset, amount, B_: blanks[i]?.B_ ?? '' }));
}
