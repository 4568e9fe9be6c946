/** Paid requests with an Idempotency-Key: charged once; the answer is given again while it is in memory. */
import { NodeError } from '../base/error.ts';
import { type AccountId, sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Idempotency } from '../ledger/idempotency.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { idempotencyOf, inProgress, keyReused } from './idempotency.ts';
import type { Outcomes, StoredAnswer } from './outcomes.ts';
import type { Answer, Body, InferenceRequest } from './request.ts';

export async function keyedAnswer(
  parts: { ledger: Ledger; outcomes: Outcomes },
  request: InferenceRequest & { idempotencyKey: string },
  account: AccountId,
  ask: (idempotency: Idempotency) => Promise<Answer>,
): Promise<Answer | StoredAnswer> {
  const { ledger, outcomes } = parts;
  const hash = sha256Hex(`${request.endpoint}\n${sha256Hex(request.body)}`);
  const idempotency = idempotencyOf(account, { key: request.idempotencyKey, request: hash });
  const { id } = idempotency;
  const known = outcomes.find(id, idempotency.request);
  if (known.state === 'done') return known.answer;
  if (known.state === 'running') throw inProgress();
  const before = ledger.remembered(id);
  if (known.state === 'other-body' || (before && before.request !== idempotency.request)) throw keyReused();
  if (before?.paid?.charged !== undefined) throw alreadyCharged(before.paid.charged, before.paid.requestId);

  outcomes.begin(id, idempotency.request);
  try {
    return await keepAnswer(outcomes, id, await ask(idempotency));
  } catch (error) {
    outcomes.forget(id);
    throw error;
  }
}

/** The answer, kept under its id for whoever asks for it again: at once where it is whole, else while it passes. */
export async function keepAnswer(outcomes: Outcomes, id: string, answer: Answer): Promise<Answer> {
  const { status, contentType, whole } = answer;
  const keep = async (body: Body): Promise<void> =>
    outcomes.finish(id, { status, contentType, body, receipt: await answer.receipt });
  if (whole === undefined) return recorded(answer, keep, () => outcomes.forget(id));
  await keep(whole);
  return answer;
}

/** A stream that is kept while it passes, if it is small enough and came to its end. */
function recorded(answer: Answer, keep: (body: Body) => Promise<void>, drop: () => void): Answer {
  const kept: Buffer[] = [];
  let bytes = 0;
  let kept_ = false;
  async function* pass(): AsyncGenerator<Body> {
    for await (const chunk of answer.chunks) {
      bytes += chunk.length;
      if (bytes <= LIMITS.outcome.entryBytesMax) kept.push(Buffer.from(chunk));
      else kept.length = 0;
      yield chunk;
    }
    if (bytes > LIMITS.outcome.entryBytesMax) return;
    await keep(Buffer.concat(kept));
    kept_ = true;
  }
  return {
    ...answer,
    chunks: { [Symbol.asyncIterator]: pass },
    [Symbol.asyncDispose]: async () => {
      try {
        await answer[Symbol.asyncDispose]();
      } finally {
        if (!kept_) drop();
      }
    },
  };
}

const alreadyCharged = (charged: number, requestId: string): NodeError =>
  new NodeError(
    'already_charged',
    `This request was answered and charged ${charged} mSats before; its answer is not kept any more. Use a new Idempotency-Key to ask again.`,
    { metadata: { charged_msats: charged, request_id: requestId } },
  );
