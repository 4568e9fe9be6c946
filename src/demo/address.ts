/** A Lightning address on 127.0.0.1 (LUD-16): gives out invoices of play money. The counterpart of refunds in tests. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sha256Hex } from '../base/id.ts';
import { type Clock, systemClock, unixSeconds } from '../base/time.ts';
import { playInvoice, playLnurl } from './play-invoice.ts';

export interface PayAnswer {
  tag?: string;
  callback?: string;
  minSendable?: number;
  maxSendable?: number;
  metadata?: string;
}

export interface TestAddress {
  /** name@127.0.0.1:port */
  address: string;
  /** The same as an LNURL. */
  lnurl: string;
  /** Invoices given out, oldest first. */
  invoices: string[];
  /** Laid over the first answer from now on. */
  setAnswer: (answer: PayAnswer) => void;
  /** Replaces the next invoice; `msat` is what was asked for. */
  nextInvoice: (make: (msat: number) => string) => void;
  /** Answers the next request like this instead. */
  nextReply: (reply: (response: ServerResponse) => void) => void;
  /** Keeps callers waiting until `resume`. */
  pause: () => void;
  resume: () => void;
  close: () => Promise<void>;
}

const METADATA = '[["text/plain","play money"]]';

export async function createTestAddress(
  options: { name?: string; clock?: Clock } = {},
): Promise<TestAddress> {
  const { name = 'operator', clock = systemClock } = options;
  const invoices: string[] = [];
  const makers: ((msat: number) => string)[] = [];
  const replies: ((response: ServerResponse) => void)[] = [];
  let extra: PayAnswer = {};
  let gate: { opened: Promise<void>; open: () => void } | undefined;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await gate?.opened;
    const reply = replies.shift();
    if (reply !== undefined) return reply(response);
    const asked = new URL(request.url ?? '/', base);
    if (asked.pathname === `/.well-known/lnurlp/${name}`) return send(response, payAnswer());
    if (asked.pathname !== '/callback') return send(response, { status: 'ERROR', reason: 'unknown' });
    const msat = Number(asked.searchParams.get('amount'));
    const make = makers.shift() ?? invoiceFor;
    const pr = make(msat);
    invoices.push(pr);
    return send(response, { pr, routes: [] });
  }

  const invoiceFor = (msat: number): string =>
    playInvoice(msat, { timestamp: unixSeconds(clock), descriptionHash: sha256Hex(METADATA) });
  const payAnswer = (): PayAnswer => ({
    tag: 'payRequest',
    callback: `${base}/callback`,
    minSendable: 1_000,
    maxSendable: 1_000_000_000,
    metadata: METADATA,
    ...extra,
  });

  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const base = `http://127.0.0.1:${port}`;

  return {
    address: `${name}@127.0.0.1:${port}`,
    lnurl: playLnurl(`${base}/.well-known/lnurlp/${name}`),
    invoices,
    setAnswer: (answer) => (extra = answer),
    nextInvoice: (make) => void makers.push(make),
    nextReply: (reply) => void replies.push(reply),
    pause: () => {
      let open = () => {};
      const opened = new Promise<void>((resolve) => (open = resolve));
      gate ??= { opened, open };
    },
    resume: () => {
      gate?.open();
      gate = undefined;
    },
    close: async () => {
      gate?.open();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function send(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
