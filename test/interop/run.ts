/**
 * Interop: software that this project did not write. The contract of a mint runs against nutshell (in a virtual
 * environment given by INTEROP_VENV) and cdk-mintd (CDK_MINTD, or on PATH); the payment story against nutshell and the
 * Python openai SDK. Prints `N passed, N failed`, and one line for each mint that is not installed.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { silentLogger } from '../../src/base/log.ts';
import { loadConfig } from '../../src/config.ts';
import { createBuyer, walletInfo } from '../../src/demo/buyer.ts';
import { createTestModel } from '../../src/demo/model.ts';
import { createNode, initNode } from '../../src/node.ts';
import { MINT_CONTRACT } from '../contract/mint.ts';
import { MODEL, freePort, nodeSettings } from '../node-kit.ts';
import { type RealMint, installedMints, startCdk, startNutshell } from './mints.ts';
import { createWallet } from '../../src/wallet/cashu.ts';
import type { Wallet } from '../../src/wallet/wallet.ts';
import { systemClock } from '../../src/base/time.ts';
import { type OutputPlan } from '../../src/base/proof.ts';

const run = promisify(execFile);
const venv = process.env['INTEROP_VENV'] ?? '';

let passed = 0;
let failed = 0;
function check(what: string, truth: boolean): void {
  if (truth) passed += 1;
  else failed += 1;
  process.stdout.write(`${truth ? 'ok     ' : 'FAILED '} ${what}\n`);
}

/** Mints with a fake wallet pay their own invoices, a moment later. */
async function paidSoon(wallet: Wallet, mint: string, quote: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await wallet.lightning.mintQuoteState(mint, quote)) === 'paid') return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The suite that the play-money mint passes in `npm test`; the mint pays its own invoices here. */
async function contract({ name: who, url: mint }: RealMint): Promise<void> {
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
      check(`${who}: ${name}${why}`, why === '');
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
  const settings = nodeSettings({ port, mint: mintUrl, model: model.url });
  await writeFile(file, JSON.stringify(settings), { mode: 0o600 });
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

/** A mint in a directory of its own, which ends with the work. */
async function withMint(
  start: (dir: string) => Promise<RealMint>,
  work: (mint: RealMint, dir: string) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'routstr-interop-'));
  try {
    const mint = await start(dir);
    await work(mint, dir).finally(() => mint.stop());
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { nutshell, cdk, skipped } = installedMints();
  for (const line of skipped) process.stdout.write(`${line}\n`);
  if (nutshell !== undefined)
    await withMint(
      (dir) => startNutshell(nutshell, dir),
      async (mint, dir) => {
        await contract(mint);
        await story(dir, mint.url);
      },
    );
  if (cdk !== undefined) await withMint((dir) => startCdk(cdk, dir), contract);
  if (nutshell === undefined && cdk === undefined) return;
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

await main();
