/** The wallet's side of the worker thread: asks for curve arithmetic and keeps a stock of blinded messages. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { CurveJob, CurveResult, CurveResults } from './curve-work.ts';
import type { CurveReply, CurveRequest, Lane } from './worker.ts';

export interface Curve {
  /** Rejects when the wallet was closed or the worker died; the caller asks again or reports "not known". */
  run: <T extends CurveJob['type']>(
    job: Extract<CurveJob, { type: T }>,
    lane: Lane,
  ) => Promise<CurveResults[T]>;
  /** B_ of outputs `counter … counter+count-1`, from stock where it has them, and refills the stock behind. */
  blind: (keyset: string, counter: number, count: number) => Promise<string[]>;
  /** Jobs that were handed over and not answered. */
  waiting: () => number;
  close: () => Promise<void>;
}

/** Small enough that an urgent job never waits longer than about 5 ms behind it. */
const REFILL = 8;

export function createCurve(options: { seed: Uint8Array; log: Logger }): Curve {
  const { seed, log } = options;
  const waiting = new Map<number, Caller>();
  let worker: Worker | undefined;
  let nextId = 1;
  let urgent = 0;
  let closed = false;

  /** Only work that somebody waits for keeps the process alive. */
  function countUrgent(lane: Lane, change: 1 | -1): void {
    if (lane === 2) return;
    urgent += change;
    if (urgent > 0) worker?.ref();
    else worker?.unref();
  }

  function startWorker(): Worker {
    const fresh = openWorker(seed);
    fresh.on('message', (reply: CurveReply) => {
      const caller = waiting.get(reply.id);
      if (caller === undefined) return;
      waiting.delete(reply.id);
      countUrgent(caller.lane, -1);
      if ('result' in reply) caller.resolve(reply.result);
      else caller.reject(new Error(`curve work failed: ${reply.failed}`));
    });
    const died = (cause: unknown): void => {
      if (worker !== fresh) return;
      worker = undefined;
      log.error('wallet.worker.died', { waiting: waiting.size, error: errorKind(cause) });
      rejectAll('the curve worker ended');
    };
    fresh.on('error', died);
    fresh.on('exit', died);
    fresh.unref(); // After the listeners, because those count as a reason to live.
    return fresh;
  }

  function rejectAll(why: string): void {
    for (const caller of waiting.values()) caller.reject(new Error(why));
    waiting.clear();
    urgent = 0;
  }

  async function run<T extends CurveJob['type']>(
    job: Extract<CurveJob, { type: T }>,
    lane: Lane,
  ): Promise<CurveResults[T]> {
    if (closed) throw new Error('the wallet is closed');
    worker ??= startWorker();
    const port = worker;
    const request: CurveRequest = { id: nextId++, lane, job };
    return new Promise((resolve, reject) => {
      // The result of a job has the type that its name maps to; the worker is our own code.
      waiting.set(request.id, { lane, resolve: resolve as (result: CurveResult) => void, reject });
      countUrgent(lane, 1);
      port.postMessage(request);
    });
  }

  const stock = createStock((keyset, counter) => run({ type: 'blind', keyset, counter, count: REFILL }, 2));

  return {
    run,
    waiting: () => waiting.size,
    blind: async (keyset, counter, count) => {
      const known = stock.take(keyset, counter, count);
      const blinded = known ?? (await run({ type: 'blind', keyset, counter, count }, 0));
      stock.refill(keyset, counter + count);
      return blinded;
    },
    close: async () => {
      closed = true;
      const last = worker;
      worker = undefined;
      rejectAll('the wallet is closed');
      await last?.terminate();
    },
  };
}

interface Caller {
  lane: Lane;
  resolve: (result: CurveResult) => void;
  reject: (error: Error) => void;
}

/** Blinded messages made ahead. Counters of a keyset are handed out in order, so the next ones are known. */
function createStock(make: (keyset: string, counter: number) => Promise<string[]>) {
  const keysets = new Map<string, { ready: Map<number, string>; madeTo: number }>();
  return {
    /** All or nothing. They stay in stock until newer ones push them out, so that a repeated request finds them. */
    take: (keyset: string, counter: number, count: number): string[] | undefined => {
      const ready = keysets.get(keyset)?.ready;
      const found = Array.from({ length: count }, (_, i) => ready?.get(counter + i));
      return found.every((B_) => B_ !== undefined) ? found : undefined;
    },
    refill: (keyset: string, next: number): void => {
      const entry = keysets.get(keyset) ?? { ready: new Map<number, string>(), madeTo: next };
      keysets.set(keyset, entry);
      const { ready } = entry;
      if (entry.madeTo < next) entry.madeTo = next;
      while (entry.madeTo < next + LIMITS.mint.blanksAhead) {
        const first = entry.madeTo;
        entry.madeTo += REFILL;
        make(keyset, first).then(
          (made) => {
            for (const [i, B_] of made.entries()) ready.set(first + i, B_);
            const oldest = [...ready.keys()].slice(0, Math.max(0, ready.size - 2 * LIMITS.mint.blanksAhead));
            for (const counter of oldest) ready.delete(counter);
          },
          () => undefined, // Stock that was not made is made on demand.
        );
      }
    },
  };
}

/**
 * The worker runs beside this file: as compiled JavaScript, or straight from TypeScript in development. There it
 * needs tsx, which has to be registered inside the thread: Node 20 does not run `--import` loaders in workers.
 */
function openWorker(seed: Uint8Array): Worker {
  if (!import.meta.url.endsWith('.ts')) {
    return new Worker(new URL('./worker.js', import.meta.url), { workerData: { seed } });
  }
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx'));
  const loader = new URL('./esm/api/index.mjs', tsx).href;
  const entry = new URL('./worker.ts', import.meta.url).href;
  return new Worker(DEVELOPMENT_ENTRY, { eval: true, workerData: { seed, loader, entry } });
}

const DEVELOPMENT_ENTRY = `
  const { workerData } = require('node:worker_threads');
  import(workerData.loader).then(({ register }) => {
    register();
    return import(workerData.entry);
  });
`;
