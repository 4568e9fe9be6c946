/** Faults that a test orders from the play-money mint, one request at a time. */
import type { ServerResponse } from 'node:http';
import { type Clock } from '../base/time.ts';
import type { BlindSignature } from './mint-keys.ts';

/** Kinds named `… after the work` change the mint's book first and then spoil the answer. */
export type MintFault =
  /** The socket is cut; nothing was done. */
  | 'drop-before'
  /** Done, then the socket is cut. */
  | 'drop-after'
  /** The socket is cut; it is done when `landLate` says so, as a request held up by a proxy is. */
  | 'land-late'
  /** Never answered; nothing was done. */
  | 'hang'
  /** Done, then never answered. */
  | 'hang-after'
  | 'status-500'
  /** Refused with the code that explains nothing (11000), as a mint with troubles of its own does; nothing was done. */
  | 'refuse'
  /** The quote, or whatever the path names, is not known. */
  | 'not-found'
  | 'html-502'
  /** 429 with Retry-After. */
  | 'rate-limit'
  /** Done, then the JSON breaks off. */
  | 'bad-json'
  /** Done, then the signatures claim other amounts. */
  | 'wrong-amounts'
  /** Done, then one signature is missing. */
  | 'wrong-count'
  /** Done, then the signatures name another keyset. */
  | 'wrong-keyset'
  /** Done; the DLEQ proofs do not hold. */
  | 'bad-dleq'
  /** A quote whose invoice asks for twice as much. */
  | 'wrong-invoice'
  /** The quote is locked to a key that nobody asked for. */
  | 'wrong-lock'
  /** Paid, and nothing of what was overpaid comes back, not by a restore either. */
  | 'keep-change'
  | 'redirect'
  /** An answer without end. */
  | 'huge-body';

export interface MintFaults {
  failNext: (kind: MintFault, options?: { path?: string; times?: number }) => void;
  slow: (ms: number, path?: string) => void;
  /** Takes back what was ordered and has not struck yet. */
  calm: () => void;
  pause: () => void;
  resume: () => void;
  /** Waits for pause and slowness, then names the fault for this request, if any. */
  next: (path: string) => Promise<MintFault | undefined>;
}

const RETRY_AFTER_SECONDS = 7;
const HUGE_CHUNK = 'x'.repeat(64 * 1024);
const HUGE_CHUNKS = 1_024;

export function createMintFaults(clock: Clock): MintFaults {
  const orders: { kind: MintFault; path: string; times: number }[] = [];
  let slowness: { ms: number; path: string } | undefined;
  let gate: { opened: Promise<void>; open: () => void } | undefined;

  return {
    failNext: (kind, { path = '/', times = 1 } = {}) => void orders.push({ kind, path, times }),
    slow: (ms, path = '/') => {
      slowness = ms > 0 ? { ms, path } : undefined;
    },
    calm: () => {
      orders.length = 0;
      slowness = undefined;
    },
    pause: () => {
      if (gate !== undefined) return;
      let open = () => {};
      const opened = new Promise<void>((resolve) => (open = resolve));
      gate = { opened, open };
    },
    resume: () => {
      gate?.open();
      gate = undefined;
    },
    next: async (path) => {
      await gate?.opened;
      if (slowness !== undefined && path.startsWith(slowness.path)) await clock.sleep(slowness.ms);
      const order = orders.find((waiting) => path.startsWith(waiting.path));
      if (order === undefined) return undefined;
      order.times -= 1;
      if (order.times <= 0) orders.splice(orders.indexOf(order), 1);
      return order.kind;
    },
  };
}

/** Faults that answer before anything is done. Returns false if the request should be served. */
export function failBefore(kind: MintFault | undefined, response: ServerResponse): boolean {
  switch (kind) {
    case 'drop-before':
    case 'land-late':
      response.destroy();
      return true;
    case 'hang':
      return true;
    case 'status-500':
      response.writeHead(500, { 'content-type': 'application/json' }).end('{"detail":"Internal error"}');
      return true;
    case 'refuse':
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"code":11000,"detail":"oops"}');
      return true;
    case 'not-found':
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"detail":"Not Found"}');
      return true;
    case 'html-502':
      response.writeHead(502, { 'content-type': 'text/html' }).end('<html><h1>Bad Gateway</h1></html>');
      return true;
    case 'rate-limit':
      response
        .writeHead(429, { 'retry-after': String(RETRY_AFTER_SECONDS), 'content-type': 'application/json' })
        .end('{"detail":"Rate limit exceeded."}');
      return true;
    case 'redirect':
      response.writeHead(307, { location: '/v1/elsewhere' }).end();
      return true;
    case 'huge-body':
      flood(response);
      return true;
    default:
      return false;
  }
}

/** Faults after the work was done. Returns false if the answer should go out, perhaps spoilt by `spoil`. */
export function failAfter(kind: MintFault | undefined, response: ServerResponse, text: string): boolean {
  switch (kind) {
    case 'drop-after':
      response.destroy();
      return true;
    case 'hang-after':
      return true;
    case 'bad-json':
      response.writeHead(200, { 'content-type': 'application/json' }).end(text.slice(0, text.length / 2));
      return true;
    default:
      return false;
  }
}

/** Lies about signatures. */
export function spoil(kind: MintFault | undefined, signatures: BlindSignature[]): BlindSignature[] {
  switch (kind) {
    case 'wrong-amounts':
      return signatures.map((signature) => ({ ...signature, amount: signature.amount * 2 }));
    case 'wrong-count':
      return signatures.slice(1);
    case 'wrong-keyset':
      return signatures.map((signature) => ({ ...signature, id: '00' + 'ab'.repeat(7) }));
    case 'bad-dleq':
      return signatures.map((signature) => ({
        ...signature,
        dleq: { e: '11'.repeat(32), s: '22'.repeat(32) },
      }));
    default:
      return signatures;
  }
}

function flood(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  let chunks = 0;
  const write = (): void => {
    while (chunks++ < HUGE_CHUNKS && !response.destroyed) {
      if (!response.write(HUGE_CHUNK)) {
        response.once('drain', write);
        return;
      }
    }
    response.end();
  };
  write();
}
