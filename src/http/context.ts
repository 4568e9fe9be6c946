/** Express application whose requests and responses are born with Express's prototypes. */
import http from 'node:http';
import type { Socket } from 'node:net';
import express, { type Express } from 'express';
import { type RequestId, newRequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Msat } from '../base/money.ts';

/** Set at birth, so that all requests have one shape; a WeakMap in its place keeps the collector busy. */
const ID = Symbol('request id');
const SENDER = Symbol('sender');
const ARRIVING = Symbol('arriving');
interface Sender {
  pubkey: () => string;
  held: ((amount: Msat) => void) | undefined;
}
/** Bytes of bodies that are being read, over all connections of one server. */
export interface Arriving {
  bytes: number;
}
interface Identified {
  [ID]?: RequestId | undefined;
  [SENDER]?: Sender | undefined;
  [ARRIVING]?: Arriving;
}

/** Id of a request: made on first use, the same ever after. */
export function requestId(req: http.IncomingMessage & Identified): RequestId {
  return (req[ID] ??= newRequestId());
}

/** For requests whose id is on record before they begin. */
export function setRequestId(req: http.IncomingMessage & Identified, id: RequestId): void {
  req[ID] = id;
}

/**
 * Says whose request it is: a Nostr public key, 64 hex digits, that was verified here or is verified when asked for.
 * A property of this process, which no header can forge. `held` is told what is set aside, where it is a paid request.
 */
export function setSender(
  req: http.IncomingMessage & Identified,
  pubkey: () => string,
  held?: (amount: Msat) => void,
): void {
  req[SENDER] = { pubkey, held };
}

/** The public key that signed this request; undefined where none did. Throws what its verification throws. */
export function senderOf(req: http.IncomingMessage & Identified): string | undefined {
  return req[SENDER]?.pubkey();
}

/** What this request shares with all others of its server; undefined for one that came over no network. */
export const arrivingOf = (req: http.IncomingMessage & Identified): Arriving | undefined => req[ARRIVING];

/** Whoever wants to know what is set aside for this request. */
export const heldOf = (req: http.IncomingMessage & Identified): Sender['held'] => req[SENDER]?.held;

/**
 * @param admit decides before Express whether a request is well framed; if not, it has been answered.
 * @param direct handlers of POST by exact path, which are found without walking through Express's routes: these
 * would cost the busiest path a tenth of its time. Any other form of a path goes through the routes.
 */
export function createExpressServer(
  admit: (req: http.IncomingMessage, res: http.ServerResponse) => boolean = () => true,
  direct: ReadonlyMap<string | undefined, http.RequestListener> = new Map(),
): { app: Express; server: http.Server } {
  const app = express();
  const handle = app as http.RequestListener;
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('case sensitive routing', true);
  app.set('query parser', 'simple');
  const server = http.createServer(
    {
      ...bornWith(app),
      maxHeaderSize: LIMITS.http.headerBytesMax,
      headersTimeout: LIMITS.http.headersTimeoutMs,
      requestTimeout: LIMITS.http.requestTimeoutMs,
      connectionsCheckingInterval: LIMITS.http.connectionsCheckMs,
      keepAliveTimeout: LIMITS.http.keepAliveTimeoutMs,
      // Node answers these itself, without a body or an id; `admit` does it in our own words.
      requireHostHeader: false,
    },
    (req, res) => {
      if (!admit(req, res)) return;
      const handler = req.method === 'POST' ? direct.get(req.url) : undefined;
      (handler ?? handle)(req, res);
    },
  );
  // One more than allowed is enough to tell; Node would drop the rest without a word.
  server.maxHeadersCount = LIMITS.http.headersMax + 1;
  server.maxConnections = LIMITS.http.connectionsMax;
  return { app, server };
}

/**
 * On Node 20 and 22 Express changes the prototype of every request and response, which makes each later property
 * access slow: 2.8 times fewer requests per second. Objects that already have these prototypes are left alone.
 */
function bornWith(app: Express): Pick<http.ServerOptions, 'IncomingMessage' | 'ServerResponse'> {
  // Both are functions from before classes, so that they can be called on an object of another prototype.
  const incoming = http.IncomingMessage as unknown as (this: http.IncomingMessage, socket: Socket) => void;
  const outgoing = http.ServerResponse as unknown as (
    this: http.ServerResponse,
    req: http.IncomingMessage,
    options: unknown,
  ) => void;
  function Request(this: http.IncomingMessage & Identified, socket: Socket): void {
    incoming.call(this, socket);
    this[ID] = undefined;
    this[SENDER] = undefined;
    this[ARRIVING] = arriving;
  }
  const arriving: Arriving = { bytes: 0 };
  Request.prototype = app.request;
  function Response(this: http.ServerResponse, req: http.IncomingMessage, options: unknown): void {
    outgoing.call(this, req, options);
  }
  Response.prototype = app.response;
  // V8 makes room for the fields of an object by looking up this chain; without it each one is built up in steps.
  Object.setPrototypeOf(Request, http.IncomingMessage);
  Object.setPrototypeOf(Response, http.ServerResponse);
  return {
    IncomingMessage: Request as unknown as typeof http.IncomingMessage,
    ServerResponse: Response as unknown as typeof http.ServerResponse,
  };
}
