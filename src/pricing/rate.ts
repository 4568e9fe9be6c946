/** Exchange rate: msat per USD, fixed by the operator or the median of three exchanges. */
import type { Agent } from 'undici';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';

export interface RateSource {
  /** Whole msat for one USD; undefined before the first answer and when the last one is too old to sell by. */
  msatPerUsd: () => number | undefined;
  /** Begins to ask; returns at once. */
  start: () => void;
  close: () => Promise<void>;
  /** Called after every change of the rate. Returns the way to stop it. */
  onChange: (listener: () => void) => () => void;
}

/** Base URLs of the exchanges; tests put servers of their own here. */
export interface RateUrls {
  kraken: string;
  coinbase: string;
  bitstamp: string;
}

const PUBLIC_URLS: RateUrls = {
  kraken: 'https://api.kraken.com',
  coinbase: 'https://api.coinbase.com',
  bitstamp: 'https://www.bitstamp.net',
};

export function createRateSource(options: {
  btcUsd: number | 'auto';
  clock: Clock;
  log: Logger;
  urls?: RateUrls;
}): RateSource {
  return options.btcUsd === 'auto' ? createMarketRate(options) : createFixedRate(options.btcUsd);
}

const MSAT_PER_BTC = 100_000_000_000;
/** Rounded up: the rate never favours the client by a fraction of a msat. */
const fromBtcUsd = (usdPerBtc: number): number => Math.ceil(MSAT_PER_BTC / usdPerBtc);

function createFixedRate(usdPerBtc: number): RateSource {
  const rate = fromBtcUsd(usdPerBtc);
  return {
    msatPerUsd: () => rate,
    start: () => undefined,
    close: async () => undefined,
    onChange: () => () => undefined,
  };
}

function createMarketRate(options: { clock: Clock; log: Logger; urls?: RateUrls }): RateSource {
  const { clock, log } = options;
  const urls = options.urls ?? PUBLIC_URLS;
  const stop = new AbortController();
  const listeners = new Set<() => void>();
  let latest: { rate: number; at: number } | undefined;
  let running: Promise<void> | undefined;

  async function refresh(agent: Agent): Promise<boolean> {
    const quotes = await Promise.all(
      EXCHANGES.map((exchange) =>
        ask(exchange, urls, agent, stop.signal).catch((error: unknown) => {
          if (!stop.signal.aborted) {
            log.warn('pricing.rate.unanswered', { exchange: exchange.name, kind: errorKind(error) });
          }
          return undefined;
        }),
      ),
    );
    const usdPerBtc = agreed(quotes.filter((quote) => quote !== undefined));
    if (usdPerBtc === undefined || stop.signal.aborted) return false;
    const before = latest?.rate;
    latest = { rate: fromBtcUsd(usdPerBtc), at: clock.monotonic() };
    if (latest.rate !== before) for (const listener of listeners) listener();
    return true;
  }

  async function run(): Promise<void> {
    // Loaded here: a node with a fixed rate never asks.
    const { Agent } = await import('undici');
    const agent = new Agent({ connect: { timeout: LIMITS.rate.timeoutMs } });
    while (!stop.signal.aborted) {
      const answered = await refresh(agent);
      await clock.sleep(answered ? LIMITS.rate.refreshMs : LIMITS.rate.retryMs, stop.signal);
    }
    await agent.destroy();
  }

  return {
    msatPerUsd: () =>
      latest !== undefined && clock.monotonic() - latest.at <= LIMITS.rate.staleMs ? latest.rate : undefined,
    start: () => {
      running ??= run();
    },
    close: async () => {
      stop.abort();
      await running;
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * Median of what at least one exchange says. A quote further than 5 % from the median is dropped; if then none is
 * left, the exchanges contradict each other and nobody is believed.
 */
export function agreed(quotes: readonly number[]): number | undefined {
  const middle = median(quotes);
  if (middle === undefined) return undefined;
  return median(quotes.filter((quote) => Math.abs(quote - middle) <= middle * LIMITS.rate.outlierFraction));
}

function median(numbers: readonly number[]): number | undefined {
  const sorted = [...numbers].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  return upper === undefined || lower === undefined ? undefined : (upper + lower) / 2;
}

interface Exchange {
  name: keyof RateUrls;
  path: string;
  /** Where the last price stands in the answer. */
  at: readonly (string | number)[];
}

const EXCHANGES: readonly Exchange[] = [
  { name: 'kraken', path: '/0/public/Ticker?pair=XBTUSD', at: ['result', 'XXBTZUSD', 'c', 0] },
  { name: 'coinbase', path: '/v2/prices/BTC-USD/spot', at: ['data', 'amount'] },
  { name: 'bitstamp', path: '/api/v2/ticker/btcusd/', at: ['last'] },
];

async function ask(exchange: Exchange, urls: RateUrls, agent: Agent, stop: AbortSignal): Promise<number> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(LIMITS.rate.timeoutMs)]);
  const answer = await agent.request({
    origin: urls[exchange.name],
    path: exchange.path,
    method: 'GET',
    signal,
    headers: { accept: 'application/json', 'user-agent': 'routstr-node' },
  });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LIMITS.rate.answerBytesMax) throw new Error('answer too large');
    chunks.push(chunk);
  }
  if (answer.statusCode !== 200) throw new Error('unexpected status');
  return readQuote(JSON.parse(Buffer.concat(chunks).toString('utf8')), exchange.at);
}

function readQuote(answer: unknown, at: readonly (string | number)[]): number {
  let value = answer;
  for (const key of at) {
    if (typeof value !== 'object' || value === null) throw new Error('answer of another shape');
    value = (value as Record<string | number, unknown>)[key];
  }
  const usd = typeof value === 'string' || typeof value === 'number' ? Number(value) : NaN;
  // Written so that NaN fails as well.
  if (!(usd >= LIMITS.rate.usdMin && usd <= LIMITS.rate.usdMax)) throw new Error('price out of bounds');
  return usd;
}
