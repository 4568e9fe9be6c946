/**
 * Interop: the payment story against software that this project did not write: the nutshell mint and the Python
 * openai SDK, in a virtual environment given by INTEROP_VENV. Prints `N passed, N failed`; skips with one line.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { silentLogger } from '../../src/base/log.ts';
import { loadConfig } from '../../src/config.ts';
import { createBuyer, walletInfo } from '../../src/demo/buyer.ts';
import { createTestModel } from '../../src/demo/model.ts';
import { createNode, initNode } from '../../src/node.ts';
import { MINT_CONTRACT } from '../contract/mint.ts';
import { createWallet } from '../../src/wallet/cashu.ts';
import type { Wallet } from '../../src/wallet/wallet.ts';
import { systemClock } from '../../src/base/time.ts';
import { type OutputPlan } from '../../src/base/proof.ts';

const run = promisify(execFile);
const venv = process.env['INTEROP_VENV'] ?? '';
const MODEL = 'demo/echo';
const INPUT_FEE_PPK = 100;

let passed = 0;
let failed = 0;
function check(what: string, truth: boolean): void {
  if (truth) passed += 1;
  else failed += 1;
  process.stdout.write(`${truth ? 'ok     ' : 'FAILED '} ${what}\n`);
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}

async function startMint(dir: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const port = await freePort();
  const child: ChildProcess = spawn(join(venv, 'bin/mint'), [], {
    cwd: dir,
    stdio: 'ignore',
    env: {
      PATH: process.env['PATH'],
      HOME: dir,
      MINT_PRIVATE_KEY: 'interop',
      MINT_BACKEND_BOLT11_SAT: 'FakeWallet',
      MINT_DATABASE: join(dir, 'mint-db'),
      MINT_LISTEN_HOST: '127.0.0.1',
      MINT_LISTEN_PORT: String(port),
      MINT_INPUT_FEE_PPK: String(INPUT_FEE_PPK),
      MINT_RATE_LIMIT: 'FALSE',
      FAKEWALLET_BRR: 'TRUE',
      FAKEWALLET_DELAY_INCOMING_PAYMENT: '0',
      FAKEWALLET_DELAY_OUTGOING_PAYMENT: '0',
      TOR: 'FALSE',
    },
  });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 240; tries++) {
    const up = await fetch(`${url}/v1/info`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (up) {
      const stop = async (): Promise<void> => {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        await ended;
      };
      return { url, stop };
    }
    if (child.exitCode !== null) throw new Error(`nutshell ended with code ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  child.kill('SIGKILL');
  throw new Error('nutshell did not start within a minute');
}

/** FakeWallet pays by itself, a moment later. */
async function paidSoon(wallet: Wallet, mint: string, quote: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await wallet.lightning.mintQuoteState(mint, quote)) === 'paid') return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The suite that the play-money mint passes in `npm test`; the mint pays its own invoices here. */
async function contract(mint: string): Promise<void> {
  const wallet = createWallet({
    mints: [{ url: mint, unit: 'sat', allowPrivate: true }],
    seed: randomBytes(64),
    clock: systemClock,
    log: silentLogger,
  });
  let counter = 0;
  const plan = (keyset: string, amounts: number[]): OutputPlan => {
    counter += amounts.length;
    return { keyset, counter: counter - amounts.length, amounts };
  };
  try {
    await wallet.start();
    for (const { name, run: behaves } of MINT_CONTRACT) {
      const why = await behaves({
        wallet,
        mint,
        plan,
        pay: (quote) => paidSoon(wallet, mint, quote.quote),
      }).then(
        () => '',
        (error: unknown) => `: ${String(error)}`,
      );
      check(`nutshell: ${name}${why}`, why === '');
    }
  } finally {
    await wallet.close();
  }
}

/** What a Python program of a buyer looks like; prints the text and the bill of two answers as JSON. */
const PYTHON = `
import json, sys
from openai import OpenAI
url, key, model = sys.argv[1:4]
client = OpenAI(base_url=url + "/v1", api_key=key)
said = [{"role": "user", "content": "Hello from Python"}]
whole = client.chat.completions.create(model=model, messages=said)
text, bill = "", None
for chunk in client.chat.completions.create(model=model, messages=said, stream=True):
    if chunk.choices and chunk.choices[0].delta.content:
        text += chunk.choices[0].delta.content
    if chunk.usage:
        bill = chunk.usage.model_extra["cost_msats"]
print(json.dumps({
    "whole": whole.choices[0].message.content, "whole_msats": whole.usage.model_extra["cost_msats"],
    "streamed": text, "streamed_msats": bill,
}))
`;

async function story(dir: string, mintUrl: string): Promise<void> {
  const model = await createTestModel({ models: [MODEL] });
  const port = await freePort();
  const file = join(dir, 'node.yaml');
  await writeFile(file, JSON.stringify(settings(mintUrl, port, model.url)), { mode: 0o600 });
  await initNode(await loadConfig({ file, env: {}, cwd: dir }));
  const node = createNode(await loadConfig({ file, env: {}, cwd: dir }), { log: silentLogger });
  await node.start();
  try {
    await pay(node.url, mintUrl);
    check('drift is 0 msat', node.totals().drift === 0);
  } finally {
    await node.stop();
    await model.close();
  }
}

async function pay(url: string, mintUrl: string): Promise<void> {
  const buyer = await createBuyer({ mintUrl });
  const token = await buyer.mint(1_000);
  const { api_key: key, balance } = await walletInfo(url, token);
  check(
    'a nutshell token becomes a key, less the mint fee',
    balance > 0 && balance <= 1_000_000 && balance % 1000 === 0,
  );

  const { stdout } = await run(join(venv, 'bin/python'), ['-c', PYTHON, url, key, MODEL], {
    timeout: 60_000,
  });
  const said = JSON.parse(stdout) as Record<string, string & number>;
  check('the Python SDK reads a whole answer', String(said['whole']).includes('Hello from Python'));
  check('the Python SDK reads a stream to its end', said['streamed'] === said['whole']);
  const spent = Number(said['whole_msats']) + Number(said['streamed_msats']);
  check(
    'the bills it read are the difference of the balance',
    (await walletInfo(url, key)).balance === balance - spent,
  );

  const once = await buyer.mint(200);
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-cashu': once },
    body: JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'once' }] }),
  });
  const change = await buyer.receive(answer.headers.get('x-cashu') ?? '');
  check(
    'change of an X-Cashu payment is worth its face at nutshell',
    answer.ok && change > 150 && change < 200,
  );

  const again = await fetch(`${url}/v1/wallet/info`, { headers: { authorization: `Bearer ${once}` } });
  check('a spent nutshell token opens no account', again.status >= 400);

  const refund = await fetch(`${url}/v1/wallet/refund`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
  });
  const { token: back, sats } = (await refund.json()) as { token: string; sats: string };
  const received = await buyer.receive(back);
  check('a refund is redeemed at nutshell', received > Number(sats) - 5 && received <= Number(sats));
}

const settings = (mintUrl: string, port: number, modelUrl: string) => ({
  public_urls: [`http://127.0.0.1:${port}`],
  listen: { host: '127.0.0.1', port },
  relays: [],
  mints: [{ url: mintUrl, unit: 'sat', allow_private: true }],
  upstreams: [
    {
      id: 'echo',
      base_url: `${modelUrl}/v1`,
      models: [
        {
          id: MODEL,
          input_usd_per_million: 5,
          output_usd_per_million: 15,
          context_length: 128_000,
          max_output_tokens: 4_096,
        },
      ],
    },
  ],
  pricing: { btc_usd: 100_000 },
});

async function main(): Promise<void> {
  if (venv === '' || !existsSync(join(venv, 'bin/mint'))) {
    process.stdout.write(
      'interop skipped: INTEROP_VENV has no nutshell mint (pip install cashu==0.20.3 openai)\n',
    );
    return;
  }
  const dir = await mkdtemp(join(tmpdir(), 'routstr-interop-'));
  try {
    const mint = await startMint(dir);
    try {
      await contract(mint.url);
      await story(dir, mint.url);
    } finally {
      await mint.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

await main();
