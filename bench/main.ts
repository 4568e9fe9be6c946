/**
 * `npm run bench`: a paid request beside a bare passthrough and a plain Express proxy, interleaved in one run.
 *
 * Machines differ and neighbours interfere, so only ratios within the run count, each the median of what the rounds
 * give: within a round the machine is nearly the same for all. `paid_json_vs_raw` compares what one core can carry:
 * CPU time of the raw proxy per request over that of the paid one (higher is better). `paid_sse_vs_raw` is CPU time
 * per streamed chunk, paid over raw (lower is better). `--wraps` measures gift wraps only.
 */
import { type PaidNode, startPaidNode } from './paid-node.ts';
import { type Running, freePort, pinSelf, pinned, startProcess, stopAll } from './processes.ts';
import { type Samples, addedP50, cpuOf, cpuRatio, paired, rpsOf, scenario } from './scenario.ts';
import { CHUNKS } from './upstream.ts';
import { type WrapRates, measureWraps } from './wraps.ts';

const args = process.argv.slice(2);
const asJson = args.includes('--json');
const rounds = Number(args[args.indexOf('--rounds') + 1]) || 9;
const seconds = Number(args[args.indexOf('--seconds') + 1]) || 2;

const say = (line: string): void => {
  if (!asJson) process.stdout.write(`${line}\n`);
};

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
  say('\nGift wraps of 1 kB per CPU-second (goal 400 each), and nostr-tools in turns with it');
  say(`  received ${rates.received}  (${rates.stockReceived}; ${rates.receivedOverStock} times as many)`);
  say(
    `  sent     ${rates.sent}  (${rates.stockSent}; ${rates.sentOverStock} times as many), a new key for each`,
  );
  say(`  streamed ${rates.streamed}, one key for all`);
  return rates;
}

/** Milliseconds that are added, and the part of its core that the raw proxy alone keeps busy at this load. */
const addedAt = (samples: Samples): { ms: number; raw_core_share: number } => ({
  ms: round(addedP50(samples)),
  raw_core_share: round((rpsOf(samples.raw) * cpuOf(samples.raw)) / 1e6),
});

const round = (value: number): number => Math.round(value * 1000) / 1000;

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
  const json = await scenario('JSON, 1 kB in and out, 64 connections', targets, paid.key, say, {
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
    say,
    {
      stream: true,
      connections: 200,
      stop: { requests: 400 },
      unit: 'chunk',
      rounds,
    },
  );
  const bookErrors = await checkBooks(paid);
  await Promise.all([paid.close(), raw.stop(), express.stop(), fast.stop()]);

  const slow = await upstream(60);
  const slowTargets = await proxies(slow.port);
  const slowly = (clients: number, name: string, spreadMs: number) =>
    scenario(
      `JSON, upstream takes 60 ms, ${clients} clients ${name}`,
      { raw: slowTargets.raw, paid: slowTargets.paid },
      slowTargets.paid.key,
      say,
      { stream: false, connections: clients, stop: { seconds }, spreadMs, unit: 'request', rounds },
    );
  const delayed = await slowly(100, 'of their own', 60);
  // Waiting grows with what the core has to do already, so fewer clients tell more about a machine that is slow.
  const third = await slowly(33, 'of their own', 60);
  const few = await slowly(15, 'of their own', 60);
  // Their requests come in one burst, and whoever is last waits for the work of all.
  const inStep = await slowly(100, 'in step', 0);
  const slowBookErrors = await checkBooks(slowTargets.paid);
  await Promise.all([
    slowTargets.paid.close(),
    slowTargets.raw.stop(),
    slowTargets.express.stop(),
    slow.stop(),
  ]);

  const wrapRates = await wraps();
  const errors = [json, sse, delayed, third, few, inStep]
    .flatMap((samples) => [...(samples.raw ?? []), ...(samples.paid ?? [])])
    .reduce((sum, sample) => sum + sample.errors, bookErrors + slowBookErrors);
  const result = {
    ratios: {
      paid_json_vs_raw: round(cpuRatio(json.raw, json.paid)),
      paid_json_vs_raw_rps: round(paired(json.paid, json.raw, (a, b) => a.rps / b.rps)),
      paid_json_vs_express_fetch: round(cpuRatio(json.express, json.paid)),
      paid_sse_vs_raw: round(cpuRatio(sse.paid, sse.raw)),
    },
    added_p50_ms: round(addedP50(delayed)),
    added_p50_in_step_ms: round(addedP50(inStep)),
    added_p50_by_clients: {
      15: addedAt(few),
      33: addedAt(third),
      100: addedAt(delayed),
    },
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
