/** A Cashu mint with play money on 127.0.0.1: real protocol, pretended Lightning. It serves the demo and the tests. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Amount, getEncodedToken } from '@cashu/cashu-ts';
import { msat, type Unit } from '../base/money.ts';
import { type Clock, systemClock } from '../base/time.ts';
import { createMintBook } from './mint-book.ts';
import { createMintFaults, failAfter, failBefore, type MintFaults } from './mint-faults.ts';
import { createMintKeys, type MintKeyset, type PlayProof } from './mint-keys.ts';
import { createMintMelts, type MeltEnding, type MeltQuote } from './mint-melts.ts';
import { createMintQuotes, type MintQuote } from './mint-quotes.ts';
import { MintRefusal } from './mint-refusal.ts';
import { createMintRoutes } from './mint-routes.ts';
import { createMintSocket, type MintSocketHooks } from './mint-socket.ts';

export type { MintFault } from './mint-faults.ts';
export type { MeltEnding } from './mint-melts.ts';
export { playInvoice } from './play-invoice.ts';

const BODY_BYTES_MAX = 4 * 1024 * 1024;

export interface TestMintOptions {
  /** 0 takes any free port. */
  port?: number;
  unit?: Unit;
  /** Input fee in parts per thousand units for each proof. */
  feePpk?: number;
  /** Sign with DLEQ proofs (NUT-12); they are the dearest part of a signature. Default true. */
  dleq?: boolean;
  /** Mint quotes are paid as soon as they exist. Default true; else `payQuote` pays them. */
  autoPay?: boolean;
  /** Seconds that its invoices can be paid. Default 3,600. */
  invoiceSeconds?: number;
  /** Unix seconds that its quotes name as their end, 0 for none as some mints do. Default: that of the invoice. */
  quoteExpiry?: number;
  /** Locks mint quotes to the key of whoever asks (NUT-20). Default true. */
  locks?: boolean;
  /** Version of keyset ids: 1 as new mints make them (default), 0 as most running mints still do. */
  keysetVersion?: 0 | 1;
  /** Answers 11000 for inactive keysets and wrong sums, as nutshell 0.20 does. Default false: the code of the NUTs. */
  vagueCodes?: boolean;
  /** Tells of its quotes over a WebSocket (NUT-17). Default true. */
  hints?: boolean;
  clock?: Clock;
}

export interface TestMint extends Omit<MintFaults, 'next'> {
  url: string;
  unit: Unit;
  /** Id of the keyset that signs now. */
  keyset: () => string;
  /** New active keyset; the old ones are still accepted as inputs. */
  rotate: (options?: { feePpk?: number }) => MintKeyset;
  /** A token (cashuB…) of new play money, made without HTTP. `amounts` replaces the shortest split. */
  issue: (amount: number, options?: { amounts?: number[] }) => Promise<string>;
  /** Proofs of new play money. */
  conjure: (amounts: number[]) => PlayProof[];
  /** Pays a mint quote, named by its id or its invoice. */
  payQuote: (idOrInvoice: string) => void;
  mintQuotes: () => Readonly<MintQuote>[];
  /** How the next payments out end, one order for each; paid without an order. */
  meltNext: (ending: MeltEnding) => void;
  /** Ends every payment out that is pending. */
  settleMelts: (ending: 'paid' | 'failed') => void;
  /** What the pretended routes cost from now on, and what is kept in reserve for them. */
  setRoute: (cost: { fee?: number; reserve?: number }) => void;
  meltQuotes: () => Readonly<MeltQuote>[];
  /** Carries out the requests whose clients met the fault `land-late`. */
  landLate: () => void;
  /** Shows the proof with this Y (NUT-07) as PENDING, or no longer. */
  setPending: (Y: string, pending: boolean) => void;
  /** Its WebSockets (NUT-17). */
  socket: MintSocketHooks;
  stats: MintStats;
  close: () => Promise<void>;
}

export interface MintStats {
  /** Requests received, by path without ids, e.g. `/v1/swap`. */
  requests: Record<string, number>;
  /** Swaps that were carried out. */
  swaps: number;
  /** Play money signed or conjured less play money spent, in the mint's unit. */
  readonly outstanding: number;
}

export async function createTestMint(options: TestMintOptions = {}): Promise<TestMint> {
  const { port = 0, unit = 'sat', feePpk = 0, dleq = true, autoPay = true, clock = systemClock } = options;
  const keys = createMintKeys({ unit, feePpk, dleq, keysetVersion: options.keysetVersion ?? 1 });
  const book = createMintBook(keys);
  const { hints = true, locks = true } = options;
  const socket = createMintSocket({
    current: (kind, id) => (kind === 'bolt11_mint_quote' ? quotes.quote(id) : melts.quote(id)),
  });
  const quotes = createMintQuotes({
    unit,
    book,
    clock,
    autoPay,
    invoiceSeconds: options.invoiceSeconds ?? 3_600,
    expiry: options.quoteExpiry,
    locks,
    changed: (quote) => socket.changed('bolt11_mint_quote', quote),
  });
  const melts = createMintMelts({
    unit,
    book,
    clock,
    activeKeyset: () => keys.active().id,
    changed: (quote) => socket.changed('bolt11_melt_quote', quote),
  });
  const faults = createMintFaults(clock);
  const late: (() => void)[] = [];
  let conjured = 0;
  const stats: MintStats = {
    requests: {},
    swaps: 0,
    get outstanding() {
      return conjured + book.totals().signed - book.totals().spent;
    },
  };
  const routes = createMintRoutes({ unit, keys, book, quotes, melts, stats, clock, hints });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const route = routes(request.method ?? 'GET', path);
    const counted = route?.name ?? 'unknown';
    stats.requests[counted] = (stats.requests[counted] ?? 0) + 1;
    const body = await readBody(request);
    const fault = await faults.next(path);
    if (fault === 'land-late' && route !== undefined)
      late.push(() => void run(() => route.run(body, undefined), false));
    if (failBefore(fault, response)) return;
    if (route === undefined) return send(response, 404, JSON.stringify({ detail: 'Not Found' }));
    const { status, text } = run(() => route.run(body, fault), options.vagueCodes ?? false);
    if (failAfter(fault, response, text)) return;
    send(response, status, text);
  }

  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  if (hints) socket.attach(server);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const conjure = (amounts: number[]): PlayProof[] => {
    conjured += amounts.reduce((total, amount) => total + amount, 0);
    return amounts.map((amount) => keys.conjure(amount));
  };

  return {
    url,
    unit,
    keyset: () => keys.active().id,
    failNext: faults.failNext,
    slow: faults.slow,
    calm: () => {
      faults.calm();
      melts.calm();
    },
    pause: faults.pause,
    resume: faults.resume,
    rotate: ({ feePpk: newFee } = {}) => keys.rotate(newFee),
    issue: async (amount, { amounts = binary(amount) } = {}) => {
      const proofs = conjure(amounts).map((proof) => ({ ...proof, amount: Amount.from(proof.amount) }));
      return getEncodedToken({ mint: url, unit, proofs });
    },
    conjure,
    payQuote: quotes.pay,
    mintQuotes: quotes.all,
    meltNext: melts.order,
    settleMelts: melts.settle,
    setRoute: melts.setRoute,
    meltQuotes: melts.all,
    landLate: () => {
      for (const land of late.splice(0)) land();
    },
    setPending: book.setPending,
    socket: socket.hooks,
    stats,
    close: async () => {
      faults.resume();
      server.closeAllConnections();
      socket.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Powers of two that sum up to `amount`. */
function binary(amount: number): number[] {
  msat(amount);
  const amounts: number[] = [];
  for (let power = 1, rest = amount; rest > 0; power *= 2, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) amounts.push(power);
  }
  return amounts;
}

function run(work: () => unknown, vague: boolean): { status: number; text: string } {
  try {
    return { status: 200, text: JSON.stringify(work()) };
  } catch (error) {
    if (!(error instanceof MintRefusal)) return { status: 500, text: '{"detail":"Internal error"}' };
    const code = vague && [11005, 11006, 12001, 12002].includes(error.code) ? 11000 : error.code;
    return { status: 400, text: JSON.stringify({ code, detail: error.message }) };
  }
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) throw new Error('body too large');
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    return undefined; // The route refuses a body that it cannot read.
  }
}
