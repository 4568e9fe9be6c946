/** A complete JSON answer: read, billed, and given its cost fields before the first byte leaves. */
import { type Cancel, cancel } from '../base/cancel.ts';
import { invariant } from '../base/error.ts';
import { type Completion, readCompletion } from '../protocol/completion.ts';
import type { UpstreamAnswer } from '../upstream/upstream.ts';
import { answerMembers, fullUsageMembers, usageMembers } from './bill.ts';
import type { Body, Receipt } from './request.ts';
import { type Settlement, brokenOff } from './settlement.ts';

/**
 * Throws NodeError with cost 0 for whatever is not a usable answer. The answer is put together while its bill goes to
 * the disk; it is given away once that is there.
 * @param makeChange turns what is left of a one-shot payment into change, once settled
 */
export async function wholeAnswer(
  upstream: UpstreamAnswer,
  work: Cancel,
  settlement: Settlement,
  makeChange: ((receipt: Receipt) => Promise<Receipt>) | undefined,
): Promise<{ body: Body; receipt: Receipt }> {
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
  const { receipt, durable } = settlement.end(usage);
  if (makeChange === undefined) {
    const body = billed(completion, receipt);
    await durable;
    return { body, receipt };
  }
  await durable;
  const changed = await makeChange(receipt);
  return { body: billed(completion, changed), receipt: changed };
}

function billed(completion: Completion, receipt: Receipt): Body {
  const usage = completion.usage ? usageMembers(receipt) : fullUsageMembers(receipt);
  return completion.withMembers(answerMembers(receipt), usage);
}
