/**
 * One round for a paid quote: ask the mint to sign our outputs; if in doubt, fetch what it signed (NUT-04, NUT-09).
 *
 *   attempt ──► 200 ──────────────────────────► signed | contradiction
 *      │──► no answer, 5xx, 429 ──────────────► unresolved (the same outputs again)
 *      └──► any refusal ──► restore of all plans, unless the quote is still paid
 *                             ├─ found ────────► signed | contradiction
 *                             ├─ "issued", twice empty ──► contradiction: somebody else has it
 *                             ├─ a code about keysets or outputs ──► replan
 *                             └─ any other ────► unresolved
 */
import { LIMITS } from '../base/limits.ts';
import type { OutputPlan } from '../base/proof.ts';
import type { Clock } from '../base/time.ts';
import type { MintOutcome } from './lightning.ts';
import { type Signature, readSignatures, restoredFor } from './mint-answers.ts';
import { type MintAnswer, type MintClient, isNotThere } from './mint-http.ts';
import { readMintState } from './quote-answers.ts';

/** Keyset unknown, inactive or expired; outputs signed before: new counters on a fresh keyset may help. */
const REPLAN = new Set([11003, 12001, 12002, 12003]);
/** What nutshell says for an inactive keyset, among other things. */
const SOMETHING_WRONG = 11000;
const ALREADY_ISSUED = 20002;

export interface MintTask {
  quote: string;
  plan: OutputPlan;
  oldPlans: OutputPlan[];
}
export interface MintTools {
  client: MintClient;
  clock: Clock;
  blind: (plan: OutputPlan) => Promise<string[]>;
  /** NUT-20 signature over quote and outputs; undefined where the quote is not locked. */
  sign: (plan: OutputPlan, blinded: string[]) => string | undefined;
  /** True if by what the mint says now it cannot sign on the plan's keyset. */
  outdated: (plan: OutputPlan) => Promise<boolean>;
}
export interface MintRound {
  outcome: MintOutcome;
  signed?: { blinded: string[]; signatures: Signature[] };
}

export async function mintRound(task: MintTask, tools: MintTools): Promise<MintRound> {
  const { quote, plan } = task;
  const blinded = await tools.blind(plan);
  const body = { quote, outputs: outputsOf(plan, blinded), signature: tools.sign(plan, blinded) };
  const answer = await tools.client.post('/v1/mint/bolt11', JSON.stringify(body));
  if (answer.kind === 'ok') {
    const read = readSignatures(answer.body, plan);
    return typeof read === 'string' ? contradiction(`mint: ${read}`) : signed(plan, blinded, read);
  }
  if (answer.kind !== 'refused') return unresolved(answer);
  const { code } = answer;
  // A quote that is still paid was never minted: signatures on its outputs would be those of another one.
  const state = code === ALREADY_ISSUED ? 'ISSUED' : await stateOf(task, tools);
  if (typeof state === 'object') return state;
  const found = state === 'PAID' ? undefined : await restore(task, tools);
  if (found !== undefined) return found;
  if (code === ALREADY_ISSUED) {
    await tools.clock.sleep(LIMITS.mint.lookTwiceMs);
    return (await restore(task, tools)) ?? contradiction('the quote was minted by somebody else');
  }
  if (REPLAN.has(code)) return { outcome: { outcome: 'replan', code } };
  const stale = code === SOMETHING_WRONG && (await tools.outdated(plan));
  return stale ? { outcome: { outcome: 'replan', code } } : unresolved();
}

/** What the mint says of the quote, undefined if it does not know it; a round where it said nothing. */
async function stateOf(
  { quote }: MintTask,
  { client }: MintTools,
): Promise<ReturnType<typeof readMintState> | MintRound> {
  const answer = await client.get(`/v1/mint/quote/bolt11/${encodeURIComponent(quote)}`);
  if (answer.kind === 'ok') return readMintState(answer.body);
  return isNotThere(answer) ? undefined : unresolved(answer);
}

async function restore(task: MintTask, tools: MintTools): Promise<MintRound | undefined> {
  for (const plan of [task.plan, ...task.oldPlans]) {
    const blinded = await tools.blind(plan);
    const body = JSON.stringify({ outputs: outputsOf(plan, blinded) });
    const answer = await tools.client.post('/v1/restore', body);
    if (answer.kind !== 'ok') return unresolved(answer);
    const found = restoredFor(answer.body, plan, blinded);
    if (typeof found === 'string') return contradiction(`restore: ${found}`);
    if (found !== undefined) return signed(plan, blinded, found);
  }
  return undefined;
}

export const outputsOf = (plan: OutputPlan, blinded: string[]) =>
  blinded.map((B_, i) => ({ id: plan.keyset, amount: plan.amounts[i] ?? 0, B_ }));

const unresolved = (answer?: MintAnswer): MintRound => ({
  outcome: {
    outcome: 'unresolved',
    ...(answer !== undefined && 'retryAfterMs' in answer && { retryAfterMs: answer.retryAfterMs }),
  },
});
const contradiction = (detail: string): MintRound => ({ outcome: { outcome: 'contradiction', detail } });
const signed = (plan: OutputPlan, blinded: string[], signatures: Signature[]): MintRound => ({
  outcome: { outcome: 'signed', blindSignatures: signatures.map(({ C_ }) => C_), plan },
  signed: { blinded, signatures },
});
