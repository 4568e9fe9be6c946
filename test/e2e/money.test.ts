import { rm, writeFile } from 'node:fs/promises';
import { type RequestListener, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createTestMint } from '../../src/demo/mint.ts';
import { createBuyer } from '../../src/demo/buyer.ts';
import { initNode } from '../../src/node.ts';
import { seedFile } from '../../src/node-data.ts';
import { createMnemonic } from '../../src/wallet/seed.ts';
import { MODEL, bearer, chat, events, testWorld, until } from './support.ts';

async function upstreamOf(answer: RequestListener): Promise<Record<string, unknown>> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const model = {
    id: MODEL,
    input_usd_per_million: 5,
    output_usd_per_million: 15,
    context_length: 128_000,
    max_output_tokens: 4_096,
  };
  return {
    id: 'raw',
    base_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    models: [model],
  };
}

test('an event without end breaks the stream off, charges what was delivered, and leaves no hold behind', async () => {
  const raw = await upstreamOf((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(
      'data: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"}}]}\n\n',
    );
    const more = setInterval(() => response.write('x'.repeat(300_000)), 20);
    response.on('close', () => clearInterval(more));
  });
  const world = await testWorld({ settings: { upstreams: [raw], limits: { drain_seconds: 1 } } });
  onTestFinished(() => world.close());
  const key = await world.key(100);
  const { text } = await world.post('/v1/chat/completions', chat('go', { stream: true }), bearer(key));
  const chunks = events(text);
  expect(chunks.some((chunk) => chunk.error !== undefined)).toBe(true);
  expect(chunks.at(-1).usage.cost_msats).toBeGreaterThan(0);
  const info = (await world.get('/v1/wallet/info', bearer(key))).json;
  expect(info).toMatchObject({ reserved: 0, balance: 100_000 - chunks.at(-1).usage.cost_msats });

  const gone = new AbortController();
  const left = await fetch(`${world.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(key) },
    body: JSON.stringify(chat('go', { stream: true })),
    signal: gone.signal,
  });
  await left.body?.getReader().read();
  gone.abort();
  await until('the hold is settled', () => world.node.totals().liabilities['held'] === 0);
  expect(world.node.totals().drift).toBe(0);
});

test('an empty key gets nothing for free, however cheap the request', async () => {
  const world = await testWorld({ settings: { pricing: { btc_usd: 10_000_000 } } });
  onTestFinished(() => world.close());
  const key = await world.key(1);
  await world.post('/v1/wallet/refund', '', bearer(key));
  const answer = await world.post('/v1/chat/completions', chat('hi', { max_tokens: 5 }), bearer(key));
  expect([answer.status, answer.json.error.code]).toEqual([402, 'insufficient_balance']);
});

test('money of two mints on one key comes back whole, in two tokens', async () => {
  const [first, second] = [await createTestMint(), await createTestMint()];
  onTestFinished(async () => {
    await Promise.all([first.close(), second.close()]);
  });
  const mints = [first, second].map(({ url, unit }) => ({ url, unit, allow_private: true }));
  const world = await testWorld({ settings: { mints } });
  onTestFinished(() => world.close());
  const created = await world.post('/v1/balance/create', { cashu_token: await first.issue(10) });
  const key = created.json.api_key as string;
  await world.post('/v1/balance/topup', { cashu_token: await second.issue(1_000) }, bearer(key));
  let back = 0;
  for (let part = 0; part < 2; part++) {
    const { json } = await world.post('/v1/wallet/refund', '', bearer(key));
    const buyer = await createBuyer({ mintUrl: json.mint as string });
    back += await buyer.receive(json.token as string);
  }
  expect(back).toBe(1_010);
  expect(await world.balance(key)).toBe(0);
  expect(world.node.totals().drift).toBe(0);
});

test('a ledger whose seed is lost or another is refused, and no new seed is made for it', async () => {
  const world = await testWorld();
  onTestFinished(() => world.close());
  await world.key(100);
  await world.node.stop();
  await rm(seedFile(world.config));
  await expect(initNode(world.config)).rejects.toMatchObject({ exitCode: 78 });
  await expect(world.reopen().start()).rejects.toMatchObject({ exitCode: 78 });
  await writeFile(seedFile(world.config), `${createMnemonic()}\n`);
  await expect(world.reopen().start()).rejects.toMatchObject({ exitCode: 78 });
});

test('a key with a limit below the full price gets a shorter answer, and at its limit the exact refusal', async () => {
  const world = await testWorld({ mint: { dleq: false } });
  onTestFinished(() => world.close());
  const token = await world.mint.issue(500);
  const created = await world.post('/v1/balance/create', { cashu_token: token, balance_limit: 300 });
  const key = created.json.api_key as string;
  const first = await world.post('/v1/chat/completions', chat('limited'), bearer(key));
  expect(first.status).toBe(200);
  let last = first;
  for (let i = 0; i < 30 && last.status === 200; i++)
    last = await world.post('/v1/chat/completions', chat(`limited ${i}`), bearer(key));
  expect([last.status, last.json.error.code]).toEqual([402, 'balance_limit_exceeded']);
  const info = (await world.get('/v1/wallet/info', bearer(key))).json;
  expect(info.total_spent).toBeLessThanOrEqual(300);
  expect(info.balance).toBe(500_000 - (info.total_spent as number));
});
