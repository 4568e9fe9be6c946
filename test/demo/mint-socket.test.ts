/** The WebSocket of the play-money mint, heard with the client of cashu-ts, which this project did not write. */
import { Wallet, injectWebSocketImpl } from '@cashu/cashu-ts';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { createTestMint } from '../../src/demo/mint.ts';
import { until } from '../wallet/harness.ts';

async function buyerOf(options: Parameters<typeof createTestMint>[0]) {
  injectWebSocketImpl(WebSocket as unknown as Parameters<typeof injectWebSocketImpl>[0]);
  const mint = await createTestMint({ dleq: false, ...options });
  onTestFinished(() => mint.close());
  const wallet = new Wallet(mint.url, { unit: mint.unit });
  await wallet.loadMint();
  return { mint, wallet };
}

test('tells of the present state of a quote, of its payment and of its issue', async () => {
  const { mint, wallet } = await buyerOf({ autoPay: false });
  const { quote } = await wallet.createMintQuoteBolt11(8);
  const states: string[] = [];
  await wallet.on.mintQuoteUpdates(
    [quote],
    (told) => void states.push(told.state),
    (error) => void states.push(error.message),
  );
  await until(() => states.length === 1);
  mint.payQuote(quote);
  await until(() => states.length === 2);
  await wallet.mintProofs('bolt11', 8, { quote });
  await until(() => states.length === 3);
  expect(states).toEqual(['UNPAID', 'PAID', 'ISSUED']);
});

test('stops telling when asked to, and says so of what it does not understand or know', async () => {
  const { mint } = await buyerOf({ autoPay: false });
  const socket = new WebSocket(`${mint.url.replace('http', 'ws')}/v1/ws`);
  const said: { id?: unknown; error?: { code: number }; result?: unknown }[] = [];
  socket.on('message', (data: Buffer) => void said.push(JSON.parse(data.toString()) as (typeof said)[0]));
  await new Promise((resolve) => socket.once('open', resolve));
  const ask = async (text: string, answers = 1) => {
    const before = said.length;
    socket.send(text);
    await until(() => said.length === before + answers);
    return said[before];
  };
  expect(await ask('nonsense')).toMatchObject({ error: { code: -32600 } });
  const subscribe = (kind: string, quote: string) =>
    JSON.stringify({ id: 5, method: 'subscribe', params: { kind, subId: 'a', filters: [quote] } });
  expect(await ask(subscribe('proof_state', 'x'))).toMatchObject({ error: { code: -32602 } });
  expect(await ask(subscribe('bolt11_mint_quote', 'x'))).toMatchObject({ id: 5, error: { code: -32602 } });
  expect(mint.socket.subscriptions()).toEqual([]);

  const asked = await fetch(`${mint.url}/v1/mint/quote/bolt11`, {
    method: 'POST',
    body: JSON.stringify({ amount: 4, unit: 'sat' }),
  });
  const { quote } = (await asked.json()) as { quote: string };
  expect(await ask(subscribe('bolt11_mint_quote', quote), 2)).toMatchObject({
    id: 5,
    result: { status: 'OK' },
  });
  await ask(JSON.stringify({ id: 6, method: 'unsubscribe', params: { subId: 'a' } }));
  mint.payQuote(quote);
  expect(await ask('the last word')).toMatchObject({ error: { code: -32600 } });
  expect(mint.socket.subscriptions()).toEqual([]);
  socket.terminate();
});

test('is not offered by a mint that has none', async () => {
  const { mint, wallet } = await buyerOf({ hints: false });
  expect(wallet.getMintInfo().isSupported(17).supported).toBe(false);
  const socket = new WebSocket(`${mint.url.replace('http', 'ws')}/v1/ws`);
  const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
  expect(error.message).toContain('404');
});
