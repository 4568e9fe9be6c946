/** A complete JSON answer: read, billed, and given its cost fields before the first byte leaves. */
import { type Cancel, cancel } from '../base/cancel.ts';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { type Completion, readCompletion } from '../protocol/completion.ts';
import type { UpstreamAnswer } from '../upstream/upstream.ts';
import { answerFields, usageFields, usageObject } from './bill.ts';
import type { Receipt } from './request.ts';
import { type Settlement, brokenOff } from './settlement.ts';

/** Throws NodeError with cost 0 for whatever is not a usable answer. */
export async function wholeAnswer(
  upstream: UpstreamAnswer,
  work: Cancel,
  settlement: Settlement,
  withChange: (receipt: Receipt) => Promise<Receipt>,
): Promise<{ body: Buffer; receipt: Receipt }> {
  let completion: Completion;
  try {
    completion = readCompletion(upstream.whole ?? (await readAll(upstream.chunks)));
  } catch (error) {
    cancel(work);
    await settlement.free();
    throw brokenOff(error);
  }
  const usage = completion.empty ? undefined : (completion.usage ?? settlement.estimate(completion.estimate));
  const receipt = await withChange(usage ? await settlement.charge(usage) : await settlement.free());
  const extraUsage = completion.usage ? usageFields(receipt) : usageObject(receipt, undefined);
  return { body: completion.withFields(answerFields(receipt), extraUsage), receipt };
}

async function readAll(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > LIMITS.upstream.answerBytesMax)
      throw new NodeError('upstream_error', 'The answer is too large.');
    parts.push(chunk);
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

/** The one chunk of an answer that is there as a whole. */
export async function* oneChunk(body: Buffer): AsyncGenerator<Buffer> {
  yield body;
}
