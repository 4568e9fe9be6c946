/** The Lightning side of the wallet: quotes, minting and melting at the listed mints, and Lightning addresses. */
import { createHmac } from 'node:crypto';
import { Amount, getPubKeyFromPrivKey, signMintQuote } from '@cashu/cashu-ts';
import { NodeError } from '../base/error.ts';
import { hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import { msatPerUnit, unitToMsat } from '../base/money.ts';
import type { OutputPlan } from '../base/proof.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { readInvoice } from './bolt11.ts';
import type { Curve } from './curve.ts';
import type { DleqWatch } from './dleq-watch.ts';
import type {
  Invoice,
  LightningWallet,
  MeltOutcome,
  MeltRequest,
  MintOutcome,
  MintQuote,
  MintQuoteRequest,
  MintRequest,
} from './lightning.ts';
import type { AddressBook } from './lnurl.ts';
import { meltRound } from './melt-round.ts';
import { type MintAnswer, isNotThere } from './mint-http.ts';
import { mintRound } from './mint-round.ts';
import type { Mint, Mints } from './mints.ts';
import { outputAmounts } from './plan.ts';
import type { Purse } from './purse.ts';
import type { Survey } from './survey.ts';
import { readMeltQuote, readMintQuote, readMintState } from './quote-answers.ts';

/** Error codes from here on are about quotes and invoices, and not about proofs, outputs and keysets. */
const QUOTE_CODES = 20_000;

export function createLightning(parts: {
  mints: Mints;
  survey: Survey;
  curve: Curve;
  purse: Purse;
  dleqWatch: DleqWatch;
  addresses: AddressBook;
  seed: Uint8Array;
  clock: Clock;
  log: Logger;
}): LightningWallet {
  const { mints, survey, curve, purse, dleqWatch, addresses, seed, clock, log } = parts;

  /** One key for each quote, so that a mint cannot tell that two are ours by their key. */
  const lockKey = (lock: string): Uint8Array =>
    createHmac('sha256', seed).update(`routstr-node/mint-quote/1:${lock}`).digest();

  const blind = (plan: OutputPlan): Promise<string[]> =>
    plan.amounts.length === 0
      ? Promise.resolve([])
      : curve.blind(plan.keyset, plan.counter, plan.amounts.length);

  function sign(
    { lock, locked, quote }: MintRequest,
    plan: OutputPlan,
    blinded: string[],
  ): string | undefined {
    if (!locked) return undefined;
    const outputs = blinded.map((B_, i) => ({
      id: plan.keyset,
      amount: Amount.from(plan.amounts[i] ?? 0),
      B_,
    }));
    return signMintQuote(hex(lockKey(lock)), quote, outputs);
  }

  async function mintQuote({ mint: url, unit, amount, lock }: MintQuoteRequest): Promise<MintQuote> {
    const mint = usable(mints.get(url));
    const pubkey = hex(getPubKeyFromPrivKey(lockKey(lock)));
    const answer = await mint.client.post('/v1/mint/quote/bolt11', JSON.stringify({ amount, unit, pubkey }));
    if (answer.kind === 'refused')
      throw new NodeError(
        'invalid_amount',
        'The mint makes no invoice of this amount; ask for another amount.',
        { param: 'amount_sats' },
      );
    const quote = readMintQuote(bodyOf(answer));
    const invoice = quote === undefined ? undefined : readInvoice(quote.request);
    if (quote === undefined || invoice === undefined) throw unreachable();
    const lie =
      invoice.msat !== unitToMsat(amount, unit) ||
      (quote.amount !== undefined && quote.amount !== amount) ||
      (quote.unit !== undefined && quote.unit !== unit) ||
      (quote.pubkey !== undefined && quote.pubkey.toLowerCase() !== pubkey);
    if (lie) {
      mint.quarantine('it made a quote for something else than was asked');
      throw quarantined();
    }
    if (quote.pubkey === undefined) log.warn('wallet.quote.unlocked', { mint: new URL(url).host });
    return {
      quote: quote.quote,
      invoice,
      locked: quote.pubkey !== undefined,
      ...endsOf(invoice, quote.expiry, unixSeconds(clock)),
    };
  }

  async function mintTokens(request: MintRequest): Promise<MintOutcome> {
    const mint = mints.get(request.mint);
    const { quote, plan, oldPlans = [] } = request;
    const { outcome, signed } = await mintRound(
      { quote, plan, oldPlans },
      {
        client: mint.client,
        clock,
        blind,
        sign: (outputs, blinded) => sign(request, outputs, blinded),
        outdated: async (outputs) => {
          mint.keysets.suspect(outputs.keyset);
          await mint.keysets.load();
          return mint.keysets.get(outputs.keyset)?.active !== true;
        },
      },
    );
    if (outcome.outcome === 'replan') mint.keysets.suspect(plan.keyset);
    if (outcome.outcome === 'contradiction') mint.quarantine(outcome.detail);
    if (signed) dleqWatch.check(mint, signed);
    return outcome;
  }

  async function melt(request: MeltRequest): Promise<MeltOutcome> {
    const mint = mints.get(request.mint);
    const {
      quote,
      blanks,
      amount,
      feeReserve,
      fee,
      firstAttempt,
      onlyAsk = false,
      patient = false,
    } = request;
    const inputs = await purse.unblind(mint, request.inputs, 0);
    const value = inputs.reduce((sum, proof) => sum + proof.amount, 0);
    const { outcome, signed } = await meltRound(
      { quote, inputs, blanks, changeMost: value - fee - amount, feeReserve, firstAttempt, onlyAsk, patient },
      { client: mint.client, clock, blind, ys: (secrets) => curve.run({ type: 'ys', secrets }, 0) },
    );
    if (outcome.outcome === 'contradiction') mint.quarantine(outcome.detail);
    // A keyset that was retired, or a fee that changed, would have the next payment refused, too.
    const isRefused = outcome.outcome === 'unpaid' && !onlyAsk && outcome.code < QUOTE_CODES;
    if (isRefused) mint.keysets.suspect(blanks.keyset);
    if (outcome.outcome !== 'paid') return outcome;
    const keys = await mint.keysets.keysOfOurs(blanks.keyset);
    if (outcome.change.some((each) => !Object.hasOwn(keys, String(each.amount)))) {
      const detail = 'melt: change of an amount that has no key';
      mint.quarantine(detail);
      return { outcome: 'contradiction', detail };
    }
    if (outcome.short > 0) mint.quarantine('it kept more of a payment than its fee reserve');
    if (signed) {
      const chosen = signed.change.map(({ index }) => signed.blinded[index] ?? '');
      dleqWatch.check(mint, { blinded: chosen, signatures: signed.change.map(({ signature }) => signature) });
    }
    return outcome;
  }

  /** Keys could not be fetched, or the wallet is closing: nothing is known, and that is the answer. */
  async function guarded<T>(round: Promise<T>): Promise<T | { outcome: 'unresolved' }> {
    return round.catch((error: unknown) => {
      log.warn('wallet.lightning.interrupted', { error: errorKind(error) });
      return { outcome: 'unresolved' as const };
    });
  }

  return {
    mintQuote,
    mintQuoteState: async (url, quote) => {
      // A mint that was taken off the list may come back to it, and the money with it.
      if (mints.unitsOf(url) === undefined) return 'unknown';
      const answer = await mints.get(url).client.get(`/v1/mint/quote/bolt11/${encodeURIComponent(quote)}`);
      const state = answer.kind === 'ok' ? readMintState(answer.body) : undefined;
      if (state === undefined) return isNotThere(answer) ? 'forgotten' : 'unknown';
      return state === 'PAID' ? 'paid' : state === 'ISSUED' ? 'issued' : 'unpaid';
    },
    watchQuote: (url, kind, quote, look) =>
      mints.unitsOf(url) === undefined ? () => undefined : mints.get(url).hints.watch(kind, quote, look),
    mintTokens: (request) => guarded(mintTokens(request)),
    mintOutputs: async (url, unit, amount) => {
      const mint = mints.get(url);
      const { keysets } = mint;
      await keysets.load();
      const active = keysets.active(unit);
      if (active?.keys === undefined) throw unreachable();
      await survey(mint, active.id);
      return { keyset: active.id, amounts: outputAmounts(amount, active.keys) };
    },
    meltQuote: async ({ mint: url, unit, invoice }) => {
      const mint = usable(mints.get(url));
      const answer = await mint.client.post(
        '/v1/melt/quote/bolt11',
        JSON.stringify({ request: invoice.text, unit }),
      );
      if (answer.kind === 'refused') throw notPayable();
      const quote = readMeltQuote(bodyOf(answer));
      if (quote === undefined) throw unreachable();
      const { amount, fee_reserve: feeReserve } = quote;
      // The invoice was asked for in whole units: a mint that wants another sum for it is not paid.
      const lie = invoice.msat === undefined || unitToMsat(amount, unit) !== invoice.msat;
      const { reserveSmallSats, reserveShareMax } = LIMITS.melt;
      const small = (reserveSmallSats * 1000) / msatPerUnit(unit);
      const greedy = feeReserve > Math.max(small, amount * reserveShareMax);
      if (lie || greedy) {
        log.error('wallet.quote.wrong', { mint: new URL(url).host, lie, greedy });
        throw notPayable();
      }
      // NUT-05 leaves it to the mint how long it keeps a quote; some say 0 for no end.
      const expiresAt = Math.max(invoice.expiresAt, quote.expiry ?? 0);
      const latest = unixSeconds(clock) + LIMITS.invoice.secondsMax;
      return { quote: quote.quote, amount, feeReserve, expiresAt: Math.min(expiresAt, latest) };
    },
    melt: (request) => guarded(melt(request)),
    invoiceOf: (address, amount) => addresses.invoiceOf(address, amount),
  };
}

/**
 * The end that is shown, and the end of what a payer can do: he has nothing but the invoice, so that the mint's own
 * end of its quote does not shorten it.
 */
function endsOf(
  invoice: Invoice,
  expiry: number | undefined,
  now: number,
): Pick<MintQuote, 'expiresAt' | 'payableUntil'> {
  const { secondsMax, payableSecondsMax } = LIMITS.invoice;
  // NUT-04 leaves the end to the mint, and some say 0 for none; a new quote that is over already would be no quote.
  const quoteEnd = expiry === undefined || expiry <= now ? Infinity : expiry;
  return {
    expiresAt: Math.min(invoice.expiresAt, quoteEnd, now + secondsMax),
    payableUntil: Math.min(invoice.expiresAt, now + payableSecondsMax),
  };
}

function usable(mint: Mint): Mint {
  if (mint.quarantined()) throw quarantined();
  return mint;
}

function bodyOf(answer: MintAnswer): unknown {
  if (answer.kind === 'ok') return answer.body;
  if (answer.kind === 'limited')
    throw new NodeError('mint_rate_limited', 'The mint asks for patience. Retry later.', {
      retryAfterMs: answer.retryAfterMs,
    });
  throw unreachable();
}

const unreachable = (): NodeError =>
  new NodeError('mint_unreachable', 'The mint does not answer as one. Retry later.', { retryAfterMs: 5_000 });
const quarantined = (): NodeError =>
  new NodeError('mint_quarantined', 'This mint gave wrong answers; nothing is paid with it for now.');
const notPayable = (): NodeError =>
  new NodeError('payment_failed', 'The mint cannot pay this invoice. Nothing left the balance.');
