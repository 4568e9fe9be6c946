/** What the ledger knows of a request that came by message, asked in the name of its client. */
import { type RequestId, newRequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { RequestFrame } from '../protocol/dmi.ts';
import { type Ask, type HttpAnswer, changeOf, headersOf, isPaid, jsonOf, readWhole } from './rpc-ask.ts';

/** Whose request it was, and which. */
export interface Asking {
  key: string;
  sender: string;
  requestId: RequestId;
  frame: RequestFrame;
}

export interface Books {
  /** Msat that it cost, waited for; undefined while they are still being counted. Rejects where nobody can be asked. */
  settled: (job: Asking) => Promise<number | undefined>;
  /** What is left of a one-shot payment, as a token: the same one, however often it is asked for. */
  claimed: (job: Asking) => Promise<{ token?: string; later: boolean }>;
}

/** Says nothing about the request that was asked about: a ledger that cannot be read now is no proof of a cost of 0. */
const isTransient = (status: number): boolean => status === 429 || status >= 500;

export function createBooks({ ask, clock }: { ask: Ask; clock: Clock }): Books {
  /** The same client asks for something else on the way; a request that was given up does not end it. */
  const aside = (job: Asking, method: 'GET' | 'POST', path: string): Promise<HttpAnswer> => {
    const { max_msat: _max, h: _h, ...frame } = job.frame;
    return ask({
      id: newRequestId(),
      method,
      path,
      headers: headersOf({ ...frame, method: 'GET' }, job.key),
      body: Buffer.alloc(0),
      sender: job.sender,
      signal: AbortSignal.timeout(LIMITS.dmi.settleMs),
    });
  };

  /** Msat as the ledger has them; undefined while they are still being counted. */
  async function charged(job: Asking): Promise<number | undefined> {
    const { status, bytes } = await readWhole(await aside(job, 'GET', `/v1/generation?id=${job.requestId}`));
    if (isTransient(status)) return undefined;
    if (status !== 200) return 0;
    const { data } = (jsonOf(bytes) ?? {}) as { data?: { status?: string; cost_msats?: number } };
    return data?.status === 'done' ? (data.cost_msats ?? 0) : undefined;
  }

  /** The answer is given up, or its cost was not said: the settlement is waited for. */
  async function settled(job: Asking): Promise<number | undefined> {
    if (!isPaid(job.frame)) return 0;
    for (let waited = 0; ; waited += 250) {
      const cost = await charged(job);
      if (cost !== undefined || waited >= LIMITS.dmi.settleMs) return cost;
      await clock.sleep(250);
    }
  }

  async function claimed(job: Asking): Promise<{ token?: string; later: boolean }> {
    const { auth } = job.frame;
    if (auth === undefined || !('cashu' in auth)) return { later: false };
    const answer = await readWhole(await aside(job, 'POST', '/v1/balance/refund'));
    const token = changeOf(answer);
    if (token !== undefined) return { token, later: false };
    return { later: answer.status === 425 || isTransient(answer.status) };
  }

  return { settled, claimed };
}
