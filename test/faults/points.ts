/**
 * Fault points around the ports of a node: `ledger.hold.before`, `wallet.swap.after`, `upstream.chunk.after` …
 * The node itself knows nothing of them; whoever builds it for a test hands its ports through here.
 */

import type { Chunks } from '../../src/upstream/upstream.ts';

/** Called at every point. It may throw, end the process or do nothing. */
export type Point = (name: string) => void;

/** Calls that move money or tell somebody about it. Reading is not worth dying at. */
const POINTS = {
  ledger: [
    'hold',
    'settle',
    'release',
    'openReceive',
    'replanReceive',
    'completeReceive',
    'failOperation',
    'openSend',
    'replanSend',
    'completeSend',
    'sweepDust',
    'putValue',
    'openMint',
    'planMint',
    'completeMint',
    'openMelt',
    'completeMelt',
    'planReclaim',
    'completeReclaim',
  ],
  wallet: [
    'planReceive',
    'swap',
    'activeKeyset',
    'encodeToken',
    'mintQuote',
    'mintQuoteState',
    'mintTokens',
    'invoiceOf',
    'meltQuote',
    'melt',
  ],
  upstream: ['complete'],
  gateway: [
    'serve',
    'create',
    'topUp',
    'refund',
    'claimChange',
    'changeOf',
    'info',
    'invoice',
    'status',
    'refundTo',
  ],
} as const;

/** `durable`: the entry is on disk, and whoever waits for it does not know yet. */
const PHASES = ['before', 'after', 'durable'] as const;

export const pointNames = (): string[] => [
  ...Object.entries(POINTS).flatMap(([port, calls]) =>
    calls.flatMap((call) =>
      PHASES.filter((phase) => phase !== 'durable' || port === 'ledger').map(
        (phase) => `${port}.${call}.${phase}`,
      ),
    ),
  ),
  'upstream.chunk.after',
  'gateway.receipt.after',
];

/** Parts of a port whose calls are points as well. */
const PARTS = new Set(['accounts', 'lightning']);

type Call = (...args: unknown[]) => unknown;
type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/** The same port with points before and after each of its calls; objects inside it are treated alike. */
export function withPoints<Port extends object>(name: keyof typeof POINTS, port: Port, point: Point): Port {
  const wrapped: Fields = {};
  for (const [key, value] of Object.entries(port)) {
    // Looked up at each call: a ledger that was opened again has other verbs.
    const call: Call = (...args) => (port as Record<string, Call>)[key]?.(...args);
    if (typeof value === 'function')
      wrapped[key] = (POINTS[name] as readonly string[]).includes(key)
        ? around(`${name}.${key}`, call, point)
        : call;
    else wrapped[key] = PARTS.has(key) ? withPoints(name, value as object, point) : value;
  }
  return wrapped as Port;
}

function around(name: string, call: Call, point: Point): Call {
  return (...args) => {
    point(`${name}.before`);
    const result = call(...args);
    if (result instanceof Promise)
      return result.then((value: unknown) => {
        point(`${name}.after`);
        return watched(name, value, point);
      });
    point(`${name}.after`);
    if (!isFields(result) || !(result['durable'] instanceof Promise)) return result;
    const durable = result['durable'].then(() => point(`${name}.durable`));
    durable.catch(() => undefined); // As for the original: not everyone waits for it.
    return { ...result, durable };
  };
}

/** Answers live on after their call: their chunks and their receipt are points as well. */
function watched(name: string, answer: unknown, point: Point): unknown {
  if (name === 'upstream.complete' && isFields(answer)) {
    const chunks = answer['chunks'] as Chunks;
    return { ...answer, chunks: eachWithPoint(chunks, point) };
  }
  if (name === 'gateway.serve' && isFields(answer))
    void (answer['receipt'] as Promise<unknown>)
      .then(() => point('gateway.receipt.after'))
      .catch(() => undefined); // A receipt that fails is seen by whoever awaits it.
  return answer;
}

function eachWithPoint(chunks: Chunks, point: Point): Chunks {
  const take: Chunks['take'] = (use, failed) =>
    chunks.take((part) => {
      try {
        if (part.done !== true) point('upstream.chunk.after');
      } catch (error) {
        return failed(error);
      }
      return use(part);
    }, failed);
  const next = () =>
    take(
      (part) => part,
      (error) => Promise.reject(error as Error),
    );
  return { ...chunks, take, [Symbol.asyncIterator]: () => ({ next }) };
}
