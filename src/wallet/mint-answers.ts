/** What a mint says about signatures and states, checked against what was asked. A mint is not believed. */
import { z } from 'zod';
import type { OutputPlan } from '../base/proof.ts';
import { canonicalKeysetId } from './mint-url.ts';
import { isPoint } from './token.ts';

const scalar = z.string().regex(/^[0-9a-fA-F]{64}$/);
export const signature = z.object({
  id: z.string(),
  amount: z.int().positive(),
  C_: z.string().transform((text) => text.toLowerCase()),
  // A DLEQ of the wrong shape must not cost the credit; it is reported as one that does not hold.
  dleq: z.object({ e: scalar, s: scalar }).nullish().catch({ e: '', s: '' }),
});
export type Signature = z.infer<typeof signature>;

const swapAnswer = z.object({ signatures: z.array(signature) });
const restoreAnswer = z.object({
  outputs: z.array(z.object({ B_: z.string() })),
  signatures: z.array(signature),
});
const stateAnswer = z.object({
  states: z.array(z.object({ Y: z.string(), state: z.enum(['UNSPENT', 'PENDING', 'SPENT']) })),
});
export type ProofState = z.infer<typeof stateAnswer>['states'][number]['state'];

/** The signatures in the order of the plan, or what is wrong with them. */
export function readSignatures(body: unknown, plan: OutputPlan): Signature[] | string {
  const answer = swapAnswer.safeParse(body);
  if (!answer.success) return 'the answer is not a list of signatures';
  return checkSignatures(answer.data.signatures, plan);
}

function checkSignatures(signatures: Signature[], plan: OutputPlan): Signature[] | string {
  if (signatures.length !== plan.amounts.length) {
    return `${signatures.length} signatures for ${plan.amounts.length} outputs`;
  }
  for (const [i, { id, amount, C_ }] of signatures.entries()) {
    if (canonicalKeysetId(id) !== plan.keyset) return 'a signature of another keyset';
    if (amount !== plan.amounts[i]) return `a signature for ${amount} instead of ${plan.amounts[i] ?? 0}`;
    if (!isPoint(C_)) return 'a signature that is not a curve point';
  }
  return signatures;
}

/** All signatures of the plan, undefined if there is none of them, or what is wrong. */
export function restoredFor(
  body: unknown,
  plan: OutputPlan,
  blinded: string[],
): Signature[] | string | undefined {
  const answer = restoreAnswer.safeParse(body);
  if (!answer.success) return 'the answer is not a list of outputs and signatures';
  const { outputs, signatures } = answer.data;
  if (outputs.length !== signatures.length) return 'outputs and signatures differ in number';
  const byOutput = new Map(outputs.map((output, i) => [output.B_.toLowerCase(), signatures[i]]));
  const ours = blinded.flatMap((B_) => byOutput.get(B_) ?? []);
  if (ours.length === 0) return undefined;
  return checkSignatures(ours, plan);
}

/** Place of the last of these outputs that the mint has signed, -1 if none; undefined if that is no answer. */
export function restoredAt(body: unknown, blinded: readonly string[]): number | undefined {
  const answer = restoreAnswer.safeParse(body);
  if (!answer.success) return undefined;
  const known = new Set(answer.data.outputs.map(({ B_ }) => B_.toLowerCase()));
  return blinded.findLastIndex((B_) => known.has(B_));
}

/** One state per Y in their order; undefined if the answer does not cover them all. */
export function readStates(body: unknown, Ys: string[]): ProofState[] | undefined {
  const answer = stateAnswer.safeParse(body);
  if (!answer.success) return undefined;
  const byY = new Map(answer.data.states.map(({ Y, state }) => [Y.toLowerCase(), state]));
  const states = Ys.flatMap((Y) => byY.get(Y) ?? []);
  return states.length === Ys.length ? states : undefined;
}
