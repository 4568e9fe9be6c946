/** Quotes of the play-money mint: pretended bolt11 payments in (NUT-04) and out (NUT-05, NUT-08). */
import { verifyMintQuoteSignature, Amount } from '@cashu/cashu-ts';
import { hex, systemRandom } from '../base/id.ts';
import { msatPerUnit, type Unit } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { MintBook, MintInput, MintOutput } from './mint-book.ts';
import type { BlindSignature } from './mint-keys.ts';
import { MintRefusal } from './mint-refusal.ts';

const QUOTE_SECONDS = 3_600;
const AMOUNT_MAX = 1_000_000_000;
const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';

interface MintQuote {
  quote: string;
  request: string;
  amount: number;
  unit: Unit;
  state: 'UNPAID' | 'PAID' | 'ISSUED';
  expiry: number;
  pubkey: string | null;
}
interface MeltQuote {
  quote: string;
  request: string;
  amount: number;
  unit: Unit;
  fee_reserve: number;
  state: 'UNPAID' | 'PAID';
  expiry: number;
  payment_preimage: string | null;
  change: BlindSignature[] | null;
}

export interface MintQuotes {
  openMint: (amount: number, pubkey?: string) => MintQuote;
  mintQuote: (id: string) => MintQuote;
  pay: (id: string) => void;
  mint: (id: string, outputs: MintOutput[], signature?: string) => BlindSignature[];
  openMelt: (invoice: string) => MeltQuote;
  meltQuote: (id: string) => MeltQuote;
  melt: (id: string, inputs: MintInput[], blanks: MintOutput[]) => MeltQuote;
}

/** An invoice that no Lightning node would pay; only its amount can be read. 1 msat is 10 pico-bitcoin. */
export function playInvoice(msats: number): string {
  const filler = [...systemRandom(48)].map((byte) => BECH32[byte % 32]).join('');
  return `lnbcrt${msats * 10}p1${filler}`;
}

export function createMintQuotes(options: {
  unit: Unit;
  book: MintBook;
  clock: Clock;
  autoPay: boolean;
  /** The keyset that change of a melt is signed with. */
  activeKeyset: () => string;
}): MintQuotes {
  const { unit, book, clock, autoPay } = options;
  const mints = new Map<string, MintQuote>();
  const melts = new Map<string, MeltQuote>();
  const newId = () => hex(systemRandom(16));

  function mintQuote(id: string): MintQuote {
    const quote = mints.get(id);
    if (quote === undefined) throw new MintRefusal(20000, 'quote not found');
    return quote;
  }
  function meltQuote(id: string): MeltQuote {
    const quote = melts.get(id);
    if (quote === undefined) throw new MintRefusal(20000, 'quote not found');
    return quote;
  }

  return {
    mintQuote,
    meltQuote,
    openMint: (amount, pubkey) => {
      if (!Number.isInteger(amount) || amount <= 0 || amount > AMOUNT_MAX) {
        throw new MintRefusal(11006, 'amount outside of limit');
      }
      const quote: MintQuote = {
        quote: newId(),
        request: playInvoice(amount * msatPerUnit(unit)),
        amount,
        unit,
        state: autoPay ? 'PAID' : 'UNPAID',
        expiry: unixSeconds(clock) + QUOTE_SECONDS,
        pubkey: pubkey ?? null,
      };
      mints.set(quote.quote, quote);
      return quote;
    },
    pay: (id) => {
      const quote = mintQuote(id);
      if (quote.state === 'UNPAID') quote.state = 'PAID';
    },
    mint: (id, outputs, signature) => {
      const quote = mintQuote(id);
      if (quote.state === 'UNPAID') throw new MintRefusal(20001, 'quote not paid');
      if (quote.state === 'ISSUED') throw new MintRefusal(20002, 'quote already issued');
      if (quote.pubkey !== null && !isSigned(quote.pubkey, id, outputs, signature)) {
        throw new MintRefusal(20008, 'signature for mint request is invalid');
      }
      const wanted = outputs.reduce((total, output) => total + output.amount, 0);
      if (wanted !== quote.amount) throw new MintRefusal(11005, 'outputs do not equal the quote');
      book.checkOutputs(outputs);
      const signatures = book.sign(outputs);
      quote.state = 'ISSUED';
      return signatures;
    },
    openMelt: (invoice) => {
      const msats = invoiceMsats(invoice);
      if (msats === undefined) throw new MintRefusal(20004, 'invoice cannot be read or has no amount');
      const amount = Math.ceil(msats / msatPerUnit(unit));
      const quote: MeltQuote = {
        quote: newId(),
        request: invoice,
        amount,
        unit,
        fee_reserve: Math.max(1, Math.ceil(amount / 100)),
        state: 'UNPAID',
        expiry: unixSeconds(clock) + QUOTE_SECONDS,
        payment_preimage: null,
        change: null,
      };
      melts.set(quote.quote, quote);
      return quote;
    },
    melt: (id, inputs, blanks) => {
      const quote = meltQuote(id);
      if (quote.state === 'PAID') throw new MintRefusal(20006, 'invoice already paid');
      const { sum, fee } = book.check(inputs);
      const over = sum - fee - quote.amount;
      if (over < quote.fee_reserve)
        throw new MintRefusal(11005, 'inputs do not cover amount and fee reserve');
      // The pretended route costs nothing, so the whole reserve comes back as change.
      const change = fillBlanks(blanks, over, options.activeKeyset());
      if (change.length > 0) book.checkOutputs(change);
      quote.change = book.sign(change);
      book.spend(inputs);
      quote.state = 'PAID';
      quote.payment_preimage = hex(systemRandom(32));
      return quote;
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

/** Amount of an invoice, from its human readable part. */
function invoiceMsats(invoice: string): number | undefined {
  const match = /^ln[a-z]+?([1-9]\d{0,17})([munp])1[a-z0-9]+$/.exec(invoice.toLowerCase());
  if (match === null) return undefined;
  const perUnit = { m: 100_000_000, u: 100_000, n: 100, p: 0.1 }[match[2] as 'm' | 'u' | 'n' | 'p'];
  const msats = Math.round(Number(match[1]) * perUnit);
  return Number.isSafeInteger(msats) && msats > 0 ? msats : undefined;
}

function isSigned(pubkey: string, quote: string, outputs: MintOutput[], signature?: string): boolean {
  if (signature === undefined) return false;
  const messages = outputs.map((output) => ({ ...output, amount: Amount.from(output.amount) }));
  return verifyMintQuoteSignature(pubkey, quote, messages, signature);
}
