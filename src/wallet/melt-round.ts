/**
 * One round of a payment over Lightning. An error is never an answer: the quote's state is, and then the inputs'.
 *
 *   (not the first attempt) state of the quote ──► PAID | PENDING end here; UNPAID: the same request again
 *   attempt ──► 200 PAID ─────────► paid, with the change of the answer or a restore of the blanks
 *      │──► first 200 PENDING ────► pending
 *      │──► no answer, 5xx, 429 ──► unresolved; of 429 nothing can arrive any more
 *      └──► refusal, 200 UNPAID, a later 200 PENDING ──► state of the quote
 *                                     ├─ PAID ──► paid      ├─ PENDING ──► pending
 *                                     └─ UNPAID ──► inputs all UNSPENT ──► unpaid
 *                                                   some SPENT, and the quote still UNPAID ──► contradiction
 *   the mint does not know the quote ──► inputs all UNSPENT ──► forgotten
 *                                        SPENT ──► restore of the blanks: change proves the payment; none: untraceable
 *
 * A mint may call a quote paid, or inputs spent, shortly before its change can be had: it is looked for twice, and of
 * a patient task again in later rounds.
 */
import { LIMITS } from '../base/limits.ts';
import type { OutputPlan } from '../base/proof.ts';
import type { Clock } from '../base/time.ts';
import type { MeltOutcome } from './lightning.ts';
import { type ProofState, readStates } from './mint-answers.ts';
import { type MintAnswer, type MintClient, isNotThere } from './mint-http.ts';
import { outputsOf } from './mint-round.ts';
import {
  type MeltState,
  type SignedBlank,
  readChange,
  readMeltState,
  readRestoredChange,
} from './quote-answers.ts';
import type { InputProof } from './wallet.ts';

export interface MeltTask {
  quote: string;
  /** Exactly as they go into the request. */
  inputs: InputProof[];
  blanks: OutputPlan;
  /** Most that the mint can owe: inputs less their fee and the amount. */
  changeMost: number;
  feeReserve: number;
  firstAttempt: boolean;
  /** Finds out what became of it, and does not pay. */
  onlyAsk: boolean;
  /** Change that is owed and not there is waited for. */
  patient: boolean;
}
export interface MeltTools {
  client: MintClient;
  clock: Clock;
  blind: (plan: OutputPlan) => Promise<string[]>;
  ys: (secrets: string[]) => Promise<string[]>;
}
export interface MeltRound {
  outcome: MeltOutcome;
  signed?: { blinded: string[]; change: SignedBlank[] };
}

type Blinded = () => Promise<string[]>;

export async function meltRound(task: MeltTask, tools: MeltTools): Promise<MeltRound> {
  // Blinding takes longer than most answers, and a payment under way is only asked about.
  let blanks: Promise<string[]> | undefined;
  const blinded = (): Promise<string[]> => (blanks ??= tools.blind(task.blanks));
  if (!task.firstAttempt) {
    const known = await quoteState(task, tools);
    if (isUnknown(known)) return forgotten(task, tools, blinded);
    if ('kind' in known) return unresolved(known);
    if (known.state !== 'UNPAID') return ended(task, tools, known, blinded);
    if (task.onlyAsk) return { outcome: { outcome: 'unpaid', code: 0 } };
  }
  const change = await blinded();
  const outputs = change.length === 0 ? {} : { outputs: outputsOf(task.blanks, change) };
  const inputs = task.inputs.map(({ id, amount, secret, C }) => ({ id, amount, secret, C }));
  const body = JSON.stringify({ quote: task.quote, inputs, ...outputs });
  const answer = await tools.client.post('/v1/melt/bolt11', body);
  if (answer.kind === 'refused') return look(task, tools, blinded, answer.code);
  if (answer.kind !== 'ok') return unresolved(answer, answer.kind !== 'failed');
  const state = readMeltState(answer.body);
  if (state === undefined) return unresolved(answer);
  if (state.state === 'UNPAID') return look(task, tools, blinded, 0);
  // An answer from the mint's memory (NUT-19) may be older than the end of the payment; the quote is not.
  if (state.state === 'PENDING' && !task.firstAttempt) return look(task, tools, blinded, 0);
  return ended(task, tools, state, blinded);
}

async function quoteState(task: MeltTask, tools: MeltTools): Promise<MeltState | MintAnswer> {
  const answer = await tools.client.get(`/v1/melt/quote/bolt11/${encodeURIComponent(task.quote)}`);
  return (answer.kind === 'ok' ? readMeltState(answer.body) : undefined) ?? answer;
}

/** It was refused, or so it seems: what became of it is what quote and inputs say. */
async function look(task: MeltTask, tools: MeltTools, blinded: Blinded, code: number): Promise<MeltRound> {
  const quote = await quoteState(task, tools);
  if (isUnknown(quote)) return forgotten(task, tools, blinded);
  if ('kind' in quote) return unresolved(quote);
  if (quote.state !== 'UNPAID') return ended(task, tools, quote, blinded);
  const states = await statesOf(task, tools);
  if ('kind' in states) return unresolved(states);
  if (states.every((state) => state === 'UNSPENT')) return { outcome: { outcome: 'unpaid', code } };
  if (!states.includes('SPENT')) return { outcome: { outcome: 'pending' } };
  // Perhaps it was paid between the two questions.
  const again = await quoteState(task, tools);
  if ('kind' in again) return unresolved(again);
  if (again.state !== 'UNPAID') return ended(task, tools, again, blinded);
  return contradiction('inputs are spent, and the quote is unpaid');
}

const isUnknown = (quote: MeltState | MintAnswer): boolean => 'kind' in quote && isNotThere(quote);

async function statesOf(task: MeltTask, tools: MeltTools): Promise<ProofState[] | MintAnswer> {
  const Ys = await tools.ys(task.inputs.map((input) => input.secret));
  const answer = await tools.client.post('/v1/checkstate', JSON.stringify({ Ys }));
  return (answer.kind === 'ok' ? readStates(answer.body, Ys) : undefined) ?? answer;
}

/** Nobody can say whether it was paid: only the inputs are left as evidence (NUT-07), and the change (NUT-09). */
async function forgotten(task: MeltTask, tools: MeltTools, blinded: Blinded): Promise<MeltRound> {
  const states = await statesOf(task, tools);
  if ('kind' in states) return unresolved(states);
  if (states.every((state) => state === 'UNSPENT')) return { outcome: { outcome: 'forgotten' } };
  if (!states.includes('SPENT')) return { outcome: { outcome: 'pending' } };
  if (task.changeMost === 0) return { outcome: { outcome: 'untraceable' } };
  const paid = await ended({ ...task, patient: false }, tools, PAID, blinded);
  const isProven = paid.outcome.outcome !== 'paid' || paid.outcome.change.length > 0;
  return isProven ? paid : { outcome: { outcome: 'untraceable' } };
}

const PAID: MeltState = { state: 'PAID', payment_preimage: undefined, change: undefined };

async function ended(
  task: MeltTask,
  tools: MeltTools,
  state: MeltState,
  blinded: Blinded,
): Promise<MeltRound> {
  if (state.state !== 'PAID') return { outcome: { outcome: 'pending' } };
  const blanks = await blinded();
  let change = readChange(state.change ?? [], task.blanks);
  const isMissing = (): boolean => typeof change !== 'string' && change.length === 0 && task.changeMost > 0;
  for (let looks = 0; looks < 2 && isMissing(); looks++) {
    if (looks > 0) await tools.clock.sleep(LIMITS.mint.lookTwiceMs);
    const body = JSON.stringify({ outputs: outputsOf(task.blanks, blanks) });
    const answer = await tools.client.post('/v1/restore', body);
    if (answer.kind !== 'ok') return unresolved(answer);
    change = readRestoredChange(answer.body, task.blanks, blanks);
  }
  if (typeof change === 'string') return contradiction(`melt: ${change}`);
  const sum = change.reduce((total, { signature }) => total + signature.amount, 0);
  if (sum > task.changeMost) return contradiction('melt: more change than was overpaid');
  const short = Math.max(0, task.changeMost - task.feeReserve - sum);
  if (task.patient && short > 0 && change.length === 0) return { outcome: { outcome: 'owing' } };
  const { payment_preimage: preimage } = state;
  return {
    outcome: {
      outcome: 'paid',
      change: change.map(({ index, signature: { amount, C_ } }) => ({ index, amount, blindSignature: C_ })),
      ...(preimage !== undefined && /^[0-9a-f]{64}$/.test(preimage) && { preimage }),
      short,
    },
    signed: { blinded: blanks, change },
  };
}

const unresolved = (answer: MintAnswer, unsent = false): MeltRound => ({
  outcome: {
    outcome: 'unresolved',
    ...(unsent && { unsent }),
    ...('retryAfterMs' in answer && { retryAfterMs: answer.retryAfterMs }),
  },
});
const contradiction = (detail: string): MeltRound => ({ outcome: { outcome: 'contradiction', detail } });
