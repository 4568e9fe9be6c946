/** Paid routes: one request in, one answer out, whatever paid for it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Cancelled, cancel, newCancel } from '../base/cancel.ts';
import { NodeError } from '../base/error.ts';
import type { RequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Msat, msat } from '../base/money.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Answer, Body, Endpoint, Receipt } from '../gateway/request.ts';
import { readJsonBytes } from './body.ts';
import { heldOf, requestId } from './context.ts';
import { paidCredential } from './credential.ts';
import { idempotencyKey } from './idempotency.ts';
import { NO_STORE, reply } from './reply.ts';
import { type OpenStream, openStream, sendStream } from './stream.ts';

/** @param silenceMs so long a stream may leave its client without a byte; then the head goes ahead of the answer. */
export function createPaidRoute(parts: {
  gateway: Pick<Gateway, 'serve'>;
  endpoint: Endpoint;
  silenceMs?: number;
}) {
  const { gateway, endpoint, silenceMs = LIMITS.http.heartbeatMs } = parts;

  return async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const id = requestId(req);
    const credential = paidCredential(req);
    const body = await readJsonBytes(req);
    const gone = newCancel();
    res.on('close', () => {
      if (!res.writableFinished) cancel(gone);
    });
    const claims = req.headers['x-cashu-change'] === 'claim';
    const oneShot = credential?.kind === 'token' && credential.remainder === 'return';
    const held = heldOf(req);
    let opened: OpenStream | undefined;
    let silence: NodeJS.Timeout | undefined;
    const open = (): void => {
      if (!res.destroyed) opened = openStream(res, id, { status: 200, contentType: EVENT_STREAM });
    };
    let answer: Answer;
    try {
      answer = await gateway.serve({
        id,
        credential,
        endpoint,
        body,
        delivery: oneShot && !claims ? 'held' : 'live',
        gone,
        idempotencyKey: idempotencyKey(req),
        maxCost: maxCost(req),
        held,
        // Direct messages say by themselves that a request is at work.
        streaming: held === undefined ? () => (silence ??= setTimeout(open, silenceMs)) : undefined,
      });
    } catch (error) {
      opened?.close();
      // Nobody hears it, and it is no fault of the node that is worth an alarm.
      if (error instanceof Cancelled) throw new NodeError('internal_error', 'The client left.');
      throw error;
    } finally {
      clearTimeout(silence);
    }
    if (answer.whole !== undefined) await sendWhole(res, id, answer, answer.whole);
    else await sendStream(res, id, answer, opened);
  };

  async function sendWhole(res: ServerResponse, id: RequestId, answer: Answer, body: Body): Promise<void> {
    const receipt = await answer.receipt;
    const headers = receiptHeaders(receipt);
    if (answer.replayed) headers.push('idempotent-replayed', 'true');
    reply(res, id, answer.status, answer.contentType, body, headers);
  }
}

const EVENT_STREAM = 'text/event-stream; charset=utf-8';

/** `X-Max-Cost-Msats`: what the client is willing to pay for this one request. Throws invalid_request. */
function maxCost(req: IncomingMessage): Msat | undefined {
  const value = req.headers['x-max-cost-msats'];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^\d{1,15}$/.test(value))
    throw new NodeError('invalid_request', 'X-Max-Cost-Msats must be a whole number of mSats.');
  return msat(Number(value));
}

/** Headers of answers whose cost is known before their first byte. */
function receiptHeaders(receipt: Receipt): string[] {
  const { cost, change, balance } = receipt;
  const headers = [
    ...NO_STORE,
    'x-routstr-cost-msats',
    String(cost.total),
    'x-routstr-input-cost-msats',
    String(msat(cost.input + cost.base)),
    'x-routstr-output-cost-msats',
    String(cost.output),
    'x-routstr-cost-usd',
    String(cost.totalUsd),
  ];
  if (change) headers.push('x-cashu', change.reveal());
  else headers.push('x-balance-msats', String(balance));
  return headers;
}
