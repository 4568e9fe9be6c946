/** A complete JSON answer: read, billed, and given its cost fields before the first byte leaves. */
import { type Cancel, cancel } from '../base/cancel.ts';
import { invariant } from '../base/error.ts';
import { type Completion, readCompletion } from '../protocol/completion.ts';
import type { UpstreamAnswer } from '../upstream/upstream.ts';
import { answerMembers, fullUsageMembers, usageMembers } from './bill.ts';
import type { Receipt } from './request.ts';
import { type Settlement, brokenOff } from './settlement.ts';

/** Throws NodeError with cost 0 for whatever is not a usable answer. */
export async function wholeAnswer(
  upstream: UpstreamAnswer,
  work: Cancel,
  settlement: Settlement,
  withChange: (receipt: Receipt) => Receipt | Promise<Receipt>,
): Promise<{ body: string; receipt: Receipt }> {
  let completion: Completion;
  try {
    invariant(upstream.whole !== undefined, 'an answer that does not stream is there as a whole');
    completion = readCompletion(upstream.whole);
  } catch (error) {
    cancel(work);
    await settlement.free();
    throw brokenOff(error);
  }
  const usage = completion.empty ? undefined : (completion.usage ?? settlement.estimate(completion.estimate));
  const receipt = await withChange(usage ? await settlement.charge(usage) : await settlement.free());
  const billed = completion.usage ? usageMembers(receipt) : fullUsageMembers(receipt);
  return { body: completion.withMembers(answerMembers(receipt), billed), receipt };
}
