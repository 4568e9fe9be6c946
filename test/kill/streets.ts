/**
 * Lightning outside of the node and the mint: buyers who pay invoices, and addresses that give them out (LUD-16).
 * Its book counts what the mint's routes really paid, by address, and knows nothing of what the node believes.
 */
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sha256Hex } from '../../src/base/id.ts';
import type { TestMint } from '../../src/demo/mint.ts';
import { invoiceMsats, playInvoice } from '../../src/demo/play-invoice.ts';
import type { Streets } from '../shop/lightning-errands.ts';
import type { Verdict } from '../shop/verdict.ts';

export interface KillStreets extends Streets {
  /** Of the operator, for payouts of what was earned. */
  operator: string;
  /** Pays what was left unpaid, also what only the node may know of: then it has nothing left to wait for. */
  payRest: () => void;
  /** Compares what arrived with what had to. `payouts` in msat: what the node says that the operator got. */
  reckon: (verdict: Verdict, payouts: number) => void;
  close: () => Promise<void>;
}

const METADATA = '[["text/plain","play money"]]';

export async function createStreets(parts: {
  mint: TestMint;
  /** True if an address does not answer this time. */
  fails: () => boolean;
}): Promise<KillStreets> {
  const { mint, fails } = parts;
  /** Names of addresses by the invoices that they gave out. */
  const payees = new Map<string, string>();
  const awaited = new Map<string, number>();
  const told = new Set<string>();
  let addresses = 0;

  function serve(request: IncomingMessage, response: ServerResponse): void {
    if (fails()) return void response.destroy();
    const asked = new URL(request.url ?? '/', base);
    const [, kind = '', name = ''] =
      /^\/(\.well-known\/lnurlp|callback)\/([a-z0-9]+)$/.exec(asked.pathname) ?? [];
    if (name === '') return void response.writeHead(404).end();
    if (kind !== 'callback') return send(response, payRequest(name));
    const invoice = playInvoice(Number(asked.searchParams.get('amount')), {
      descriptionHash: sha256Hex(METADATA),
    });
    payees.set(invoice, `${name}@${host}`);
    send(response, { pr: invoice, routes: [] });
  }
  const payRequest = (name: string) => ({
    tag: 'payRequest',
    callback: `${base}/callback/${name}`,
    minSendable: 1_000,
    maxSendable: 1_000_000_000,
    metadata: METADATA,
  });

  const server = createServer(serve);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const base = `http://${host}`;
  const operator = `operator@${host}`;
  const unpaid = () => mint.mintQuotes().filter(({ state }) => state === 'UNPAID');

  /** Msats by address, over the routes of the mint. */
  function arrivals(): Map<string, number> {
    const sums = new Map<string, number>();
    for (const { request, state } of mint.meltQuotes()) {
      const payee = payees.get(request);
      if (state !== 'PAID' || payee === undefined) continue;
      sums.set(payee, (sums.get(payee) ?? 0) + (invoiceMsats(request) ?? 0));
    }
    return sums;
  }

  return {
    operator,
    // Each waits for a day: many of them would slow down the asking about the others.
    abandoned: 0.03,
    told: (invoice) => void told.add(invoice),
    pay: (invoice) => {
      const isOpen = unpaid().some(({ request }) => request === invoice);
      if (isOpen) mint.payQuote(invoice);
      return isOpen;
    },
    payRest: () => {
      for (const { quote } of unpaid()) mint.payQuote(quote);
    },
    newAddress: () => `b${++addresses}@${host}`,
    expect: (address, msats) => void awaited.set(address, msats),
    reckon: (verdict, payouts) => {
      const arrived = arrivals();
      awaited.set(operator, payouts);
      for (const address of new Set([...awaited.keys(), ...arrived.keys()])) {
        const [got, wanted] = [arrived.get(address) ?? 0, awaited.get(address) ?? 0];
        if (got !== wanted)
          verdict.found(got < wanted ? 'lost' : 'duplicated', `${address} got ${got} msat and not ${wanted}`);
      }
      const unissued = mint
        .mintQuotes()
        .filter(({ state, request }) => state === 'PAID' && told.has(request)).length;
      for (let i = 0; i < unissued; i++)
        verdict.found('lost', 'an invoice was paid and nothing was minted for it');
      const pending = mint.meltQuotes().filter(({ state }) => state === 'PENDING').length;
      for (let i = 0; i < pending; i++) verdict.found('unresolved', 'a payment is still on its way');
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

function send(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
