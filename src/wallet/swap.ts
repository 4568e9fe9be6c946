/**
 * One round of a swap: ask; if in doubt look at the inputs (NUT-07), then fetch what was signed (NUT-09).
 *
 *   attempt ──► 200 ─────────────────────────────────► signed | contradiction
 *      │──► no answer, 5xx, 429 ─────────────────────► unresolved
 *      │──► definite refusal of the first attempt ───► refused | replan | (spent: one restore) spent
 *      └──► any other refusal ──► checkstate
 *                                    ├─ SPENT ──► restore ──► signed | (twice empty) spent | contradiction
 *                                    ├─ PENDING ─────────────► unresolved
 *                                    └─ all UNSPENT ─────────► refused | replan | unresolved
 *                                         (a vague code is explained by fresh keysets, or believed in the end)
 *
 * States come before restore: an empty restore, then a late landing of our own request, then SPENT would be read
 * as theft. Once SPENT was seen, a restore is conclusive.
 */
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { OutputPlan } from '../base/proof.ts';
import type { Clock } from '../base/time.ts';
import type { MintAnswer, MintClient } from './mint-http.ts';
import { readSignatures, readStates, restoredFor, type Signature } from './mint-answers.ts';
import type { InputProof, SwapOutcome } from './wallet.ts';

/** Refusals of the request as such: it was not carried out, and repeating it cannot help. */
const DEFINITIVE = new Set([
  10001, 11005, 11006, 11007, 11008, 11009, 11010, 11013, 11014, 11015, 12001, 12002, 12003,
]);
/** Of those, the ones that a plan with fresh keysets and fees may avoid. */
const REPLAN = new Set([11005, 12001, 12002, 12003]);
/** Nutshell says only this for an inactive keyset, an unbalanced sum and some faults of the inputs. */
const SOMETHING_WRONG = 11000;
const ALREADY_SPENT = 11001;
const ALREADY_SIGNED = 11003;

export interface SwapTask {
  /** Exactly as they go into the request. */
  inputs: InputProof[];
  plan: OutputPlan;
  oldPlans: OutputPlan[];
  firstAttempt: boolean;
}

export interface SwapTools {
  client: MintClient;
  clock: Clock;
  log: Logger;
  /** B_ of a plan's outputs. */
  blind: (plan: OutputPlan) => Promise<string[]>;
  /** Y of secrets. */
  ys: (secrets: string[]) => Promise<string[]>;
  /** Fetches the keysets anew: true if by what they say now the mint cannot accept this plan. */
  outdated: (inputs: InputProof[], plan: OutputPlan) => Promise<boolean>;
  /** Counts refusals with unknown codes of this plan in this process. */
  countUnknownRefusal: (plan: OutputPlan) => number;
}

/** The outcome, and with `signed` what the mint said, for the DLEQ check that comes later. */
export interface SwapRound {
  outcome: SwapOutcome;
  signed?: { blinded: string[]; signatures: Signature[] };
}

const swapBody = (inputs: InputProof[], plan: OutputPlan, blinded: string[]): string =>
  JSON.stringify({
    inputs: inputs.map(({ id, amount, secret, C, witness }) => ({ id, amount, secret, C, witness })),
    outputs: outputsOf(plan, blinded),
  });

const outputsOf = (plan: OutputPlan, blinded: string[]) =>
  blinded.map((B_, i) => ({ id: plan.keyset, amount: plan.amounts[i], B_ }));

const unresolved = (answer?: MintAnswer): SwapRound => ({
  outcome:
    answer?.kind === 'limited' || answer?.kind === 'closed'
      ? { outcome: 'unresolved', retryAfterMs: answer.retryAfterMs }
      : { outcome: 'unresolved' },
});
/** This attempt was not carried out: it was refused and its inputs are unspent, or it was not even taken. */
const unsent = ({ outcome }: SwapRound): SwapRound =>
  outcome.outcome === 'unresolved' ? { outcome: { ...outcome, unsent: true } } : { outcome };
const contradiction = (detail: string): SwapRound => ({ outcome: { outcome: 'contradiction', detail } });

export async function swapRound(task: SwapTask, tools: SwapTools): Promise<SwapRound> {
  const blinded = await tools.blind(task.plan);
  const answer = await tools.client.post('/v1/swap', swapBody(task.inputs, task.plan, blinded));
  if (answer.kind === 'ok') {
    const read = readSignatures(answer.body, task.plan);
    if (typeof read === 'string') return contradiction(`swap: ${read}`);
    return signed(task.plan, blinded, read);
  }
  if (answer.kind === 'failed') return unresolved(answer);
  if (answer.kind !== 'refused') return unsent(unresolved(answer));

  const { code } = answer;
  const first = task.firstAttempt && task.oldPlans.length === 0;
  if (first && DEFINITIVE.has(code)) return refusal(code);
  if (first && code === ALREADY_SPENT)
    return (await restore(task, tools)) ?? { outcome: { outcome: 'spent' } };
  return check(task, tools, code);
}

async function check(task: SwapTask, tools: SwapTools, code: number): Promise<SwapRound> {
  const Ys = await tools.ys(task.inputs.map((input) => input.secret));
  const answer = await tools.client.post('/v1/checkstate', JSON.stringify({ Ys }));
  if (answer.kind !== 'ok') return unresolved(answer);
  const states = readStates(answer.body, Ys);
  if (states === undefined) return unresolved();

  if (states.includes('SPENT')) {
    const found = await restore(task, tools);
    if (found !== undefined) return found;
    await tools.clock.sleep(LIMITS.mint.lookTwiceMs);
    return (await restore(task, tools)) ?? { outcome: { outcome: 'spent' } };
  }
  if (!states.every((state) => state === 'UNSPENT')) return unresolved();
  if (DEFINITIVE.has(code)) return refusal(code);
  // Unspent inputs and signed outputs: the counters were used before, so new ones are needed.
  if (code === ALREADY_SIGNED) return { outcome: { outcome: 'replan', code } };
  if (await tools.outdated(task.inputs, task.plan)) return { outcome: { outcome: 'replan', code } };
  const refused = tools.countUnknownRefusal(task.plan);
  const believed = code === SOMETHING_WRONG || refused >= LIMITS.mint.unknownRefusalsMax;
  return believed ? { outcome: { outcome: 'refused', code, vague: true } } : unsent(unresolved());
}

/** Undefined: the mint signed none of our outputs, old or new. */
async function restore(task: SwapTask, tools: SwapTools): Promise<SwapRound | undefined> {
  for (const plan of [task.plan, ...task.oldPlans]) {
    const blinded = await tools.blind(plan);
    const body = JSON.stringify({ outputs: outputsOf(plan, blinded) });
    const answer = await tools.client.post('/v1/restore', body);
    if (answer.kind !== 'ok') return unresolved(answer);
    const found = restoredFor(answer.body, plan, blinded);
    if (typeof found === 'string') return contradiction(`restore: ${found}`);
    if (found === undefined) continue;
    tools.log.info('wallet.swap.restored', { keyset: plan.keyset, outputs: found.length });
    return signed(plan, blinded, found);
  }
  return undefined;
}

const refusal = (code: number): SwapRound => ({
  outcome: REPLAN.has(code) ? { outcome: 'replan', code } : { outcome: 'refused', code },
});

const signed = (plan: OutputPlan, blinded: string[], signatures: Signature[]): SwapRound => ({
  outcome: { outcome: 'signed', blindSignatures: signatures.map((signature) => signature.C_), plan },
  signed: { blinded, signatures },
});
