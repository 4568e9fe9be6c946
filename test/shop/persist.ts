/** Persistence: the same request again until the node has said yes or a final no. */
import type { Final, Reply } from './till.ts';
import type { Verdict } from './verdict.ts';

export interface Pauses {
  /** Resolves when it makes sense to ask again after so many tries. */
  again: (tries: number, lost: boolean) => Promise<void>;
}

const TRIES_MAX = 600;
/** Answers that ask for patience; everything else is final. */
const PATIENCE = new Set([
  'operation_in_progress',
  'token_in_use',
  'refund_pending',
  'refund_busy',
  'mint_unreachable',
  'mint_rate_limited',
  'node_draining',
  'overloaded',
  'storage_unavailable',
  'address_unreachable',
  // Buyers here hold good tokens only: it is the mint that refuses without a reason, now and then.
  'invalid_cashu_token',
]);

/** Undefined: no final answer came, which is counted as unresolved. */
export async function persist<T>(
  what: string,
  ask: () => Promise<Reply<T>>,
  parts: { verdict: Verdict; pauses: Pauses; triesMax?: number },
): Promise<Final<T> | undefined> {
  const { verdict, pauses, triesMax = TRIES_MAX } = parts;
  for (let tries = 0; tries < triesMax; tries++) {
    verdict.asked += 1;
    const reply = await ask();
    if (reply.kind === 'ok') {
      verdict.acked += 1;
      return reply;
    }
    if (reply.kind === 'refused' && !PATIENCE.has(reply.code)) return reply;
    await pauses.again(tries, reply.kind === 'lost');
  }
  verdict.found('unresolved', `${what}: no final answer after ${triesMax} tries`);
  return undefined;
}

/** Several at once, as an impatient client does: whatever they answer, they must not contradict each other. */
export async function atOnce<T>(
  count: number,
  ask: () => Promise<Reply<T>>,
  same: (a: T, b: T) => boolean,
  onContradiction: () => void,
): Promise<Reply<T>> {
  const replies = await Promise.all(Array.from({ length: count }, ask));
  const yes = replies.filter((reply) => reply.kind === 'ok');
  const [first] = yes;
  // While one is unanswered, the refusals of the others are not the last word.
  if (first === undefined)
    return replies.find(({ kind }) => kind === 'lost') ?? replies[0] ?? { kind: 'lost' };
  if (yes.some((other) => !same(first, other))) onContradiction();
  return first;
}
