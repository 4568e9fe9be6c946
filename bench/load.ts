/** Closed-loop load on bare TCP sockets: each connection asks again as soon as its answer is complete. */
import { connect } from 'node:net';

export interface Load {
  requests: number;
  errors: number;
  seconds: number;
  /** Latencies in ms, sorted. */
  latencies: number[];
}

/**
 * `stop`: end after so many seconds, or after so many requests in all. `spreadMs`: clients begin one after another
 * within this time, as those do who know nothing of each other; without it all begin at once and stay in step.
 */
export async function load(options: {
  port: number;
  body: string;
  headers?: Record<string, string>;
  connections: number;
  stop: { seconds: number } | { requests: number };
  spreadMs?: number;
}): Promise<Load> {
  const { port, body, headers = {}, connections, stop, spreadMs = 0 } = options;
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const request = Buffer.from(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n` +
      `${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  const latencies: number[] = [];
  let errors = 0;
  let started = 0;
  const begin = performance.now();
  const mayStart = (): boolean =>
    'requests' in stop ? started < stop.requests : performance.now() - begin < stop.seconds * 1000;

  const one = async (client: number): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, (client * spreadMs) / connections));
    return new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      let held = '';
      let sentAt = 0;
      const ask = (): void => {
        if (!mayStart()) return void socket.end();
        started += 1;
        held = '';
        sentAt = performance.now();
        socket.write(request);
      };
      socket.once('connect', ask);
      socket.on('data', (data) => {
        held = held === '' ? data.toString('latin1') : keepEnds(held, data);
        if (!isComplete(held)) return;
        if (!held.startsWith('HTTP/1.1 200')) errors += 1;
        latencies.push(performance.now() - sentAt);
        ask();
      });
      socket.once('error', () => (errors += 1));
      socket.once('close', () => resolve());
    });
  };
  await Promise.all(Array.from({ length: connections }, (_, client) => one(client)));
  const seconds = (performance.now() - begin) / 1000;
  return { requests: latencies.length, errors, seconds, latencies: latencies.sort((a, b) => a - b) };
}

/** Of a long stream only its head and its tail matter here. */
function keepEnds(held: string, data: Buffer): string {
  const joined = held + data.toString('latin1');
  const chunked = joined.length > 8_192 && /transfer-encoding: chunked/i.test(joined.slice(0, 2_048));
  return chunked ? joined.slice(0, 2_048) + joined.slice(-2_048) : joined;
}

function isComplete(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  if (head === -1) return false;
  const length = /content-length: (\d+)/i.exec(text.slice(0, head))?.[1];
  if (length !== undefined) return text.length >= head + 4 + Number(length);
  return text.endsWith('\r\n0\r\n\r\n');
}

export const percentile = (sorted: readonly number[], p: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? NaN;
export const median = (values: readonly number[]): number =>
  percentile(
    [...values].sort((a, b) => a - b),
    50,
  );
