/** One scenario: every variant measured in turn, round after round, and what the rounds say when compared one by one. */
import { type Load, load, median, percentile } from './load.ts';
import type { Running } from './processes.ts';
import { CHUNKS } from './upstream.ts';

export interface Sample {
  rps: number;
  cpu: number;
  p50: number;
  p99: number;
  errors: number;
}
export type Variant = 'raw' | 'paid' | 'express';
/** Of each variant that was measured, one per round. */
export type Samples = Partial<Record<Variant, Sample[]>>;

const prompt = 'word '.repeat(190).trim();
const body = (stream: boolean): string =>
  JSON.stringify({
    model: 'bench/model',
    messages: [{ role: 'user', content: prompt }],
    ...(stream ? { stream } : {}),
  });

async function measure(
  target: Running,
  key: string | undefined,
  options: {
    stream: boolean;
    connections: number;
    stop: { seconds: number } | { requests: number };
    spreadMs?: number;
  },
): Promise<Sample> {
  const before = target.cpuMicros();
  const result: Load = await load({
    port: target.port,
    body: body(options.stream),
    connections: options.connections,
    stop: options.stop,
    spreadMs: options.spreadMs ?? 0,
    ...(key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } }),
  });
  const units = result.requests * (options.stream ? CHUNKS : 1);
  return {
    rps: result.requests / result.seconds,
    cpu: (target.cpuMicros() - before) / units,
    p50: percentile(result.latencies, 50),
    p99: percentile(result.latencies, 99),
    errors: result.errors,
  };
}

export async function scenario(
  name: string,
  targets: Partial<Record<Variant, Running>>,
  key: string,
  say: (line: string) => void,
  options: Parameters<typeof measure>[2] & { unit: string; rounds: number },
): Promise<Samples> {
  const samples: Samples = {};
  const entries = Object.entries(targets) as [Variant, Running][];
  for (const [variant, target] of entries) {
    await measure(target, variant === 'paid' ? key : undefined, {
      ...options,
      stop: warmUp(options),
    });
  }
  for (let round = 0; round < options.rounds; round++) {
    // Who goes first changes from round to round, so that a slow drift of the machine favours nobody.
    for (const [variant, target] of round % 2 === 0 ? entries : [...entries].reverse()) {
      const sample = await measure(target, variant === 'paid' ? key : undefined, options);
      (samples[variant] ??= []).push(sample);
    }
  }
  say(`\n${name}`);
  say(
    `  ${'variant'.padEnd(10)}${'req/s'.padStart(9)}${`CPU µs/${options.unit} (min-max)`.padStart(30)}${'p50 ms'.padStart(9)}${'p99 ms'.padStart(9)}${'errors'.padStart(8)}`,
  );
  for (const [variant, list] of Object.entries(samples)) {
    const cpu = list.map((sample) => sample.cpu);
    const range = `${median(cpu).toFixed(1)} (${Math.min(...cpu).toFixed(1)}-${Math.max(...cpu).toFixed(1)})`;
    say(
      `  ${variant.padEnd(10)}${median(list.map((s) => s.rps))
        .toFixed(0)
        .padStart(9)}${range.padStart(30)}` +
        `${median(list.map((s) => s.p50))
          .toFixed(2)
          .padStart(9)}${median(list.map((s) => s.p99))
          .toFixed(2)
          .padStart(9)}` +
        String(list.reduce((sum, s) => sum + s.errors, 0)).padStart(8),
    );
  }
  return samples;
}

/** Long enough for the compiler to have seen everything; a server runs for weeks, not for seconds. */
const warmUp = (options: { stream: boolean; connections: number }) =>
  options.stream ? { requests: 2 * options.connections } : { seconds: 10 };

export const cpuOf = (samples: Sample[] | undefined): number =>
  median((samples ?? []).map((sample) => sample.cpu));
export const rpsOf = (samples: Sample[] | undefined): number =>
  median((samples ?? []).map((sample) => sample.rps));

/** Median of what `compare` makes of the two samples of each round. */
export function paired(
  one: Sample[] | undefined,
  other: Sample[] | undefined,
  compare: (a: Sample, b: Sample) => number,
): number {
  const compared = (one ?? []).flatMap((a, i) => {
    const b = other?.[i];
    return b === undefined ? [] : [compare(a, b)];
  });
  return median(compared);
}
export const cpuRatio = (a: Sample[] | undefined, b: Sample[] | undefined): number =>
  paired(a, b, (x, y) => x.cpu / y.cpu);
export const addedP50 = ({ paid, raw }: Samples): number => paired(paid, raw, (x, y) => x.p50 - y.p50);
