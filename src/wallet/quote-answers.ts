/** What a mint says about quotes, checked against what was asked (NUT-04, NUT-05, NUT-08, NUT-20, NUT-23). */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import type { OutputPlan } from '../base/proof.ts';
import { type Signature, signature } from './mint-answers.ts';
import { canonicalKeysetId } from './mint-url.ts';
import { isPoint } from './token.ts';

/** It becomes part of a path. */
const quoteName = z
  .string()
  .regex(/^[\w.~:-]+$/)
  .max(LIMITS.invoice.quoteCharsMax);
const whole = z.int().min(0);
/** Absent and null mean the same. */
const maybe = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? undefined);

const mintQuoteAnswer = z.object({
  quote: quoteName,
  request: z.string().max(LIMITS.invoice.charsMax),
  amount: maybe(whole),
  unit: maybe(z.string()),
  expiry: maybe(z.number()),
  pubkey: maybe(z.string()),
});
export const readMintQuote = (body: unknown): z.infer<typeof mintQuoteAnswer> | undefined =>
  mintQuoteAnswer.safeParse(body).data;

const mintStateAnswer = z.object({
  state: z.enum(['UNPAID', 'PENDING', 'PAID', 'ISSUED']),
});
export const readMintState = (body: unknown): z.infer<typeof mintStateAnswer>['state'] | undefined =>
  mintStateAnswer.safeParse(body).data?.state;

const meltQuoteAnswer = z.object({
  quote: quoteName,
  amount: whole.positive(),
  fee_reserve: whole,
  expiry: maybe(whole).catch(undefined),
});
export const readMeltQuote = (body: unknown): z.infer<typeof meltQuoteAnswer> | undefined =>
  meltQuoteAnswer.safeParse(body).data;

const meltStateAnswer = z.object({
  state: z.enum(['UNPAID', 'PENDING', 'PAID']),
  payment_preimage: maybe(z.string()).catch(undefined),
  change: maybe(z.array(signature)),
});
export type MeltState = z.infer<typeof meltStateAnswer>;
export const readMeltState = (body: unknown): MeltState | undefined => meltStateAnswer.safeParse(body).data;

const restoreAnswer = z.object({
  outputs: z.array(z.object({ B_: z.string() })),
  signatures: z.array(signature),
});

/** A blank output and what the mint signed on it. */
export interface SignedBlank {
  index: number;
  signature: Signature;
}

/** Signatures stand in the order of the blanks, which may be longer (NUT-08). A sentence for what is wrong. */
export function readChange(signatures: Signature[], blanks: OutputPlan): SignedBlank[] | string {
  if (signatures.length > blanks.amounts.length) return 'more change signatures than blank outputs';
  return checked(
    signatures.map((each, index) => ({ index, signature: each })),
    blanks,
  );
}

/** The same from a restore (NUT-09), where each signature stands beside its output. */
export function readRestoredChange(
  body: unknown,
  blanks: OutputPlan,
  blinded: string[],
): SignedBlank[] | string {
  const answer = restoreAnswer.safeParse(body);
  if (!answer.success) return 'the answer is not a list of outputs and signatures';
  const { outputs, signatures } = answer.data;
  if (outputs.length !== signatures.length) return 'outputs and signatures differ in number';
  const byOutput = new Map(outputs.map((output, i) => [output.B_.toLowerCase(), signatures[i]]));
  const found = blinded.flatMap((B_, index) => {
    const signed = byOutput.get(B_);
    return signed === undefined ? [] : [{ index, signature: signed }];
  });
  return checked(found, blanks);
}

function checked(found: SignedBlank[], blanks: OutputPlan): SignedBlank[] | string {
  for (const { signature: each } of found) {
    if (canonicalKeysetId(each.id) !== blanks.keyset) return 'change of another keyset';
    if (!isPoint(each.C_)) return 'a change signature that is not a curve point';
  }
  return found;
}
