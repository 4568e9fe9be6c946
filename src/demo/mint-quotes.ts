/** Mint quotes of the play-money mint: pretended bolt11 payments in (NUT-04, NUT-20). */
import { verifyMintQuoteSignature, Amount } from '@cashu/cashu-ts';
import { hex, systemRandom } from '../base/id.ts';
import { msatPerUnit, type Unit } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { MintBook, MintOutput } from './mint-book.ts';
import type { BlindSignature } from './mint-keys.ts';
import { MintRefusal } from './mint-refusal.ts';
import { playInvoice } from './play-invoice.ts';

const AMOUNT_MAX = 1_000_000_000;

export interface MintQuote {
  quote: string;
  request: string;
  amount: number;
  unit: Unit;
  state: 'UNPAID' | 'PAID' | 'ISSUED';
  expiry: number;
  pubkey?: string | null;
}

export interface MintQuotes {
  open: (amount: number, pubkey?: string) => MintQuote;
  quote: (id: string) => MintQuote;
  /** By the name of the quote or by its invoice. */
  pay: (idOrInvoice: string) => void;
  mint: (id: string, outputs: MintOutput[], signature?: string) => BlindSignature[];
  all: () => MintQuote[];
}

export function createMintQuotes(options: {
  unit: Unit;
  book: MintBook;
  clock: Clock;
  autoPay: boolean;
  /** How long invoices can be paid. */
  invoiceSeconds: number;
  /** What quotes name as their end; by default that of their invoice. */
  expiry: number | undefined;
  /** Locks quotes to the key of whoever asked for them (NUT-20). */
  locks: boolean;
  /** Told of every quote that was paid or issued. */
  changed: (quote: MintQuote) => void;
}): MintQuotes {
  const { unit, book, clock, autoPay, invoiceSeconds, locks, changed } = options;
  const quotes = new Map<string, MintQuote>();

  function find(id: string): MintQuote {
    const quote = quotes.get(id);
    if (quote === undefined) throw new MintRefusal(20000, 'quote not found');
    return quote;
  }

  return {
    quote: find,
    all: () => [...quotes.values()],
    open: (amount, pubkey) => {
      if (!Number.isInteger(amount) || amount <= 0 || amount > AMOUNT_MAX) {
        throw new MintRefusal(11006, 'amount outside of limit');
      }
      const now = unixSeconds(clock);
      const quote: MintQuote = {
        quote: hex(systemRandom(16)),
        request: playInvoice(amount * msatPerUnit(unit), { timestamp: now, expirySeconds: invoiceSeconds }),
        amount,
        unit,
        state: autoPay ? 'PAID' : 'UNPAID',
        expiry: options.expiry ?? now + invoiceSeconds,
        ...(locks && { pubkey: pubkey ?? null }),
      };
      quotes.set(quote.quote, quote);
      return quote;
    },
    pay: (idOrInvoice) => {
      const quote = [...quotes.values()].find(({ request }) => request === idOrInvoice) ?? find(idOrInvoice);
      if (quote.state !== 'UNPAID') return;
      quote.state = 'PAID';
      changed(quote);
    },
    mint: (id, outputs, signature) => {
      const quote = find(id);
      if (quote.state === 'UNPAID') throw new MintRefusal(20001, 'quote not paid');
      if (quote.state === 'ISSUED') throw new MintRefusal(20002, 'quote already issued');
      if (typeof quote.pubkey === 'string' && !isSigned(quote.pubkey, id, outputs, signature)) {
        throw new MintRefusal(20008, 'signature for mint request is invalid');
      }
      const wanted = outputs.reduce((total, output) => total + output.amount, 0);
      if (wanted !== quote.amount) throw new MintRefusal(11005, 'outputs do not equal the quote');
      book.checkOutputs(outputs);
      const signatures = book.sign(outputs);
      quote.state = 'ISSUED';
      changed(quote);
      return signatures;
    },
  };
}

function isSigned(pubkey: string, quote: string, outputs: MintOutput[], signature?: string): boolean {
  if (signature === undefined) return false;
  const messages = outputs.map((output) => ({ ...output, amount: Amount.from(output.amount) }));
  return verifyMintQuoteSignature(pubkey, quote, messages, signature);
}
