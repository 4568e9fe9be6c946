import { Mint, Wallet, type Proof, sumProofs, MintOperationError } from '@cashu/cashu-ts';
import { afterEach, expect, test } from 'vitest';
import { createTestMint, playInvoice, type TestMint, type TestMintOptions } from '../../src/demo/mint.ts';

const open: TestMint[] = [];
async function mintWith(options: TestMintOptions = {}): Promise<TestMint> {
  const mint = await createTestMint(options);
  open.push(mint);
  return mint;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((mint) => mint.close()));
});

const SEED = new Uint8Array(64).fill(7);
async function stockWallet(mint: TestMint, seed?: Uint8Array): Promise<Wallet> {
  const wallet = new Wallet(new Mint(mint.url), { unit: mint.unit, ...(seed ? { bip39seed: seed } : {}) });
  await wallet.loadMint();
  return wallet;
}
async function topUp(wallet: Wallet, amount: number): Promise<Proof[]> {
  const quote = await wallet.createMintQuoteBolt11(amount);
  return wallet.mintProofsBolt11(amount, quote.quote);
}
const sum = (proofs: Proof[]): number => sumProofs(proofs).toNumber();

async function refusal(promise: Promise<unknown>): Promise<number> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(MintOperationError);
  return (error as MintOperationError).code;
}

test('a stock wallet mints, sends, receives, pays an invoice and gets its change', async () => {
  const mint = await mintWith();
  const wallet = await stockWallet(mint);
  const proofs = await topUp(wallet, 100);
  expect(sum(proofs)).toBe(100);

  const { send, keep } = await wallet.send(30, proofs);
  expect(sum(send)).toBe(30);
  const received = await wallet.receive({ mint: mint.url, unit: 'sat', proofs: send });
  expect(sum(received)).toBe(30);

  const quote = await wallet.createMeltQuoteBolt11(playInvoice(50_000));
  expect(quote.amount.toNumber()).toBe(50);
  const paid = await wallet.meltProofsBolt11(quote, keep);
  expect(paid.quote.state).toBe('PAID');
  expect(sum(paid.change)).toBe(70 - 50);
  expect(mint.stats.outstanding).toBe(50);
});

test('a seed restores what the mint signed for it', async () => {
  const mint = await mintWith();
  const wallet = await stockWallet(mint, SEED);
  const proofs = await topUp(wallet, 77);
  const again = await stockWallet(mint, SEED);
  const restored = await again.restore(0, 50);
  expect(restored.proofs.map((proof) => proof.C).sort()).toEqual(proofs.map((proof) => proof.C).sort());
  const states = await again.checkProofsStates(restored.proofs);
  expect(states.every((state) => state.state === 'UNSPENT')).toBe(true);
});

test('issued tokens are good money', async () => {
  const mint = await mintWith({ unit: 'msat' });
  const wallet = await stockWallet(mint);
  expect(sum(await wallet.receive(await mint.issue(12_345)))).toBe(12_345);
  expect(mint.stats.swaps).toBe(1);
});

test.each([0, 1] as const)('input fees are taken, keyset ids of version %i', async (keysetVersion) => {
  const mint = await mintWith({ feePpk: 100, keysetVersion });
  const wallet = await stockWallet(mint);
  expect(sum(await wallet.receive(await mint.issue(63)))).toBe(62);
  expect(mint.stats.outstanding).toBe(62);
});

test('after a rotation old money is still accepted, and old keysets sign no more', async () => {
  const mint = await mintWith();
  const wallet = await stockWallet(mint);
  const old = await topUp(wallet, 8);
  mint.rotate({ feePpk: 200 });
  expect(await refusal(wallet.receive({ mint: mint.url, unit: 'sat', proofs: old }))).toBe(12002);
  const fresh = await stockWallet(mint);
  const swapped = await fresh.receive({
    mint: mint.url,
    unit: 'sat',
    proofs: old.map((proof) => ({ id: proof.id, amount: proof.amount, secret: proof.secret, C: proof.C })),
  });
  expect(sum(swapped)).toBe(8);
  expect(swapped.every((proof) => proof.id === mint.keyset())).toBe(true);
});

test('unpaid quotes give nothing until they are paid', async () => {
  const mint = await mintWith({ autoPay: false });
  const wallet = await stockWallet(mint);
  const quote = await wallet.createMintQuoteBolt11(5);
  expect(await refusal(wallet.mintProofsBolt11(5, quote.quote))).toBe(20001);
  mint.payQuote(quote.quote);
  expect((await wallet.checkMintQuoteBolt11(quote.quote)).state).toBe('PAID');
  expect(sum(await wallet.mintProofsBolt11(5, quote.quote))).toBe(5);
  expect(await refusal(wallet.mintProofsBolt11(5, quote.quote))).toBe(20002);
});

test('refusals carry the codes of the NUTs and change nothing', async () => {
  const mint = await mintWith();
  const wallet = await stockWallet(mint);
  const proofs = await topUp(wallet, 3);
  const post = async (body: unknown): Promise<unknown> => {
    const response = await fetch(`${mint.url}/v1/swap`, { method: 'POST', body: JSON.stringify(body) });
    expect(response.status).toBe(400);
    return ((await response.json()) as { code: number }).code;
  };
  const [input] = mint.conjure([1]);
  const B_ = input?.C;
  const output = { id: mint.keyset(), amount: 1, B_ };
  expect(await post({ inputs: [input, input], outputs: [output] })).toBe(11007);
  expect(await post({ inputs: [input], outputs: [output, output] })).toBe(11008);
  expect(await post({ inputs: [input], outputs: [{ ...output, amount: 2 }] })).toBe(11005);
  expect(await post({ inputs: [{ ...input, secret: 'other' }], outputs: [output] })).toBe(10001);
  expect(await post({ inputs: [input], outputs: [{ ...output, id: '00'.repeat(8) }] })).toBe(12001);
  expect(await post({ inputs: [{ ...input, amount: 3 }], outputs: [output] })).toBe(11006);
  expect(await post({ inputs: 7 })).toBe(0);
  expect(mint.stats.swaps).toBe(0);

  await wallet.receive({ mint: mint.url, unit: 'sat', proofs });
  expect(await refusal(wallet.receive({ mint: mint.url, unit: 'sat', proofs }))).toBe(11001);
});

test('money locked to a key moves only with its signature', async () => {
  const mint = await mintWith();
  const wallet = await stockWallet(mint);
  const key = '11'.repeat(32);
  const pubkey = '034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa';
  const { send } = await wallet.ops
    .send(4, await topUp(wallet, 8))
    .asP2PK({ pubkey })
    .run();
  expect(await refusal(wallet.receive({ mint: mint.url, unit: 'sat', proofs: send }))).toBe(10001);
  const unlocked = await wallet.receive({ mint: mint.url, unit: 'sat', proofs: send }, { privkey: key });
  expect(sum(unlocked)).toBe(4);
});

test('pause holds requests back, faults come in the order they were asked for', async () => {
  const mint = await mintWith();
  mint.failNext('status-500', { path: '/v1/keys' });
  mint.failNext('rate-limit', { path: '/v1/info' });
  expect((await fetch(`${mint.url}/v1/keysets`)).status).toBe(500);
  const limited = await fetch(`${mint.url}/v1/info`);
  expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '7']);
  mint.failNext('drop-before', { path: '/v1/info' });
  await expect(fetch(`${mint.url}/v1/info`)).rejects.toThrow();

  mint.pause();
  let answered = false;
  const held = fetch(`${mint.url}/v1/info`).then((response) => {
    answered = true;
    return response.status;
  });
  await fetch(`${mint.url}/nowhere`, { signal: AbortSignal.timeout(30) }).catch(() => undefined);
  expect(answered).toBe(false);
  mint.resume();
  expect(await held).toBe(200);
});
