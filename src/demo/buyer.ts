/** A buyer with play money: stock cashu-ts as the wallet, the openai SDK as the client, nothing of the node's own code. */
import { Wallet, getEncodedToken } from '@cashu/cashu-ts';
import type OpenAI from 'openai';

export interface Buyer {
  /** Mints play money by a quote and returns it as a token. */
  mint: (amount: number) => Promise<string>;
  /** Redeems a token at the mint; returns what it was worth after the mint's fee. */
  receive: (token: string) => Promise<number>;
}

export async function createBuyer(options: { mintUrl: string; unit?: 'sat' | 'msat' }): Promise<Buyer> {
  const { mintUrl, unit = 'sat' } = options;
  const wallet = new Wallet(mintUrl, { unit });
  await wallet.loadMint();
  return {
    mint: async (amount) => {
      const quote = await wallet.createMintQuoteBolt11(amount);
      for (let tries = 0; tries < 50; tries++) {
        const { state } = await wallet.checkMintQuoteBolt11(quote.quote);
        if (state === 'PAID') break;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const proofs = await wallet.mintProofsBolt11(amount, quote.quote);
      return getEncodedToken({ mint: mintUrl, unit, proofs });
    },
    receive: async (token) => {
      const proofs = await wallet.receive(token);
      return proofs.reduce((sum, proof) => sum + Number(proof.amount), 0);
    },
  };
}

/** How one request was paid and what it cost. All amounts in msat but for `change_sats`. */
export interface PaidStep {
  how: 'bearer-cashu' | 'sk-key' | 'x-cashu' | 'dm';
  cost_msats: number;
  balance_before_msats: number;
  balance_after_msats: number;
  change_sats: number;
  text: string;
}

export interface StoryResult {
  paid: PaidStep[];
  /** A key with money left on it. */
  apiKey: string;
}

/** Asked over HTTP with the key, and by the demo over direct messages too. */
export const QUESTION = 'Tell me about ecash.';

/** The buyer's story: pay a stream with a token as the key, then with the key it became, then per request. */
export async function tellStory(options: {
  /** Base URL as discovered, without /v1. */
  url: string;
  model: string;
  buyer: Buyer;
  onStep: (step: PaidStep) => void;
}): Promise<StoryResult> {
  const { url, model, buyer, onStep } = options;
  const { default: OpenAIClient } = await import('openai');
  const baseURL = `${url}/v1`;
  const paid: PaidStep[] = [];
  const record = (step: PaidStep) => {
    paid.push(step);
    onStep(step);
  };

  const token = await buyer.mint(1000);
  const before = await walletInfo(url, token);
  const first = await streamChat(new OpenAIClient({ apiKey: token, baseURL }), model, 'Hello, who are you?');
  const afterFirst = await walletInfo(url, token);
  record({ ...keptStep('bearer-cashu', before.balance, afterFirst.balance), ...first });

  const apiKey = afterFirst.api_key;
  const second = await streamChat(new OpenAIClient({ apiKey, baseURL }), model, QUESTION);
  const afterSecond = await walletInfo(url, apiKey);
  record({ ...keptStep('sk-key', afterFirst.balance, afterSecond.balance), ...second });

  record(await payOnce({ baseURL, model, buyer, OpenAIClient }));
  return { paid, apiKey };
}

const keptStep = (how: PaidStep['how'], before: number, after: number) => ({
  how,
  balance_before_msats: before,
  balance_after_msats: after,
  change_sats: 0,
});

/** One request paid by the X-Cashu header; the change comes back in the header of the answer. */
async function payOnce(options: {
  baseURL: string;
  model: string;
  buyer: Buyer;
  OpenAIClient: typeof OpenAI;
}): Promise<PaidStep> {
  const { baseURL, model, buyer, OpenAIClient } = options;
  const sats = 100;
  const token = await buyer.mint(sats);
  const client = new OpenAIClient({
    apiKey: 'unused',
    baseURL,
    defaultHeaders: { 'X-Cashu': token, Authorization: null },
  });
  const { data, response } = await client.chat.completions
    .create({ model, stream: true, messages: [{ role: 'user', content: 'Pay as you go?' }] })
    .withResponse();
  const { text, cost_msats } = await readStream(data);
  const change = response.headers.get('x-cashu');
  const change_sats = change === null ? 0 : await buyer.receive(change);
  return {
    how: 'x-cashu',
    cost_msats,
    balance_before_msats: sats * 1000,
    balance_after_msats: 0,
    change_sats,
    text,
  };
}

async function streamChat(client: OpenAI, model: string, content: string) {
  const stream = await client.chat.completions.create({
    model,
    stream: true,
    messages: [{ role: 'user', content }],
  });
  return readStream(stream);
}

async function readStream(
  stream: AsyncIterable<OpenAI.Chat.Completions.ChatCompletionChunk>,
): Promise<{ text: string; cost_msats: number }> {
  let text = '';
  let cost_msats = -1;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    const usage = chunk.usage as { cost_msats?: number } | null | undefined;
    if (typeof usage?.cost_msats === 'number') cost_msats = usage.cost_msats;
  }
  return { text, cost_msats };
}

/** `GET /v1/wallet/info`: what every Routstr client asks before and after a request. */
export async function walletInfo(url: string, bearer: string): Promise<{ api_key: string; balance: number }> {
  const answer = await fetch(`${url}/v1/wallet/info`, { headers: { authorization: `Bearer ${bearer}` } });
  if (!answer.ok) throw new Error(`wallet info: HTTP ${answer.status}`);
  return (await answer.json()) as { api_key: string; balance: number };
}
