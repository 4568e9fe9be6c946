/**
 * `npm run bench`: a paid request beside a bare passthrough and a plain Express proxy, interleaved in one run.
 *
 * Machines differ and neighbours interfere, so only ratios within the run count. `paid_json_vs_raw` compares what one
 * core can carry: CPU time of the raw proxy per request over that of the paid one (higher is better).
 * `paid_sse_vs_raw` is CPU time per streamed chunk, paid over raw (lower is better). `--wraps` measures gift wraps only.
 */
import { type Load, load, median, percentile } from './load.ts';
import { type PaidNode, startPaidNode } from './paid-node.ts';
import { type Running, freePort, pinSelf, pinned, startProcess, stopAll } from './processes.ts';
import { CHUNKS } from './upstream.ts';
import { type WrapRates, measureWraps } from './wraps.ts';

const args = process.argv.slice(2);
const asJson = args.includes('--json');
const rounds = Number(args[args.indexOf('--rounds') + 1]) || 5;
const seconds = Number(args[args.indexOf('--seconds') + 1]) || 3;

interface Sample {
  rps: number;
  cpu: number;
  p50: number;
  p99: number;
  errors: number;
}
type Variant = 'raw' | 'paid' | 'express';

const prompt = 'word '.repeat(190).trim();
const body = (stream: boolean): string =>
  JSON.stringify({
    model: 'bench/model',
    messages: [{ role: 'user', content: prompt }],
    ...(stream ? { stream } : {}),
  });

const say = (line: string): void => {
  if (!asJson) process.stdout.write(`${line}\n`);
};

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

async function scenario(
  name: string,
  targets: Partial<Record<Variant, Running>>,
  key: string,
  options: Parameters<typeof measure>[2] & { unit: string; rounds: number },
): Promise<Partial<Record<Variant, Sample[]>>> {
  const samples: Partial<Record<Variant, Sample[]>> = {};
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

const cpuOf = (samples: Sample[] | undefined): number => median((samples ?? []).map((sample) => sample.cpu));
const rpsOf = (samples: Sample[] | undefined): number => median((samples ?? []).map((sample) => sample.rps));
const p50Of = (samples: Sample[] | undefined): number => median((samples ?? []).map((sample) => sample.p50));

async function proxies(upstreamPort: number): Promise<{ raw: Running; express: Running; paid: PaidNode }> {
  const start = async (kind: string): Promise<Running> => {
    const port = await freePort();
    return startProcess('bench/server.js', [kind, String(port), String(upstreamPort)], { port, core: 0 });
  };
  return {
    raw: await start('raw'),
    express: await start('express'),
    paid: await startPaidNode(upstreamPort),
  };
}

async function upstream(delayMs: number): Promise<Running> {
  const port = await freePort();
  return startProcess('bench/server.js', ['upstream', String(port), '0', String(delayMs)], { port, core: 1 });
}

/** Every bill of the run must be found in the account: a fast ledger that loses count is worth nothing. */
async function checkBooks(paid: PaidNode): Promise<number> {
  const { balance, reserved, total_spent } = await paid.account();
  return reserved === 0 && balance + total_spent === 1_000_000_000 ? 0 : 1;
}

/** Per second of CPU time; `stock` is nostr-tools on the same events. */
async function wraps(): Promise<WrapRates> {
  const rates = await measureWraps();
  say('\nGift wraps of 1 kB per CPU-second');
  say(`  received ${rates.received}  (nostr-tools ${rates.stockReceived})`);
  say(`  sent     ${rates.sent}  (nostr-tools ${rates.stockSent}; frames of one stream ${rates.streamed})`);
  return rates;
}

async function main(): Promise<void> {
  pinSelf(1);
  if (args.includes('--wraps')) {
    process.stdout.write(
      `${JSON.stringify({ wraps_per_cpu_second: await wraps() }, null, asJson ? 0 : 2)}\n`,
    );
    return;
  }
  say(
    `node ${process.version}, ${rounds} rounds, ${pinned ? 'proxies on core 0, load on core 1' : 'not pinned'}`,
  );
  const fast = await upstream(0);
  const targets = await proxies(fast.port);
  const { raw, paid, express } = targets;
  const json = await scenario('JSON, 1 kB in and out, 64 connections', targets, paid.key, {
    stream: false,
    connections: 64,
    stop: { seconds },
    unit: 'request',
    rounds,
  });
  const sse = await scenario(
    `SSE, 200 streams of ${CHUNKS} chunks, one each 20 ms`,
    { raw, paid },
    paid.key,
    {
      stream: true,
      connections: 200,
      stop: { requests: 400 },
      unit: 'chunk',
      rounds: Math.min(rounds, 3),
    },
  );
  const bookErrors = await checkBooks(paid);
  await Promise.all([paid.close(), raw.stop(), express.stop(), fast.stop()]);

  const slow = await upstream(60);
  const slowTargets = await proxies(slow.port);
  const slowly = (name: string, spreadMs: number) =>
    scenario(
      `JSON, upstream takes 60 ms, 100 clients ${name}`,
      { raw: slowTargets.raw, paid: slowTargets.paid },
      slowTargets.paid.key,
      { stream: false, connections: 100, stop: { seconds }, spreadMs, unit: 'request', rounds },
    );
  const delayed = await slowly('of their own', 60);
  // Their requests come in one burst, and whoever is last waits for the work of all.
  const inStep = await slowly('in step', 0);
  const slowBookErrors = await checkBooks(slowTargets.paid);
  await Promise.all([
    slowTargets.paid.close(),
    slowTargets.raw.stop(),
    slowTargets.express.stop(),
    slow.stop(),
  ]);

  const wrapRates = await wraps();
  const errors = [json, sse, delayed, inStep]
    .flatMap((samples) => [...(samples.raw ?? []), ...(samples.paid ?? [])])
    .reduce((sum, sample) => sum + sample.errors, bookErrors + slowBookErrors);
  const round = (value: number): number => Math.round(value * 1000) / 1000;
  const result = {
    ratios: {
      paid_json_vs_raw: round(cpuOf(json.raw) / cpuOf(json.paid)),
      paid_json_vs_raw_rps: round(rpsOf(json.paid) / rpsOf(json.raw)),
      paid_json_vs_express_fetch: round(cpuOf(json.express) / cpuOf(json.paid)),
      paid_sse_vs_raw: round(cpuOf(sse.paid) / cpuOf(sse.raw)),
    },
    added_p50_ms: round(p50Of(delayed.paid) - p50Of(delayed.raw)),
    added_p50_in_step_ms: round(p50Of(inStep.paid) - p50Of(inStep.raw)),
    cpu_micros: {
      json: {
        raw: round(cpuOf(json.raw)),
        paid: round(cpuOf(json.paid)),
        express_fetch: round(cpuOf(json.express)),
      },
      sse_chunk: { raw: round(cpuOf(sse.raw)), paid: round(cpuOf(sse.paid)) },
    },
    rps: {
      raw: round(rpsOf(json.raw)),
      paid: round(rpsOf(json.paid)),
      express_fetch: round(rpsOf(json.express)),
    },
    wraps_per_cpu_second: wrapRates,
    errors,
    node: process.version,
    rounds,
    pinned,
  };
  say('');
  process.stdout.write(`${JSON.stringify(result, null, asJson ? 0 : 2)}\n`);
  process.exitCode = errors === 0 ? 0 : 1;
}

main()
  .catch((error: unknown) => {
    process.stderr.write(`bench failed: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  })
  .finally(stopAll);
