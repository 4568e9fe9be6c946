/** What the wallet may expect of every mint: one suite for the play-money mint and for real ones. */
import type { OutputPlan, StoredProof } from '../../src/base/proof.ts';
import { playInvoice } from '../../src/demo/mint.ts';
import { readInvoice } from '../../src/wallet/bolt11.ts';
import type { MintQuote } from '../../src/wallet/lightning.ts';
import type { Wallet } from '../../src/wallet/wallet.ts';

export interface ContractParts {
  wallet: Wallet;
  mint: string;
  /** Makes sure that the invoice of a mint quote is paid. */
  pay: (quote: MintQuote) => Promise<void> | void;
  /** Counters never used before. */
  plan: (keyset: string, amounts: number[]) => OutputPlan;
}
export interface ContractCase {
  name: string;
  /** Throws with a sentence when the mint behaves otherwise. */
  run: (parts: ContractParts) => Promise<void>;
}

function must(truth: boolean, what: string): asserts truth {
  if (!truth) throw new Error(what);
}

/** Ecash of this mint, out of an invoice. */
async function money({ wallet, mint, pay, plan }: ContractParts, amount: number, lock: string) {
  const quote = await wallet.lightning.mintQuote({ mint, unit: 'sat', amount, lock });
  await pay(quote);
  must((await wallet.lightning.mintQuoteState(mint, quote.quote)) === 'paid', 'a paid quote says so');
  const { keyset, amounts } = await wallet.lightning.mintOutputs(mint, 'sat', amount);
  const request = {
    mint,
    unit: 'sat' as const,
    quote: quote.quote,
    lock,
    locked: quote.locked,
    plan: plan(keyset, amounts),
  };
  const result = await wallet.lightning.mintTokens(request);
  must(result.outcome === 'signed', `a paid quote is minted, not ${result.outcome}`);
  const proofs: StoredProof[] = result.plan.amounts.map((each, i) => ({
    keyset,
    counter: result.plan.counter + i,
    amount: each,
    blindSignature: result.blindSignatures[i] ?? '',
  }));
  return { quote, request, proofs };
}

const sumOf = (proofs: readonly { amount: number }[]): number =>
  proofs.reduce((sum, { amount }) => sum + amount, 0);

export const MINT_CONTRACT: ContractCase[] = [
  {
    name: 'a quote names an invoice of exactly its amount and is locked to us',
    run: async ({ wallet, mint }) => {
      const quote = await wallet.lightning.mintQuote({ mint, unit: 'sat', amount: 21, lock: 'contract 1' });
      must(quote.invoice.msat === 21_000, 'the invoice asks for the amount');
      must(quote.locked, 'the quote is locked (NUT-20)');
    },
  },
  {
    name: 'the same outputs asked for again are found, not lost and not doubled',
    run: async (parts) => {
      const { request, proofs } = await money(parts, 64, 'contract 2');
      const again = await parts.wallet.lightning.mintTokens(request);
      must(again.outcome === 'signed', `a lost answer is found again, not ${again.outcome}`);
      must(
        again.blindSignatures.join() === proofs.map((proof) => proof.blindSignature).join(),
        'the same signatures',
      );
    },
  },
  {
    name: 'a payment of an invoice is told of by the mint itself (NUT-17)',
    run: async ({ wallet, mint, pay }) => {
      const quote = await wallet.lightning.mintQuote({ mint, unit: 'sat', amount: 16, lock: 'contract 5' });
      let end: (() => void) | undefined;
      const told = new Promise<boolean>((resolve) => {
        end = wallet.lightning.watchQuote(mint, 'bolt11_mint_quote', quote.quote, () => resolve(true));
        setTimeout(() => resolve(false), 20_000).unref();
      });
      await pay(quote);
      const isTold = await told;
      end?.();
      must(isTold, 'a hint arrives');
    },
  },
  {
    name: 'another lock does not mint a paid quote',
    run: async ({ wallet, mint, pay, plan }) => {
      const quote = await wallet.lightning.mintQuote({ mint, unit: 'sat', amount: 8, lock: 'contract 3' });
      await pay(quote);
      const { keyset, amounts } = await wallet.lightning.mintOutputs(mint, 'sat', 8);
      const { outcome } = await wallet.lightning.mintTokens({
        mint,
        unit: 'sat',
        quote: quote.quote,
        lock: 'somebody else',
        locked: true,
        plan: plan(keyset, amounts),
      });
      must(outcome === 'unresolved', `a thief gets nothing, not ${outcome}`);
    },
  },
  {
    name: 'a payment is made once and gives the rest of its reserve back',
    run: async (parts) => {
      const { wallet, mint, plan } = parts;
      const { proofs } = await money(parts, 128, 'contract 4');
      const invoice = readInvoice(playInvoice(50_000));
      must(invoice !== undefined, 'the play invoice is well formed');
      const quote = await wallet.lightning.meltQuote({ mint, unit: 'sat', invoice });
      const { keyset, feePpk } = await wallet.activeKeyset(mint, 'sat');
      const fee = Math.ceil(proofs.reduce((sum, proof) => sum + feePpk(proof.keyset), 0) / 1000);
      const request = {
        mint,
        unit: 'sat' as const,
        quote: quote.quote,
        amount: quote.amount,
        feeReserve: quote.feeReserve,
        fee,
        inputs: proofs,
        blanks: plan(keyset, new Array<number>(8).fill(0)),
      };
      const paid = await wallet.lightning.melt({ ...request, firstAttempt: true });
      must(paid.outcome === 'paid', `an invoice is paid, not ${paid.outcome}`);
      must(paid.short === 0, 'nothing is kept that was not spent');
      must(sumOf(paid.change) + 50 + fee <= 128, 'no more comes back than was overpaid');
      const again = await wallet.lightning.melt({ ...request, firstAttempt: false });
      must(again.outcome === 'paid', `a lost answer is found again, not ${again.outcome}`);
      must(sumOf(again.change) === sumOf(paid.change), 'with the same change');
      const states = await wallet.checkStates(mint, 'sat', proofs);
      must(
        states.every((state) => state === 'SPENT'),
        'the proofs are spent',
      );
    },
  },
];
